"""Turns a purchase log into training requests: what was known at a moment, what was bought next."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial

import numpy as np
from jaxtyping import Bool, Float32, Int64

from pipelines.config.sections import Config
from pipelines.progress import Track
from pipelines.release.parts import Parts
from pipelines.release.retriever import behaviour_settings, retriever
from pipelines.shop.purchases.log import Basket, Log, next_baskets
from pipelines.training.ranker.impressions import Impressions
from pipelines.training.ranker.synthetic_searches import SyntheticSearch, SyntheticSearches
from ranking.features.request import request_context, request_features
from ranking.network.examples import Example, labels_of
from retrieval import Candidates, Placement, Scene
from retrieval.behaviour.purchases import DAY, History
from retrieval.behaviour.statistics import selling_now
from retrieval.behaviour.tables import Behaviour
from retrieval.encoded_query import EncodedQuery
from retrieval.encoders.query import QueryEncoder
from retrieval.fusion.fusion import take
from retrieval.fusion.relevance import NARROW, bands, order_within_bands
from retrieval.query_rewriting import query_vectors

MOST_BASKETS = 3_000  # of one window; more would not fit into memory with their candidates


@dataclass(frozen=True)
class PastShop:
    """What past requests are asked of: the parts of a release, and who asked."""

    parts: Parts
    config: Config
    encoder: QueryEncoder
    shown: Bool[np.ndarray, "n"]  # products that shoppers may see
    traits: dict[str, dict[str, str]]  # of each shopper

    @cached_property
    def shown_rows(self) -> Int64[np.ndarray, "s"]:
        """The rows of the products that shoppers may see."""
        return np.flatnonzero(self.shown)

    @cached_property
    def titles(self) -> Sequence[str]:
        """The titles of the products."""
        return self.parts.products.column("title")

    def query_vectors(self, texts: Sequence[str]) -> Float32[np.ndarray, "q d"]:
        """Return the vectors of searches, as they are encoded when they are served."""
        if not texts:
            return np.empty((0, 0), np.float32)
        words = self.parts.lexical if "lexical" in self.config.retrieval.channels else None
        return query_vectors(self.encoder, words, texts)

    @property
    def window_seconds(self) -> int:
        """How long a window is."""
        return self.config.ranking.window_days * DAY

    def starts(self, until_seconds: int) -> list[int]:
        """Return where the windows before `until` start, the newest first."""
        count = self.config.ranking.windows + 1
        return [until_seconds - self.window_seconds * (i + 1) for i in range(count)]


class PastRetriever:
    """The first stage as it was on an earlier day, with the habits and prices known by then."""

    def __init__(self, past: PastShop, log: Log, start_seconds: int) -> None:
        self._past = past
        self._behaviour = Behaviour.build(
            log.user_ids,
            log.purchases,
            past.parts.products.size,
            start_seconds,
            behaviour_settings(past.config),
            past.parts.content,
        )
        usual = log.before(start_seconds).usual_prices(past.parts.products.size)
        self._catalogue = past.parts.catalogue._replace(prices=usual)
        # Towers know the weeks that are replayed here, so what they propose is left out.
        parts = past.parts._replace(trained=None)
        self._retriever = retriever(parts, self._behaviour, past.config)

    def history(self, user_id: str, at_seconds: int) -> History:
        """Return what this shopper had bought before the window, as of a moment."""
        return self._behaviour.history(user_id, at_seconds)

    def retrieve(self, ask: EncodedQuery) -> Candidates:
        """Return the candidates of a request."""
        return self._retriever.retrieve(ask, self._past.config.retrieval.candidates)

    def order(self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]) -> Candidates:
        """Return given products as the candidates of a request."""
        return self._retriever.order(ask, rows)

    def example(
        self,
        ask: EncodedQuery,
        candidates: Candidates,
        user_id: str,
        scene: Scene,
        labels: Callable[[Int64[np.ndarray, "c"]], Float32[np.ndarray, "c o"]],
    ) -> Example:
        """Return a request with these candidates, in order of retrieval, and their labels."""
        past = self._past
        candidates, band = self._as_served(candidates)
        traits, recent = past.traits.get(user_id, {}), past.config.ranking.recent_products
        return Example(
            rows=candidates.rows,
            features=request_features(self._behaviour, self._catalogue, ask, candidates),
            labels=labels(candidates.rows),
            context=request_context(ask, traits, scene, recent),
            at_seconds=ask.at_seconds,
            bands=band,
        )

    def _as_served(
        self, candidates: Candidates
    ) -> tuple[Candidates, Int64[np.ndarray, "c"] | None]:
        """Return candidates as they are served without a ranker, and the band of each.

        What was in stock then is not known, so that all of it counts as in stock.
        """
        relevance = candidates.relevance
        if relevance is None:
            return candidates, None
        width, in_stock = self._past.config.retrieval.band, np.ones(len(candidates.rows), bool)
        popularity = selling_now(self._behaviour.statistics)[candidates.rows]
        order = order_within_bands(bands(relevance, width * NARROW), in_stock, popularity)
        return take(candidates, order), bands(relevance, width)[order]


def from_baskets(
    past: PastShop, log: Log, until_seconds: int, track: Track
) -> tuple[list[Example], list[Example]]:
    """Return the baskets of the weeks before `until` as examples, and the newest as validation.

    The habits behind an example end where its window starts, so nothing is known too early. The
    made-up searches of the newest window are for other products, in other words, than the others.
    """
    purchases, random = log.purchases, np.random.default_rng(past.config.seed)
    starts = [at for at in past.starts(until_seconds) if (purchases.seconds < at).any()]
    before = log.before(until_seconds)
    searches = SyntheticSearches(past.parts.products.ids, past.titles, past.query_vectors, random)
    windows = [
        list(_of_baskets(past, before, start, searches, random, newest=start == starts[0]))
        for start in track(starts[::-1], "replay past requests", len(starts))
    ]
    return [e for window in windows[:-1] for e in window], windows[-1] if windows else []


def from_impressions(
    past: PastShop, log: Log, shown: Sequence[Impressions], until_seconds: int, track: Track
) -> tuple[list[Example], list[Example]]:
    """Return what was shown in the windows before `until`, and in the newest as validation.

    What came to nothing is kept in the newest only, where it tells how likely an outcome is.
    """
    starts = past.starts(until_seconds)
    windows = []
    for start in track(starts, "replay what was shown", len(starts)):
        end, newest = start + past.window_seconds, start == starts[0]
        inside = [o for o in shown if start <= o.at_seconds < end and (newest or o.came())]
        windows.append(list(_of_impressions(past, log, inside, start)) if inside else [])
    return [e for window in windows[1:] for e in window], windows[0]


def _of_impressions(
    past: PastShop, log: Log, shown: Sequence[Impressions], start_seconds: int
) -> Iterator[Example]:
    then = PastRetriever(past, log, start_seconds)
    texts = sorted({one.text for one in shown if one.text.strip()})
    vectors = dict(zip(texts, past.query_vectors(texts), strict=True)) if texts else {}
    for one in shown:
        ask = EncodedQuery(
            text=one.text,
            joined_vector=vectors.get(one.text),
            history=then.history(one.user_id, one.at_seconds),
            at_seconds=one.at_seconds,
        )
        labels = partial(_in_place, one.labels, one.rows)
        candidates = then.order(ask, one.rows)
        scene = scene_shown(one, past.config.shop.country)
        example = then.example(ask, candidates, one.user_id, scene, labels)
        yield example._replace(weights=_in_place(one.weights, one.rows, example.rows))


def _in_place(values: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the values of some rows, given those of sorted rows."""
    return np.asarray(values[np.searchsorted(rows, wanted)])


