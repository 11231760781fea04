"""The tokenizer of an image-text model, with bounds on the length of texts and on its cache."""

from collections.abc import Sequence
from copy import copy
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from jaxtyping import Int64
from torch import Tensor

from retrieval.encoders.clip.texts import LETTERS_PER_TOKEN, shortened
from retrieval.encoders.weights import UNFIT, EncoderError, first_line

MODULE = "tokenizer.py"  # of open_clip
CACHED_WORDS = 200_000  # by open_clip's tokenizer, which never empties its cache


class Tokenizer:
    """Turns texts into token numbers, by a tokenizer of open_clip or of Hugging Face."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def tokens(self, texts: Sequence[str]) -> Int64[Tensor, "n t"]:
        """Return token numbers, padded to the length that the network reads."""
        longest = LETTERS_PER_TOKEN * int(self._tokenizer.context_length)
        tokens: Tensor = self._tokenizer([shortened(text, longest) for text in texts])
        _empty_if_full(getattr(self._tokenizer, "cache", {}))
        return tokens

    def as_fast(self) -> str:
        """Return open_clip's own tokenizer as the library `tokenizers` reads it, in JSON.

        It takes the words of a text, and puts a mark at both ends.
        """
        from tokenizers import AddedToken, models, pre_tokenizers, processors
        from tokenizers import Tokenizer as FastTokenizer

        mine = self._tokenizer
        model = models.BPE(mine.encoder, [*mine.bpe_ranks], end_of_word_suffix="</w>")
        fast = FastTokenizer(model)
        first, last = (mine.decoder[number] for number in mine.all_special_ids)
        fast.add_special_tokens([AddedToken(one, normalized=False) for one in (first, last)])
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        numbers = list(zip((first, last), mine.all_special_ids, strict=True))
        fast.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}", special_tokens=numbers
        )
        return str(fast.to_str())

    @property
    def padding(self) -> int:
        """The token that fills a text up."""
        inner = getattr(self._tokenizer, "tokenizer", None)
        return int(getattr(inner, "pad_token_id", None) or 0)

    def save(self, folder: Path) -> None:
        """Write the vocabulary of a foreign tokenizer; open_clip's own needs no file."""
        if hasattr(self._tokenizer, "save_pretrained"):
            self._tokenizer.save_pretrained(str(folder))

    def save_inner(self, folder: Path) -> None:
        """Write the Hugging Face tokenizer that open_clip's one wraps."""
        self._tokenizer.tokenizer.save_pretrained(str(folder))


def open_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of a model that open_clip knows by name, or EncoderError."""
    import open_clip

    try:
        return Tokenizer(open_clip.get_tokenizer(name))
    except UNFIT as e:
        raise EncoderError(f"the tokenizer of {name} cannot be opened: {first_line(e)}") from e


def open_own_tokenizer(context_length: int) -> Tokenizer:
    """Return open_clip's own tokenizer without the rest of open_clip, which takes seconds.

    Its module needs nothing of the package, so it is loaded from its file. EncoderError where
    open_clip is not installed, or has no such file.
    """
    package = find_spec("open_clip")
    if package is None or package.origin is None:
        raise EncoderError("open_clip is not installed; install open_clip_torch")
    spec = spec_from_file_location("open_clip_tokenizer", Path(package.origin).parent / MODULE)
    assert spec is not None
    assert spec.loader is not None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    tokenizer = copy(module._tokenizer)  # the one that the module makes; another costs as much
    tokenizer.context_length = context_length
    return Tokenizer(tokenizer)


def _empty_if_full(cache: dict[str, str]) -> None:
    """Empty the tokenizer's cache of words when it is full, but for the special tokens."""
    if len(cache) > CACHED_WORDS:
        special = {word: token for word, token in cache.items() if word == token}
        cache.clear()
        cache.update(special)
