"""Keeps an unfinished training on disk in safetensors, so that a killed one goes on."""

import shutil
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec
import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines.durable.files import replaced_file

FILE = "training.safetensors"
STATE = "state"  # the key of the metadata
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of AdamW

Weights = dict[str, Tensor]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far a training is; each kind of training adds what it counts."""

    key: str  # of what is trained on what; another key is another training


S = TypeVar("S", bound=State)


class Restored(NamedTuple, Generic[S]):
    """A training as it was left: where it was, and its best weights so far, if any."""

    state: S
    best: Weights


def checkpoint_folder(out: Path) -> Path:
    """Return where the training of `out` is kept until it is done."""
    return out.with_name(f".{out.name}.training")


def save_checkpoint(
    folder: Path, state: State, network: nn.Module, optimizer: torch.optim.Optimizer, best: Weights
) -> None:
    """Write all that the next step depends on, in place of the last; whole or not at all.

    What does not learn is left out, as whoever goes on has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now, learning = network.state_dict(), _learning(network)
    tensors = {f"now.{name}": now[name] for name in learning}
    tensors |= {f"best.{name}": best[name] for name in learning if best}
    for name, parameter in network.named_parameters():
        moments = optimizer.state.get(parameter, {})
        tensors |= {f"{kind}.{name}": moments[kind] for kind in MOMENTS if kind in moments}
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replaced_file(folder / FILE, draft=folder / f"{FILE}.draft") as draft:
        save_file(whole, draft, metadata={STATE: msgspec.json.encode(state).decode()})


def load_checkpoint(
    folder: Path, kind: type[S], key: str, network: nn.Module, optimizer: torch.optim.Optimizer
) -> Restored[S] | None:
    """Bring back a training of this key; None where there is none, or it is damaged or another."""
    try:
        with safe_open(folder / FILE, "pt") as file:
            metadata = file.metadata() or {}
            state = msgspec.json.decode(metadata.get(STATE, ""), type=kind)
            if state.key != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, msgspec.DecodeError):
        return None
    now = _part(tensors, "now")
    if now.keys() != _learning(network):
        return None
    network.load_state_dict(now, strict=False)
    moments = {moment: _part(tensors, moment) for moment in MOMENTS}
    for name, parameter in network.named_parameters():
        if name in moments["step"]:
            # the fused optimizer walks through memory: moments must lie as their parameter does
            optimizer.state[parameter] = {
                moment: found[name]
                if moment == "step"
                else torch.empty_like(parameter.detach()).copy_(found[name])
                for moment, found in moments.items()
            }
    best = _part(tensors, "best")
    if best:
        best = {name: one.detach().clone() for name, one in network.state_dict().items()} | best
    return Restored(state, best)


def remove_checkpoint(folder: Path) -> None:
    """Forget the training."""
    shutil.rmtree(folder, ignore_errors=True)


def weights_fingerprint(network: nn.Module) -> str:
    """Return 32 hex digits over all weights, which tell one start of a training from another."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _learning(network: nn.Module) -> set[str]:
    """Return the names of all weights and counters but those that are locked."""
    locked = {name for name, one in network.named_parameters() if not one.requires_grad}
    return network.state_dict().keys() - locked


def _part(tensors: Weights, kind: str) -> Weights:
    start = f"{kind}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
