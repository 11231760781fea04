"""Encodes texts as an image-text model of open_clip does, without its picture side.

To import open_clip takes seconds, because it brings timm, torchvision and transformers; a query in
words needs nothing of them. The layers and their order are those of `CLIP.encode_text` in
https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/model.py, so that the vectors
are equal.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.encoders.clip.saved import WEIGHTS, SavedClip, TextShape
from retrieval.encoders.clip.text_reader import NETWORK, TOKENIZER
from retrieval.encoders.clip.tokenizer import Tokenizer, open_own_tokenizer
from retrieval.encoders.networks.onnx_export import OPSET, quiet_export
from retrieval.encoders.weights import UNFIT, EncoderError, first_line

PICTURE_SIDE = ("visual.", "logit_scale")  # how the names of all other weights begin
HIDDEN = 4  # how much wider the hidden layer of a block is


class TextSide:
    """The text side of a saved model, and its tokenizer."""

    def __init__(self, network: nn.Module, tokenizer: Tokenizer) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._device = next(network.parameters()).device

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n p"]:
        """Return one unit vector a text, in order."""
        tokens = self._tokenizer.tokens(texts)
        # No token sees a later one, so those behind the longest text's end change nothing.
        read = tokens[:, : int(tokens.argmax(dim=-1).max()) + 1]
        with torch.inference_mode():
            vectors: Tensor = self._network(read.to(self._device))
        return vectors.float().cpu().numpy()


def open_text_side(saved: SavedClip, threads: int) -> TextSide:
    """Open the text side alone; EncoderError where the model has another kind."""
    torch.set_num_threads(threads)
    network, shape = _open(saved)
    return TextSide(network, open_own_tokenizer(shape.context_length))


def write_text_side(saved: SavedClip, folder: Path) -> None:
    """Write the text side of a saved model as `TextReader` opens it; EncoderError as above."""
    network, shape = _open(saved)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = open_own_tokenizer(shape.context_length)
    (folder / TOKENIZER).write_text(tokenizer.as_fast(), encoding="utf-8")
    with quiet_export():
        torch.onnx.export(
            network.cpu(),
            (tokenizer.tokens(["a loaf of bread", ""])[:, :9],),
            folder / NETWORK,
            input_names=["tokens"],
            output_names=["vectors"],
            dynamic_axes={"tokens": {0: "texts", 1: "length"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _open(saved: SavedClip) -> tuple[nn.Module, TextShape]:
    if saved.text is None:
        raise EncoderError(f"{saved.folder} has a text side that only open_clip opens")
    device = "cuda" if torch.cuda.is_available() else "cpu"  # as open_clip is opened
    try:
        weights = load_file(saved.folder / WEIGHTS)
        mine = {n: one.float() for n, one in weights.items() if not n.startswith(PICTURE_SIDE)}
        network = _Transformer(saved.text, saved.dim)
        network.load_state_dict(mine)
        return network.eval().to(device), saved.text
    except UNFIT as e:
        raise EncoderError(f"{saved.folder} has no text side: {first_line(e)}") from e


class _Transformer(nn.Module):
    """The weights have the names that they have in a model of open_clip."""

    def __init__(self, shape: TextShape, dim: int) -> None:
        super().__init__()
        unset = torch.empty(shape.vocab_size, shape.width)  # no time goes into random numbers
        self.token_embedding = nn.Embedding.from_pretrained(unset)  # type: ignore[no-untyped-call]
        self.positional_embedding = nn.Parameter(torch.empty(shape.context_length, shape.width))
        blocks = [_ResidualBlock(shape.width, shape.heads) for _ in range(shape.layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.ln_final = nn.LayerNorm(shape.width)
        self.text_projection = nn.Parameter(torch.empty(shape.width, dim))

    def forward(self, tokens: Int64[Tensor, "n t"]) -> Float32[Tensor, "n p"]:
        """Return one unit vector a text, from the place of its last token."""
        length = tokens.shape[1]
        states = self.token_embedding(tokens) + self.positional_embedding[:length]
        mask = torch.full((length, length), -torch.inf, device=states.device).triu_(1)
        blocks: Any = self.transformer["resblocks"]
        for block in blocks:
            states = block(states, mask)
        ends = tokens.argmax(dim=-1)  # the mark of the end has the highest number
        rows = torch.arange(tokens.shape[0], device=tokens.device)
        states = self.ln_final(states)[rows, ends]
        return F.normalize(states @ self.text_projection, dim=-1)


class _ResidualBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        hidden = HIDDEN * width
        layers = {"c_fc": nn.Linear(width, hidden), "c_proj": nn.Linear(hidden, width)}
        self.mlp = nn.ModuleDict(layers)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        states = states + self._attended(self.ln_1(states), mask)
        hidden = F.gelu(self.mlp["c_fc"](self.ln_2(states)))
        mixed: Tensor = self.mlp["c_proj"](hidden)
        return states + mixed

    def _attended(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return what `attn` does, in steps that are exported for texts of any length."""
        attn = self.attn
        joined = F.linear(states, attn.in_proj_weight, attn.in_proj_bias)
        split = (attn.num_heads, -1)
        parts: list[Any] = [*joined.chunk(3, dim=-1)]
        queries, keys, values = (part.unflatten(-1, split).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        answer: Tensor = attn.out_proj(mixed.transpose(1, 2).flatten(2))
        return answer
