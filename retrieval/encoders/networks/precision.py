"""Chooses the number format in which a network is trained."""

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]


def in_halves(precision: Precision, device: str = "cpu") -> bool:
    """Tell whether matrices are multiplied in bfloat16: where asked for, or native.

    `auto` says yes on a processor with Intel's AMX and on a GPU that can. Elsewhere bfloat16 is
    slower than float32.
    """
    if precision != "auto":
        return precision == "bfloat16"
    import torch

    if device != "cpu":
        return device == "cuda" and torch.cuda.is_bf16_supported()
    ask = getattr(torch.cpu, "get_capabilities", None)  # an older torch cannot tell
    return ask is not None and bool(ask().get("amx_bf16"))
