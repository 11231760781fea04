"""Writes what a release holds, part by part; `parts` opens it again."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32

from index import (
    Before,
    Columns,
    Lenience,
    LexicalIndex,
    Planned,
    SynonymError,
    build_index,
    check_synonyms,
    map_array,
    save_array,
    save_index,
)
from pipelines import ray_encode
from pipelines.config import Config, ConfigError
from pipelines.elsewhere import fill, is_elsewhere, open_space
from pipelines.encode import content_hash, encode_pictures, encode_texts, text_of, words_of
from pipelines.encoders import Encoders
from pipelines.errors import ShopError
from pipelines.parts import (
    BEHAVIOUR,
    CONTENT,
    KINDS,
    PROMOTIONS,
    WORDS,
    behaviour_settings,
    categories_and_prices,
    kinds_of,
)
from pipelines.progress import Track
from pipelines.purchases import Log, read_purchases
from pipelines.sharded import in_shards, write_sharded
from pipelines.shop import PICTURE_SCHEMA, PRODUCT_SCHEMA, USER_SCHEMA, Shop
from ranking.catalogue_words import CatalogueWords
from retrieval.behaviour import DAY, Behaviour, save_bridge, until_of
from retrieval.cold_start import NO_CONTENT, Content, bridge, nearest_content
from retrieval.neighbours import TooLittleMemory
from retrieval.promotions import Promotions, Runs, in_order, save_promotions
from retrieval.query_encoder import QueryEncoder
from retrieval.spaces import has_vector, join
from retrieval.types import PromotionKind, local_seconds

LEXICAL_FIELDS = {"title": 2.0, "brand": 1.0, "categories": 1.0, "description": 0.5}
TEST_QUERIES = 200  # short texts from titles, on which the index is tuned
NAMED_FAILURES = 20
MOST_SYNONYM_BYTES = 1_000_000
MOST_UNKNOWN = 0.1  # of the tokens of texts, above which a build says so
MULTILINGUAL = "paraphrase-multilingual-MiniLM-L12-v2"
FIRST = 100  # pictures that runtimes are compared on
NO_MOMENT = np.iinfo(np.int64).max


class Job(NamedTuple):
    """Everything that the steps of one build share."""

    shop: Shop
    folder: Path
    embeddings: Path
    encoders: Encoders
    config: Config
    until: datetime | None
    track: Track


def write_products(job: Job) -> Columns:
    """Write the product and user columns; return the products."""
    products = job.folder / "products.arrow"
    paid = prices_paid(job.shop, job.until)
    batches = (_priced(batch, paid) for batch in job.shop.product_batches())
    Columns.write(products, batches, PRODUCT_SCHEMA)
    Columns.write(job.folder / "users.arrow", job.shop.users().to_batches(), USER_SCHEMA)
    return Columns.open(products)


def write_album(job: Job, products: Columns) -> None:
    """Write every distinct picture once, and which product shows which."""
    picture_of = np.full(products.size, -1, np.int32)
    batches = _distinct_pictures(job.shop, products, picture_of)
    Columns.write(job.folder / "pictures.arrow", batches, PICTURE_SCHEMA)
    save_array(job.folder / "catalogue/picture_of.npy", picture_of)


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


def write_vectors(job: Job, texts: list[str], products: Columns) -> dict[str, Any]:
    """Encode what was not encoded before, join the two spaces; return what failed."""
    if job.config.encoders.runner == "ray":
        source = ray_encode.Source(job.shop, products.ids, texts)
        ray_encode.fill(source, job.encoders, job.config, job.embeddings, job.track)
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


def write_lexical(job: Job, products: Columns) -> None:
    """Write the word index."""
    documents = (_document(record) for batch in _batches(job) for record in batch.to_pylist())
    counted = job.track(documents, "index words", products.size)
    language = job.config.retrieval.language
    LexicalIndex.build(
        job.folder / "lexical", LEXICAL_FIELDS, counted, language, lenience_of(job.config)
    )


def write_indexes(
    job: Job, products: Columns, before: Mapping[str, Before] = MappingProxyType({})
) -> dict[str, Any]:
    """Write the vector indexes; return the recall that was measured.

    `before` are indexes of the spaces in another release, of vectors much like these.
    """
    encoder = query_encoder(job)
    texts = test_queries(products, job.config.seed)
    found = _write_index(job, "joined", encoder.texts(texts), before)
    if job.encoders.image is not None and (job.folder / "vectors/picture.npy").exists():
        found |= _write_index(job, "picture", job.encoders.image.encode_texts(texts), before)
    return found


def lenience_of(config: Config) -> Lenience:
    """Return how far words may be from those of the products; ConfigError where it is unreadable.

    A release holds a copy of the synonyms.
    """
    settings = config.retrieval
    synonyms = _synonyms(settings.synonyms, settings.language) if settings.synonyms else b""
    return Lenience(settings.fuzzy, synonyms, settings.synonym_weight)


def _synonyms(path: str, language: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_SYNONYM_BYTES + 1)
        check_synonyms(content, language)
    except (OSError, SynonymError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise ConfigError(f"retrieval.synonyms={path!r}: {reason}") from None
    return content


def write_words(job: Job, products: Columns) -> None:
    """Write what every product says as numbered words, for the ranker's features."""
    texts = (words_of(record) for batch in _batches(job) for record in batch.to_pylist())
    counted = job.track(texts, "number words", products.size)
    CatalogueWords.read(counted, job.config.retrieval.language).save(job.folder / WORDS)


