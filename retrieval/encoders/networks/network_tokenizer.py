"""The tokenizer of a model whose network runs outside torch: texts in, token numbers out."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import numpy as np
import xxhash

from retrieval.encoders.networks.openvino_network import Inputs
from retrieval.encoders.token_coverage import SAMPLED_TOKENS, sampled_texts, share_of
from retrieval.encoders.weights import EncoderError, first_line

TOKENIZER, READING = "tokenizer.json", "reading.json"  # beside the network


class TokenizerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model reads texts, beside its vocabulary."""

    longest: int  # tokens of a text
    padding: int  # the token that fills a text up
    typed: bool  # whether the network takes a type a token
    unknown: int | None  # the token of what the vocabulary lacks
    tokenizer: str  # checksum of TOKENIZER


class NetworkTokenizer:
    """The tokenizer of a model: texts in, what its network reads out."""

    def __init__(self, vocabulary: bytes, reading: TokenizerSettings) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_buffer(vocabulary)
        self._tokenizer.no_padding()
        self._vocabulary, self._reading = vocabulary, reading
        self._lock = Lock()  # how much is read of a text is set for one call at a time

    @classmethod
    def of_model(cls, model: Any) -> "NetworkTokenizer":
        """Return the tokenizer of a sentence-transformers model."""
        tokenizer = model.tokenizer
        vocabulary = tokenizer.backend_tokenizer.to_str().encode()
        reading = TokenizerSettings(
            longest=int(model.max_seq_length),
            padding=int(tokenizer.pad_token_id),
            typed="token_type_ids" in tokenizer.model_input_names,
            unknown=tokenizer.unk_token_id,
            tokenizer=xxhash.xxh3_128_hexdigest(vocabulary),
        )
        return cls(vocabulary, reading)

    @classmethod
    def open(cls, folder: Path) -> "NetworkTokenizer":
        """Open what `files` gave; EncoderError where it is damaged."""
        try:
            reading = msgspec.json.decode((folder / READING).read_bytes(), type=TokenizerSettings)
            vocabulary = (folder / TOKENIZER).read_bytes()
        except (OSError, msgspec.DecodeError) as e:
            raise EncoderError(
                f"{folder.name}: its tokenizer cannot be read: {first_line(e)}"
            ) from None
        if xxhash.xxh3_128_hexdigest(vocabulary) != reading.tokenizer:
            raise EncoderError(f"{folder.name}/{TOKENIZER} is damaged: its checksum differs")
        return cls(vocabulary, reading)

    @property
    def files(self) -> dict[str, bytes]:
        """Return the files that this tokenizer is opened from again, by name."""
        return {TOKENIZER: self._vocabulary, READING: msgspec.json.encode(self._reading)}

    @property
    def longest(self) -> int:
        """Return how many tokens of a text are read."""
        return self._reading.longest

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """Return the numbers of each text, cut where the model's reading ends."""
        return self._read(texts, self._reading.longest, marks=True)

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of a sample of these texts that the tokenizer lacks."""
        unknown, sample = self._reading.unknown, sampled_texts(texts)
        if unknown is None or not sample:
            return 0.0
        return share_of(unknown, self._read(sample, SAMPLED_TOKENS, marks=False))

    def _read(self, texts: list[str], longest: int, *, marks: bool) -> list[list[int]]:
        with self._lock:
            self._tokenizer.enable_truncation(longest)
            if len(texts) == 1:  # of several other threads are asked, which takes longer than one
                read = [self._tokenizer.encode(texts[0], add_special_tokens=marks)]
            else:
                read = self._tokenizer.encode_batch_fast(texts, add_special_tokens=marks)
        return [one.ids for one in read]

    def padded(self, tokens: Sequence[Sequence[int]]) -> Inputs:
        """Return one batch, each row filled up to the longest."""
        shape = len(tokens), max(map(len, tokens))
        numbers = np.full(shape, self._reading.padding, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, one in enumerate(tokens):
            numbers[row, : len(one)] = one
            mask[row, : len(one)] = 1
        kinds = {"token_type_ids": np.zeros(shape, np.int64)} if self._reading.typed else {}
        return {"input_ids": numbers, "attention_mask": mask, **kinds}
