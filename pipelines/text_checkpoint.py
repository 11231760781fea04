"""Saves and loads how far a fine-tuning is, in safetensors only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipelines.durable import flush

FILE = "checkpoint.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class Checkpoint:
    """How far a training is; `best` holds the weights of the best check so far."""

    best: dict[str, Tensor]
    score: float
    step: int = 0
    seconds: float = 0.0
    worse: int = 0  # checks since the best one
    first: bool = True  # no check yet: `best` is the model as it was


def save_checkpoint(
    folder: Path,
    key: str,
    trained: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    state: Checkpoint,
) -> None:
    """Write the weights, Adam's moments, the best weights and the counters, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"now.{name}": tensor.detach() for name, tensor in trained.items()}
    tensors |= {f"best.{name}": state.best[name] for name in trained}
    for name, parameter in trained.items():
        moments = optimizer.state[parameter]  # empty for one that takes no part in the vectors
        tensors |= {f"{moment}.{name}": moments[moment] for moment in MOMENTS if moments}
    numbers = {
        name: str(getattr(state, name)) for name in ("score", "step", "seconds", "worse", "first")
    }
    draft = folder / f".{FILE}"
    save_file({k: t.contiguous() for k, t in tensors.items()}, draft, {"key": key, **numbers})
    flush(draft)
    draft.replace(folder / FILE)


def load_checkpoint(
    folder: Path,
    key: str,
    model: Any,
    trained: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Checkpoint | None:
    """Put what was saved back in place; None where there is nothing of the same `key`."""
    path = folder / FILE
    try:
        with safe_open(path, "pt") as file:
            numbers = file.metadata() or {}
            if numbers.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    best |= {name: tensors[f"best.{name}"] for name in trained}
    step = int(numbers["step"])
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(tensors[f"now.{name}"])
            if f"{MOMENTS[0]}.{name}" not in tensors:
                continue
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                **{moment: tensors[f"{moment}.{name}"] for moment in MOMENTS},
            }
    return Checkpoint(
        best=best,
        score=float(numbers["score"]),
        step=step,
        seconds=float(numbers["seconds"]),
        worse=int(numbers["worse"]),
        first=numbers["first"] == "True",
    )
