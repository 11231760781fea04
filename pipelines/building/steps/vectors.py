"""Encodes texts and pictures, and writes the vectors of both spaces."""

from typing import Any

from index import Columns, save_array
from pipelines.building.context import BuildContext
from pipelines.config import Config
from pipelines.encoding import ray_runner
from pipelines.encoding.pictures import encode_pictures
from pipelines.encoding.texts import encode_texts
from pipelines.errors import ShopError
from pipelines.shop.product_text import text_of
from pipelines.shop.reader import Shop
from retrieval.encoders.joined_space import has_vector, join

NAMED_FAILURES = 20
MOST_UNKNOWN = 0.1  # of the tokens of texts, above which a build says so
MULTILINGUAL = "paraphrase-multilingual-MiniLM-L12-v2"
FIRST = 100  # pictures that runtimes are compared on


def read_texts(shop: Shop, config: Config) -> list[str]:
    """Return the words of each product that are encoded, in the order of the rows.

    A shop without products is a ShopError.
    """
    if shop.num_products == 0:
        raise ShopError(f"{shop.folder} holds no products; import some first")
    fields = config.encoders.text.fields
    batches = shop.product_batches()
    return [text_of(record, fields) for batch in batches for record in batch.to_pylist()]


def some_pictures(shop: Shop) -> list[bytes]:
    """Return the first pictures of a shop, readable or not."""
    batch = next(iter(shop.picture_batches()), None)
    return [] if batch is None else [one or b"" for one in batch["image"][:FIRST].to_pylist()]


def write_vectors(job: BuildContext, texts: list[str], products: Columns) -> dict[str, Any]:
    """Encode what was not encoded before, join the two spaces; return what failed."""
    if job.config.encoders.runner == "ray":
        source = ray_runner.EncodingSource(job.shop, products.ids, texts)
        ray_runner.fill(source, job.encoders, job.config, job.embeddings, job.track)
    text = encode_texts(texts, job.encoders.text, job.embeddings, job.track)
    known = vocabulary(job.encoders.text.unknown_share(texts), job.config)
    if job.encoders.image is None:
        save_array(job.folder / "vectors/joined.npy", text)
        return {"pictures": 0, **known}
    pictures = encode_pictures(
        products.ids,
        job.shop,
        job.encoders.image,
        job.embeddings,
        max_failed_share=job.config.encoders.max_failed_share,
        track=job.track,
    )
    joined = join(text, pictures.vectors, job.config.encoders.image_weight)
    save_array(job.folder / "vectors/joined.npy", joined)
    if has_vector(pictures.vectors).any():
        save_array(job.folder / "vectors/picture.npy", pictures.vectors)
    named = dict(list(pictures.failures.items())[:NAMED_FAILURES])
    return {
        **known,
        "pictures": pictures.seen,
        "pictures_failed": len(pictures.failures),
        "pictures_failed_first": named,
    }


def vocabulary(unknown: float, config: Config) -> dict[str, Any]:
    """Return what a manifest says about the share of tokens that the text model lacks."""
    told: dict[str, Any] = {"unknown_tokens": round(unknown, 4)}
    if unknown <= MOST_UNKNOWN:
        return told
    model, fields = config.encoders.text.model, " and ".join(config.encoders.text.fields)
    notice = (
        f"{unknown:.0%} of the tokens of {fields} are unknown to {model}: products are found by "
        f"the words that are written, and hardly by their meaning; set encoders.text.model to a "
        f"model of your language, or to a multilingual one such as {MULTILINGUAL}"
    )
    return {**told, "unknown_tokens_notice": notice}