def promotions_of(shop: Shop, products: Columns) -> Promotions:
    """Return what the shop puts forward of these products; of others nothing is kept."""
    table = shop.promotions()
    found = {}
    for kind in PromotionKind:
        runs = table.filter(pc.equal(table["kind"], kind.value))
        rows = pc.index_in(runs["product"], pa.array(products.ids)).fill_null(-1).to_numpy()
        starts, ends = (runs[name].to_numpy().astype("datetime64[s]") for name in ("start", "end"))
        columns = Runs(
            rows.astype(np.int32),
            starts.astype(np.int64),
            ends.astype(np.int64),
            runs["share"].to_numpy().astype(np.float32),
        )
        known = np.flatnonzero(rows >= 0)
        found[kind] = in_order(Runs(*(column[known] for column in columns)))
    return found


def write_behaviour(job: Job, products: Columns) -> Log:
    """Write the tables of what shoppers did before `until`, and the features' catalogue."""
    write_catalogue(job, products)
    write_promotions(job, products)
    log = read_purchases(job.shop, products, job.until)
    write_tables(job, log, products.size)
    write_content(job, products.size)
    return log


def write_catalogue(job: Job, products: Columns) -> None:
    """Write numbers of categories and kinds, and the prices."""
    catalogue = categories_and_prices(products)
    save_array(job.folder / "catalogue/categories.npy", catalogue.categories)
    save_array(job.folder / "catalogue/prices.npy", catalogue.prices)
    save_array(job.folder / KINDS, kinds_of(products))


def write_promotions(job: Job, products: Columns) -> None:
    """Write what the shop puts forward."""
    save_promotions(promotions_of(job.shop, products), job.folder / PROMOTIONS)


def write_tables(job: Job, log: Log, num_products: int) -> dict[str, Any]:
    """Write what follows from purchases alone; return what counts as one."""
    try:
        behaviour = Behaviour.build(
            log.user_ids,
            log.purchases,
            num_products,
            end_of(job, log),
            behaviour_settings(job.config),
        )
    except TooLittleMemory as e:
        raise ConfigError(str(e)) from None
    behaviour.save_tables(job.folder / BEHAVIOUR)
    return {"events": log.kind}


def write_content(job: Job, num_products: int) -> None:
    """Write what products look like that were new, and who inherits from whom."""
    content = _content(job, num_products)
    for name, column in content._asdict().items():
        save_array(job.folder / CONTENT.format(name), column)
    baskets = map_array(job.folder / BEHAVIOUR / "product_baskets.npy")
    save_bridge(bridge(content, baskets > 0), job.folder / BEHAVIOUR)


def _content(job: Job, num_products: int) -> Content:
    """Find what looks like each product that was new at `until` or in any window before it."""
    folder = job.folder / BEHAVIOUR
    rows, seconds = (map_array(folder / f"log_{name}.npy") for name in ("rows", "seconds"))
    if not job.config.behaviour.cold_start or not len(rows):
        return NO_CONTENT
    ranking = job.config.ranking
    oldest = until_of(folder) - ranking.window_days * DAY * (ranking.windows + 1)
    cold = np.bincount(rows[seconds < oldest], minlength=num_products) == 0
    vectors = map_array(job.folder / "vectors/joined.npy")
    index = open_space(job.folder, "joined", vectors)
    return nearest_content(index, vectors, cold)