def _of_baskets(
    past: PastShop,
    log: Log,
    start_seconds: int,
    searches: SyntheticSearches,
    random: np.random.Generator,
    *,
    newest: bool,
) -> Iterator[Example]:
    then = PastRetriever(past, log, start_seconds)
    end_seconds = start_seconds + past.window_seconds
    baskets = next_baskets(log.user_ids, log.purchases, start_seconds, end_seconds)
    baskets = _some(baskets, random)
    asked = searches.for_some_of(baskets, judging=newest)
    for basket in baskets:
        yield _of_basket(past, then, basket, None, random)
        if basket.user_id in asked:
            yield _of_basket(past, then, basket, asked[basket.user_id], random)


def _of_basket(
    past: PastShop,
    then: PastRetriever,
    basket: Basket,
    search: SyntheticSearch | None,
    random: np.random.Generator,
) -> Example:
    ask = EncodedQuery(
        text=search.text if search else "",
        joined_vector=search.vector if search else None,
        history=then.history(basket.user_id, basket.at_seconds),
        at_seconds=basket.at_seconds,
        allowed=past.shown,
    )
    candidates = then.retrieve(ask)
    if search is None:  # what does not fit a search is never ranked before what does
        candidates = then.order(ask, _with_negatives(past, candidates.rows, random))
    bought = np.array([search.row]) if search else basket.rows
    scene = Scene(
        at=datetime.fromtimestamp(basket.at_seconds, UTC).replace(tzinfo=None),
        placement=Placement.SEARCH if search else Placement.HOME,
        country=past.config.shop.country,
    )

    def labels(candidates: Int64[np.ndarray, "c"]) -> Float32[np.ndarray, "c o"]:
        return labels_of(purchase=np.isin(candidates, bought))

    example = then.example(ask, candidates, basket.user_id, scene, labels)
    missed = len(bought) - int(example.wanted().sum())
    return example._replace(synthetic=search is not None, missed=missed)


def _with_negatives(
    past: PastShop, proposed: Int64[np.ndarray, "c"], random: np.random.Generator
) -> Int64[np.ndarray, "n"]:
    """Add products that nothing speaks for: the ranker may be asked to rank them too."""
    count = min(past.config.ranking.sampled_negatives, len(past.shown_rows))
    sampled = random.choice(past.shown_rows, count, replace=False)
    return np.concatenate([proposed, np.setdiff1d(sampled, proposed)])


def _some(baskets: list[Basket], random: np.random.Generator) -> list[Basket]:
    """Return at most MOST_BASKETS of them, drawn at random."""
    if len(baskets) <= MOST_BASKETS:
        return baskets
    drawn = random.choice(len(baskets), MOST_BASKETS, replace=False)
    return [baskets[i] for i in np.sort(drawn)]


def scene_shown(one: Impressions, country: str) -> Scene:
    """Return where and when something was shown; a placement of another shop's is the home page."""
    known = one.placement in set(Placement)
    elsewhere = Placement.SEARCH if one.text.strip() else Placement.HOME
    return Scene(
        at=datetime.fromtimestamp(one.at_seconds, UTC).replace(tzinfo=None),
        placement=Placement(one.placement) if known else elsewhere,
        country=country,
    )
