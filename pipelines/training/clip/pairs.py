"""Reads a shop's pictures and texts as training pairs, each distinct pair once."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from pipelines.config.sections import ClipConfig
from pipelines.encoding.embedding_cache import content_hash
from pipelines.errors import ConfigError, TrainingError
from pipelines.progress import Track
from pipelines.shop.product_text import text_of
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PRODUCT_SCHEMA
from retrieval.encoders.clip.model import Clip
from retrieval.encoders.pictures import BrokenPicture, open_picture

SMALLEST = 64  # pairs; fewer teach nothing
DECODED_AT_ONCE = 512
MOST_MEMORY = 0.5  # of what is free on a GPU
Name = str  # of a picture: the hash of its bytes


class PicturePairs(NamedTuple):
    """Pictures and texts, each distinct one once, and which of them belong together."""

    pixels: UInt8[Tensor, "p 3 h w"]
    tokens: Int64[Tensor, "t n"]
    picture: Int64[Tensor, "m"]  # of each pair, a row of `pixels`
    text: Int64[Tensor, "m"]  # of each pair, a row of `tokens`
    more_tokens: Int64[Tensor, "u n"] | None = None  # of the second texts, if there are such
    more: Int64[Tensor, "m"] | None = None  # of each pair, a row of `more_tokens`

    def near(self, device: torch.device) -> "PicturePairs":
        """Return the same with pictures and texts on a GPU, where it has room for them."""
        if device.type != "cuda" or self.pixels.nbytes > MOST_MEMORY * _free(device):
            return self
        more = self.more_tokens
        return self._replace(
            pixels=self.pixels.to(device),
            tokens=self.tokens.to(device),
            more_tokens=None if more is None else more.to(device),
        )


def _free(device: torch.device) -> int:
    return int(torch.cuda.mem_get_info(device)[0])


class GatheredPairs(NamedTuple):
    """What a shop gave: pairs to learn from, and how much could not be used."""

    pairs: PicturePairs
    left_out: int  # distinct pairs beyond `max_pairs`
    unreadable: int  # distinct pictures


def gather_pairs(
    shop: Shop, clip: Clip, settings: ClipConfig, *, seed: int, track: Track
) -> GatheredPairs:
    """Return the distinct pairs of picture and text, at most `max_pairs`, drawn by the seed."""
    found = _distinct_pairs(shop, settings)
    order = np.random.default_rng(seed).permutation(len(found))[: settings.max_pairs].tolist()
    chosen = [found[i] for i in order]
    wanted = {pair.name for pair in chosen}
    pixels = _decode_all(shop, clip, wanted, track)
    readable = [pair for pair in chosen if pair.name in pixels]
    if len(readable) < SMALLEST:
        raise TrainingError(
            f"{shop.folder} has {len(readable)} distinct pairs of a readable picture and a text, "
            f"at least {SMALLEST} are needed; import pictures, or name other clip.fields"
        )
    return GatheredPairs(
        _pairs(clip, readable, pixels), len(found) - len(chosen), len(wanted) - len(pixels)
    )


class Pair(NamedTuple):
    """A picture, its text, and a second text of the first product that has both."""

    name: Name
    text: str
    more: str


def _distinct_pairs(shop: Shop, settings: ClipConfig) -> list[Pair]:
    """Return picture and text of each distinct pair, in the order of the file."""
    texts = _texts(shop, settings.fields)
    more = _texts(shop, settings.more_fields) if settings.more_fields else {}
    found: dict[tuple[Name, str], str] = {}
    for batch in shop.picture_batches():
        ids, pictures = batch.column("id").to_pylist(), batch.column("image").to_pylist()
        for product_id, picture in zip(ids, pictures, strict=True):
            text = texts.get(product_id)
            if picture and text:
                found.setdefault((content_hash(picture), text), more.get(product_id, ""))
    return [Pair(name, text, second) for (name, text), second in found.items()]


def _texts(shop: Shop, fields: Sequence[str]) -> dict[str, str]:
    unknown = [field for field in fields if field not in PRODUCT_SCHEMA.names]
    if unknown:
        raise ConfigError(
            f"clip.fields: a product has no {', '.join(unknown)}; "
            f"choose from {', '.join(PRODUCT_SCHEMA.names)}"
        )
    texts: dict[str, str] = {}
    for batch in shop.product_batches():
        records = batch.select(list(dict.fromkeys(("id", *fields)))).to_pylist()
        texts |= {record["id"]: text_of(record, fields) for record in records}
    return texts


def _decode_all(shop: Shop, clip: Clip, wanted: set[Name], track: Track) -> dict[Name, Tensor]:
    """Return the pixels of the wanted pictures; one that cannot be read is not among them."""
    found = track(_each_once(shop, wanted), "read pictures", len(wanted))
    pixels: dict[Name, Tensor] = {}
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        while chunk := list(islice(found, DECODED_AT_ONCE)):
            decoded = pool.map(partial(_decode, clip), [picture for _, picture in chunk])
            for (name, _), picture in zip(chunk, decoded, strict=True):
                if picture is not None:
                    pixels[name] = picture
    return pixels


def _each_once(shop: Shop, wanted: set[Name]) -> Iterator[tuple[Name, bytes]]:
    waiting = set(wanted)
    for batch in shop.picture_batches():
        for picture in batch.column("image").to_pylist():
            name = content_hash(picture)
            if name in waiting:
                waiting.discard(name)
                yield name, picture


def _decode(clip: Clip, picture: bytes) -> Tensor | None:
    try:
        return clip.pixels(open_picture(picture))
    except BrokenPicture:
        return None


def _pairs(clip: Clip, readable: list[Pair], pixels: dict[Name, Tensor]) -> PicturePairs:
    pictures = _numbered(pair.name for pair in readable)
    texts = _numbered(pair.text for pair in readable)
    pairs = PicturePairs(
        torch.stack([pixels[name] for name in pictures]),
        clip.tokens(list(texts)),
        torch.tensor([pictures[pair.name] for pair in readable]),
        torch.tensor([texts[pair.text] for pair in readable]),
    )
    more = _numbered(pair.more for pair in readable)
    if len(more) < 2:  # the same of all, as where there is none, teaches nothing
        return pairs
    of_each = torch.tensor([more[pair.more] for pair in readable])
    return pairs._replace(more_tokens=clip.tokens(list(more)), more=of_each)


def _numbered(values: Iterable[str]) -> dict[str, int]:
    return {value: row for row, value in enumerate(dict.fromkeys(values))}
