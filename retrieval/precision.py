"""Tells in which numbers a network is trained."""

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]


def in_halves(precision: Precision) -> bool:
    """Tell whether matrices are multiplied in bfloat16: where asked for, or native (Intel's AMX).

    Without such instructions bfloat16 is slower than float32, so `auto` leaves it alone.
    """
    if precision != "auto":
        return precision == "bfloat16"
    import torch

    ask = getattr(torch.cpu, "get_capabilities", None)
    return ask is not None and bool(ask().get("amx_bf16"))  # an older torch cannot tell
