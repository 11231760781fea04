"""Encodes texts and pictures, and writes the vectors of both spaces."""

from index import save_array
from pipelines.building.context import BuildContext
from pipelines.config.sections import Config
from pipelines.encoding import ray_runner
from pipelines.encoding.pictures import encode_pictures
from pipelines.encoding.texts import encode_texts
from pipelines.release.layout import JOINED, PICTURE, vectors_of
from pipelines.release.manifest import Measurements
from pipelines.shop.reader import Shop
from retrieval.encoders.joined_space import has_vector, join

NAMED_FAILURES = 20
MOST_UNKNOWN = 0.1  # of the tokens of texts, above which a build says so
MULTILINGUAL = "paraphrase-multilingual-MiniLM-L12-v2"
FIRST = 100  # pictures that runtimes are compared on


def some_pictures(shop: Shop) -> list[bytes]:
    """Return the first pictures of a shop, readable or not."""
    batch = next(iter(shop.picture_batches()), None)
    return [] if batch is None else [one or b"" for one in batch["image"][:FIRST].to_pylist()]


def write_vectors(context: BuildContext) -> Measurements:
    """Encode what was not encoded before, join the two spaces; return what failed."""
    encoders, config = context.encoders, context.config
    if config.encoders.runner == "ray":
        source = ray_runner.EncodingSource(context.shop, context.products.ids, context.texts)
        ray_runner.fill(source, encoders, config, context.embeddings, context.track)
    text = encode_texts(context.texts, encoders.text, context.embeddings, context.track)
    measured = vocabulary(encoders.text.unknown_share(context.texts), config)
    if encoders.image is None:
        save_array(context.folder / vectors_of(JOINED), text)
        return {"pictures": 0, **measured}
    pictures = encode_pictures(
        context.products.ids,
        context.shop,
        encoders.image,
        context.embeddings,
        max_failed_share=config.encoders.max_failed_share,
        track=context.track,
    )
    joined = join(text, pictures.vectors, config.encoders.image_weight)
    save_array(context.folder / vectors_of(JOINED), joined)
    if has_vector(pictures.vectors).any():
        save_array(context.folder / vectors_of(PICTURE), pictures.vectors)
    return {
        **measured,
        "pictures": pictures.seen,
        "pictures_failed": len(pictures.failures),
        "pictures_failed_first": dict(list(pictures.failures.items())[:NAMED_FAILURES]),
    }


def vocabulary(unknown: float, config: Config) -> Measurements:
    """Return what a manifest says about the share of tokens that the text model lacks."""
    measured: Measurements = {"unknown_tokens": round(unknown, 4)}
    if unknown <= MOST_UNKNOWN:
        return measured
    model, fields = config.encoders.text.model, " and ".join(config.encoders.text.fields)
    notice = (
        f"{unknown:.0%} of the tokens of {fields} are unknown to {model}: products are found by "
        f"the words that are written, and hardly by their meaning; set encoders.text.model to a "
        f"model of your language, or to a multilingual one such as {MULTILINGUAL}"
    )
    return {**measured, "unknown_tokens_notice": notice}
