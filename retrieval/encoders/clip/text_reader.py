"""Encodes texts by the text side of an image-text model on ONNX Runtime, without torch.

`write_text_side` wrote its network and the tokenizer of open_clip, as the library `tokenizers` has
it; what open_clip does to a text before that is done here.
"""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import regex
from jaxtyping import Float32, Int64

from retrieval.encoders.clip.texts import LETTERS_PER_TOKEN, shortened
from retrieval.encoders.networks.onnx_network import OnnxNetwork
from retrieval.encoders.weights import EncoderError, first_line

WORDS = regex.compile(
    r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)
NETWORK, TOKENIZER = "text_side.onnx", "tokenizer.json"


class TextReader:
    """The text side of a saved model; called from any thread."""

    def __init__(self, network: OnnxNetwork, tokenizer: Any, longest: int) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self.longest = longest

    @classmethod
    def open(cls, folder: Path, longest: int) -> "TextReader":
        """Open what was written; texts are read up to `longest` tokens, both ends included."""
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_buffer((folder / TOKENIZER).read_bytes())
        except Exception as e:  # of the library's own kind
            raise EncoderError(f"{folder.name}/{TOKENIZER}: {first_line(e)}") from None
        return cls(OnnxNetwork.open(folder / NETWORK), tokenizer, longest)

    def tokens(self, texts: Sequence[str]) -> Int64[np.ndarray, "n t"]:
        """Return token numbers, as wide as the longest text; behind the end there are zeros."""
        letters = LETTERS_PER_TOKEN * self.longest
        words = [_words(shortened(text, letters)) for text in texts]
        read = [self._tokenizer.encode(one, is_pretokenized=True).ids for one in words]
        most = self.longest
        cut = [ids if len(ids) <= most else [*ids[: most - 1], ids[-1]] for ids in read]
        tokens = np.zeros((len(cut), max(map(len, cut))), np.int64)
        for row, ids in zip(tokens, cut, strict=True):
            row[: len(ids)] = ids
        return tokens

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n p"]:
        """Return one unit vector a text, in order."""
        return self._network.run({"tokens": self.tokens(texts)})


def _words(text: str) -> list[str]:
    """Return the words of a text as open_clip's tokenizer cleans and parts it."""
    mended = html.unescape(html.unescape(ftfy.fix_text(text)))
    found: list[str] = WORDS.findall(" ".join(mended.split()).lower())
    return found
