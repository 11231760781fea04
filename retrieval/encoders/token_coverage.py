"""How much of the texts a model's tokenizer knows at all."""

from collections.abc import Sequence
from typing import Any

SAMPLED_TEXTS = 2_000  # spread evenly; a share needs no more


def unknown_share(tokenizer: Any, texts: Sequence[str]) -> float:
    """Return the share of tokens that are the tokenizer's unknown one; 0 where it has none.

    The texts are a sample, so any length will do. A byte-level tokenizer knows everything.
    """
    unknown = getattr(tokenizer, "unk_token_id", None)
    sample = [text for text in texts[:: -(-len(texts) // SAMPLED_TEXTS) or 1] if text]
    if unknown is None or not sample:
        return 0.0
    read = tokenizer(sample, add_special_tokens=False, truncation=True, max_length=512)
    tokens = [token for text in read["input_ids"] for token in text]
    return tokens.count(unknown) / max(len(tokens), 1)