def end_of(job: Job, log: Log) -> int:
    """Return the second that nothing in the release has seen: `until`, or just after the log."""
    if job.until is not None:
        return local_seconds(job.until)
    return int(log.purchases.seconds.max(initial=0)) + 1


def query_encoder(job: Job) -> QueryEncoder:
    """Return what brings texts into the spaces of this build."""
    return QueryEncoder(job.encoders.text, job.encoders.image, job.config.encoders.image_weight)


def test_queries(products: Columns, seed: int) -> list[str]:
    """Return short texts as a shopper may write them: two words of a title, seeded."""
    random = np.random.default_rng(seed)
    titles = products.column("title")
    drawn = random.choice(len(titles), min(TEST_QUERIES, len(titles)), replace=False)
    words = [titles[row].replace(",", " ").split() for row in drawn]
    return [" ".join(random.permutation(w)[:2]) if w else titles[drawn[0]] for w in words]


def _write_index(
    job: Job, space: str, queries: Float32[np.ndarray, "q d"], before: Mapping[str, Before]
) -> dict[str, Any]:
    vectors = map_array(job.folder / f"vectors/{space}.npy")
    settings = job.config.index
    if is_elsewhere(settings):
        return fill(job.folder, space, vectors, queries, settings)
    rows = np.flatnonzero(has_vector(vectors))
    if in_shards(job.config, len(rows)):
        return write_sharded(job.folder, space, queries, job.config)
    planned = build_index(
        vectors,
        queries,
        factory=settings.factory,
        rows=rows,
        k=settings.recall_k,
        recall_target=settings.recall_target,
        before=before.get(space),
        kind=settings.asked_kind,
        memory_bytes=settings.memory_bytes,
        seed=job.config.seed,
    )
    save_index(planned.built, job.folder / f"index/{space}.faiss")
    return described(planned, space, settings.recall_k)


def described(planned: Planned, space: str, k: int) -> dict[str, Any]:
    """Return what a manifest says of the index of one space."""
    return {
        f"{space}_recall_at_{k}": round(planned.recall, 4),
        f"{space}_kind": planned.kind,
        f"{space}_index": f"{planned.factory}, effort {planned.effort}",
        f"{space}_curve": msgspec.to_builtins(planned.curve),
        f"{space}_choices": msgspec.to_builtins(planned.choices),
    }


def prices_paid(shop: Shop, until: datetime | None) -> dict[str, float]:
    """Return what one unit of each product usually cost on receipts before `until`: the median."""
    columns = ["product", "quantity", "value"]
    parts = [_unit_prices(batch) for batch in shop.event_batches(until, columns)]
    if not parts:
        return {}
    paid = pa.concat_tables(parts).group_by("product").aggregate([("price", "approximate_median")])
    names, medians = (paid[name].to_pylist() for name in ("product", "price_approximate_median"))
    return {name: round(median, 2) for name, median in zip(names, medians, strict=True)}


def _unit_prices(batch: pa.RecordBatch) -> pa.Table:
    table = pa.Table.from_batches([batch])
    table = table.filter(pc.greater(table["value"], 0.0)).drop_null()
    price = pc.divide(table["value"], table["quantity"])
    return pa.table({"product": table["product"], "price": price})


def _priced(batch: pa.RecordBatch, paid: dict[str, float]) -> pa.RecordBatch:
    """Fill in the prices that the catalogue does not say with those that were paid."""
    receipts = pa.array([paid.get(name) for name in batch["id"].to_pylist()], pa.float64())
    place = batch.schema.get_field_index("price")
    return batch.set_column(place, "price", pc.coalesce(batch["price"], receipts))


def _batches(job: Job) -> Iterator[pa.RecordBatch]:
    return job.shop.product_batches()


def _document(record: dict[str, Any]) -> dict[str, str]:
    return {name: text_of(record, (name,)) for name in LEXICAL_FIELDS}


def _distinct_pictures(
    shop: Shop, products: Columns, picture_of: np.ndarray
) -> Iterator[pa.RecordBatch]:
    place: dict[str, int] = {}
    row_of = {product_id: row for row, product_id in enumerate(products.ids)}
    for batch in shop.picture_batches():
        fresh = []
        for record in batch.to_pylist():
            row = row_of.get(record["id"])
            if row is None or not record["image"] or picture_of[row] >= 0:  # its first is shown
                continue
            name = content_hash(record["image"])
            if name not in place:
                place[name] = len(place)
                fresh.append({**record, "id": name})
            picture_of[row] = place[name]
        yield pa.RecordBatch.from_pylist(fresh, PICTURE_SCHEMA)
