"""Keeps an unfinished training on disk in safetensors, so that a killed one goes on."""

import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines.durable import flush

FILE = "training.safetensors"
STATE = "state"  # the key of the metadata
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of AdamW

Weights = dict[str, Tensor]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far a training is, after whole epochs."""

    key: str  # of what is trained on what; another key is another training
    epoch: int = 0  # epochs that are done
    steps: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0  # 0: none was measured
    best_recall: float = -1.0


class Restored(NamedTuple):
    """A training as it was left: where it was, and the weights of its best epoch."""

    state: State
    best: Weights


def checkpoint_folder(out: Path) -> Path:
    """Return where the training of `out` is kept until it is done."""
    return out.with_name(f".{out.name}.training")


def save_checkpoint(
    folder: Path, state: State, network: nn.Module, optimizer: torch.optim.Optimizer, best: Weights
) -> None:
    """Write all that the next epoch depends on, in place of the last; whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"now.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for name, parameter in network.named_parameters():
        moments = optimizer.state.get(parameter, {})
        tensors |= {f"{kind}.{name}": moments[kind] for kind in MOMENTS if kind in moments}
    draft = folder / f"{FILE}.draft"
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(whole, draft, metadata={STATE: msgspec.json.encode(state).decode()})
    flush(draft)
    draft.rename(folder / FILE)
    flush(folder)


def load_checkpoint(
    folder: Path, key: str, network: nn.Module, optimizer: torch.optim.Optimizer
) -> Restored | None:
    """Bring back a training of this key; None where there is none, or it is damaged or another."""
    try:
        with safe_open(folder / FILE, "pt") as file:
            metadata = file.metadata() or {}
            state = msgspec.json.decode(metadata.get(STATE, ""), type=State)
            if state.key != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, msgspec.DecodeError):
        return None
    network.load_state_dict(_part(tensors, "now"))
    kinds = {kind: _part(tensors, kind) for kind in MOMENTS}
    for name, parameter in network.named_parameters():
        if name in kinds["step"]:
            # the fused optimizer walks through memory: moments must lie as their parameter does
            optimizer.state[parameter] = {
                kind: found[name]
                if kind == "step"
                else torch.empty_like(parameter.detach()).copy_(found[name])
                for kind, found in kinds.items()
            }
    return Restored(state, _part(tensors, "best"))


def remove_checkpoint(folder: Path) -> None:
    """Forget the training."""
    shutil.rmtree(folder, ignore_errors=True)


def _part(tensors: Weights, kind: str) -> Weights:
    start = f"{kind}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
