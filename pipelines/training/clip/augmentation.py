"""Changes pictures and texts a little while a model learns, so that none is learnt by heart.

All is drawn on the processor, so that a seed means the same wherever the pictures lie.
"""

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

SHIFT = 16  # a picture moves by at most one part in this of its width
WHITE = 255
ZOOM, STRETCH, MOVE, LIGHT = 0.15, 0.05, 0.12, 0.1  # largest change, as a share


def shifted(pixels: UInt8[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b 3 h w"]:
    """Move a whole batch a little, over white."""
    height, width = pixels.shape[-2:]
    most = max(1, width // SHIFT)
    down, right = torch.randint(0, 2 * most + 1, (2,)).tolist()
    padded = F.pad(pixels, (most, most, most, most), value=WHITE)
    return padded[..., down : down + height, right : right + width]


def varied(pixels: UInt8[Tensor, "b 3 h w"]) -> Float32[Tensor, "b 3 h w"]:
    """Mirror, zoom, stretch, move and light each picture by itself, over white; 0 to 255."""
    count = len(pixels)
    zoom, stretch = 1 + ZOOM * _evenly(count), 1 + STRETCH * _evenly(count)
    mirror = (torch.rand(count) < 0.5) * 2.0 - 1
    turn = torch.zeros(count, 2, 3)
    turn[:, 0, 0] = zoom * stretch * mirror
    turn[:, 1, 1] = zoom / stretch
    turn[:, :, 2] = MOVE * _evenly(count, 2)
    light = 1 + LIGHT * _evenly(count, 1, 1, 1)
    ink = pixels.float() - WHITE  # 0 is white, which grid_sample fills with
    grid = F.affine_grid(turn.to(ink.device), list(ink.shape), align_corners=False)
    moved = F.grid_sample(ink, grid, align_corners=False)
    return (moved * light.to(ink.device) + WHITE).clamp(0, WHITE)


def without_some(
    tokens: Int64[Tensor, "n t"], share: float, padding: int = 0
) -> Int64[Tensor, "n t"]:
    """Leave out each token with this chance, but never the first and the last of a text."""
    if not share:
        return tokens
    places = torch.arange(tokens.shape[1], device=tokens.device)
    last = (tokens != padding).sum(dim=1, keepdim=True) - 1
    inner = (places > 0) & (places < last)
    lost = inner & (torch.rand(tokens.shape) < share).to(tokens.device)
    order = torch.sort(lost.long(), dim=1, stable=True).indices  # what is kept, then what is lost
    return tokens.masked_fill(lost, padding).gather(1, order)


def _evenly(*shape: int) -> Float32[Tensor, "..."]:
    """Return random numbers from -1 to 1."""
    return 2 * torch.rand(*shape) - 1
