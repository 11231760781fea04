"""How much of the texts a model's tokenizer knows at all."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

SAMPLED_TEXTS = 2_000  # spread evenly; a share needs no more
SAMPLED_TOKENS = 512  # of a text


def unknown_share(tokenizer: Any, texts: Sequence[str]) -> float:
    """Return the share of tokens that are the tokenizer's unknown one; 0 where it has none.

    The texts are a sample, so any length will do. A byte-level tokenizer knows everything.
    """
    unknown, sample = getattr(tokenizer, "unk_token_id", None), sampled_texts(texts)
    if unknown is None or not sample:
        return 0.0
    read = tokenizer(sample, add_special_tokens=False, truncation=True, max_length=SAMPLED_TOKENS)
    return share_of(unknown, read["input_ids"])


def sampled_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts that a share is taken of."""
    return [text for text in texts[:: -(-len(texts) // SAMPLED_TEXTS) or 1] if text]


def share_of(token: int, texts: Sequence[Sequence[int]]) -> float:
    """Return the share of one token among all tokens of these texts."""
    tokens = list(chain.from_iterable(texts))
    return tokens.count(token) / max(len(tokens), 1)
