"""Pinned queries: the same requests, with relevant products, for one release after the other."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import xxhash
from msgspec import Meta

from index import Columns
from pipelines.config.sections import OFFLINE_DEADLINE_MS, Config, not_hidden
from pipelines.engine.engine import Engine
from pipelines.errors import RequestError, ShopError, json_fault
from pipelines.evaluation.requests import request_lines
from pipelines.release.layout import PINNED_QUERIES
from pipelines.shop.purchases.log import Basket, next_baskets
from pipelines.shop.reader import PINNED, Shop
from retrieval import Query, Scene
from retrieval.behaviour.purchases import DAY, Purchases
from retrieval.behaviour.tables import Behaviour
from retrieval.types import Text, UserId

PAGE = 20  # products of an answer that are looked at
WORDS = 2  # of a title that is searched for
MOST = 2_000  # queries of a shop
MOST_JUDGED = 1_000  # products of one query
BY_USER, BY_PRODUCT = "shopper", "product"

Gain = Annotated[float, Meta(gt=0, le=1e6)]


class Pinned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One query and its relevant products: ids with gains above 0; none: not judged."""

    id: Annotated[str, Meta(min_length=1, max_length=140)]
    text: Text = ""
    user: UserId | None = None
    at: datetime | None = None
    filter: Annotated[str, Meta(max_length=10_000)] = ""
    relevant: Annotated[dict[str, Gain], Meta(max_length=MOST_JUDGED)] = {}

    @property
    def kind(self) -> str:
        """Whether it is a search or a recommendation."""
        return "searches" if self.text.strip() else "recommendations"


class PinnedSource(NamedTuple):
    """The source of generated pinned queries: a release's products and their purchases."""

    products: Columns
    behaviour: Behaviour
    config: Config


def read_pinned(shop: Shop) -> tuple[Pinned, ...]:
    """Return what a shop pins in `pinned.jsonl`, nothing where it has no such file."""
    path = shop.folder / PINNED
    if not path.exists():
        return ()
    found: dict[str, Pinned] = {}
    for number, line in request_lines(path):
        where = f"{path}, line {number}"
        if len(found) == MOST:
            raise ShopError(f"{where}: more than {MOST:,} queries; pin fewer")
        try:
            one = msgspec.json.decode(line or b"", type=Pinned)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            fault = json_fault(line or b"", e)
            raise ShopError(
                f"{where}: {fault}; expected one JSON object such as {EXAMPLE}"
            ) from None
        if one.id in found:
            raise ShopError(f"{where}: the id {one.id!r} stands twice; ids are unique")
        found[one.id] = one
    return tuple(found.values())


EXAMPLE = '{"id": "q1", "text": "oat milk", "relevant": {"p17": 1}}'


def make_pinned(live: PinnedSource, draft: PinnedSource) -> tuple[Pinned, ...]:
    """Return queries made from a shop's own products and baskets, the same in each build.

    A search is for words of the title of a product that the live release has and the shop still
    has, and all products that these words name should come; a recommendation is for a shopper's
    first basket of the newest window, which the draft has seen. Who and what is drawn by a hash of
    the name, so that a change of the catalogue changes few of them. Nothing here is of the draft's
    moment or later.
    """
    count, behaviour = draft.config.gate.queries, draft.behaviour
    end = behaviour.until_seconds
    start = end - draft.config.ranking.window_days * DAY
    baskets = next_baskets(behaviour.purchases.user_ids, purchases_of(behaviour), start, end)
    return (*_searches(live, draft, count), *_of_baskets(baskets, draft, count))


def save_pinned(queries: Iterable[Pinned], folder: Path) -> None:
    """Write the queries into a release."""
    (folder / PINNED_QUERIES).write_bytes(b"".join(msgspec.json.encode(q) + b"\n" for q in queries))


def open_pinned(folder: Path) -> tuple[Pinned, ...]:
    """Return the queries of a release; none of one from before there were any."""
    path = folder / PINNED_QUERIES
    lines = path.read_bytes().splitlines() if path.exists() else []
    return tuple(msgspec.json.decode(line, type=Pinned) for line in lines)


def ask(engine: Engine, pinned: Pinned, k: int = PAGE) -> list[str]:
    """Return the ids that a release answers with; none where it refuses the query."""
    try:
        slate = engine.answer(query_of(pinned, k))
    except RequestError:  # such as a filter on a field that it does not have
        return []
    return [placed.product.id for placed in slate.products]


def query_of(pinned: Pinned, k: int = PAGE) -> Query:
    """Return what the engine is asked."""
    return Query(
        text=pinned.text,
        user=pinned.user,
        scene=Scene(at=pinned.at),
        filter=pinned.filter,
        k=k,
        deadline_ms=OFFLINE_DEADLINE_MS,
    )


def _searches(live: PinnedSource, draft: PinnedSource, count: int) -> list[Pinned]:
    shown = live.products.allowed(not_hidden(live.config))
    titles, ids = live.products.column("title"), live.products.ids
    known = set(draft.products.ids)
    words_of = {ids[row]: _words(titles[row]) for row in np.flatnonzero(shown).tolist()}
    named_by: dict[str, list[str]] = {}
    for name, words in words_of.items():
        if words and name in known:
            named_by.setdefault(words, []).append(name)
    firsts = [min(names) for names in named_by.values()]  # so that no text is asked twice
    at = _moment(draft.behaviour.until_seconds)
    return [
        Pinned(
            id=f"{BY_PRODUCT} {name}",
            text=words_of[name],
            at=at,
            relevant=dict.fromkeys(sorted(named_by[words_of[name]])[:MOST_JUDGED], 1.0),
        )
        for name in drawn(firsts, count)
    ]


def _of_baskets(baskets: Iterable[Basket], draft: PinnedSource, count: int) -> list[Pinned]:
    by_user = {basket.user_id: basket for basket in baskets}
    names = draft.products.ids
    return [_basket(by_user[user], names) for user in drawn(list(by_user), count)]


def _basket(basket: Basket, names: Sequence[str]) -> Pinned:
    return Pinned(
        id=f"{BY_USER} {basket.user_id}",
        user=basket.user_id,
        at=_moment(basket.at_seconds),
        relevant={names[row]: 1.0 for row in basket.rows[:MOST_JUDGED].tolist()},
    )


def purchases_of(behaviour: Behaviour) -> Purchases:
    """Return the log of a release with the number of the user beside each line."""
    purchases = behaviour.purchases
    users = np.repeat(np.arange(len(purchases.user_ids)), np.diff(purchases.offsets))
    log = purchases.entries
    return Purchases(
        users.astype(np.int32),
        np.asarray(log.rows),
        np.asarray(log.seconds),
        np.asarray(log.baskets),
    )


def drawn(names: Sequence[str], count: int) -> list[str]:
    """Return `count` names by their hash: mostly the same where the names change little."""
    return sorted(names, key=lambda name: (xxhash.xxh3_64_intdigest(name.encode()), name))[:count]


def _words(title: str) -> str:
    """Return two words from the middle of a title, as they stand there."""
    words = title.replace(",", " ").split()
    start = max((len(words) - WORDS) // 2, 0)
    return " ".join(words[start : start + WORDS])[:1_000]


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
