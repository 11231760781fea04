"""Turns a purchase log into training requests: what was known at a moment, what was bought next."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from pipelines.config import Config
from pipelines.progress import Track
from pipelines.release.parts import Parts
from pipelines.release.retriever import behaviour_settings, retriever
from pipelines.shop.purchases import Basket, Log, next_baskets
from pipelines.training.ranker.impressions import Impressions
from ranking.features.request import request_context, request_features
from ranking.network.examples import Example, labels_of
from retrieval import Placement, Scene
from retrieval.behaviour.purchases import DAY, Purchases
from retrieval.behaviour.tables import Behaviour
from retrieval.encoded_query import EncodedQuery
from retrieval.encoders.query import QueryEncoder
from retrieval.retriever import Retriever

MOST_BASKETS = 3_000  # of one window; more would not fit into memory with their candidates
SEARCH_SHARE = 0.2  # of training requests are also asked in words


class SyntheticSearch(NamedTuple):
    """A search made up from the words of a product that was then bought."""

    text: str
    vector: Float32[np.ndarray, "d"]
    row: int


class ExampleMaker:
    """Replays past requests against what was known on their own day."""

    def __init__(
        self,
        parts: Parts,
        config: Config,
        encoder: QueryEncoder,
        shown: Bool[np.ndarray, "n"],
        traits: dict[str, dict[str, str]],
    ) -> None:
        self._parts = parts
        self._config = config
        self._encoder = encoder
        self._shown = shown
        self._shown_rows = np.flatnonzero(shown)
        self._traits = traits
        self._titles = parts.products.column("title")
        self._random = np.random.default_rng(config.seed)

    def windows(
        self, user_ids: np.ndarray, purchases: Purchases, until_seconds: int, track: Track
    ) -> tuple[list[Example], list[Example]]:
        """Return training examples of the weeks before `until`, and the newest as validation.

        The habits behind an example end where its window starts, so nothing is known too early.
        """
        length = self._config.ranking.window_days * DAY
        starts = [
            until_seconds - length * (i + 1)
            for i in range(self._config.ranking.windows + 1)
            if (purchases.seconds < until_seconds - length * (i + 1)).any()
        ]
        past = Purchases(*(column[purchases.seconds < until_seconds] for column in purchases))
        found = [
            list(self._window(user_ids, past, start))
            for start in track(starts, "replay past requests", len(starts))
        ]
        return [e for window in found[1:] for e in window], found[0] if found else []

    def of_shown(
        self, log: Log, shown: Sequence[Impressions], until_seconds: int, track: Track
    ) -> tuple[list[Example], list[Example]]:
        """Return what was shown in the windows before `until`, and in the newest as validation.

        What came to nothing is kept in the newest only, where it tells how likely an outcome is.
        """
        length = self._config.ranking.window_days * DAY
        starts = [until_seconds - length * (i + 1) for i in range(self._config.ranking.windows + 1)]
        found = []
        for start in track(starts, "replay what was shown", len(starts)):
            inside = [
                one
                for one in shown
                if start <= one.at_seconds < start + length and (start == starts[0] or one.came())
            ]
            found.append(list(self._of_window(log, inside, start)) if inside else [])
        return [e for window in found[1:] for e in window], found[0]

    def _of_window(
        self, log: Log, shown: Sequence[Impressions], start_seconds: int
    ) -> Iterator[Example]:
        behaviour, stage = self._as_of(log.user_ids, log.purchases, start_seconds)
        texts = sorted({one.text for one in shown if one.text.strip()})
        vectors = dict(zip(texts, self._encoder.texts(texts), strict=True)) if texts else {}
        for one in shown:
            ask = EncodedQuery(
                text=one.text,
                joined_vector=vectors.get(one.text),
                history=behaviour.history(one.user_id, one.at_seconds),
                at_seconds=one.at_seconds,
            )
            candidates = stage.order(ask, one.rows)
            place = np.searchsorted(one.rows, candidates.rows)
            traits = self._traits.get(one.user_id, {})
            yield Example(
                rows=candidates.rows,
                features=request_features(behaviour, self._parts.catalogue, ask, candidates),
                labels=one.labels[place],
                context=request_context(
                    ask, traits, scene_shown(one), self._config.ranking.recent_products
                ),
                weights=one.weights[place],
                at_seconds=one.at_seconds,
            )

    def _as_of(
        self, user_ids: np.ndarray, purchases: Purchases, start_seconds: int
    ) -> tuple[Behaviour, Retriever]:
        """Return habits and the first stage as they were at a moment."""
        behaviour = Behaviour.build(
            user_ids,
            purchases,
            len(self._parts.products.ids),
            start_seconds,
            behaviour_settings(self._config),
            self._parts.content,
        )
        # Towers know the weeks that are replayed here, so what they propose is left out.
        return behaviour, retriever(self._parts._replace(trained=None), behaviour, self._config)

    def _window(
        self, user_ids: np.ndarray, purchases: Purchases, start_seconds: int
    ) -> Iterator[Example]:
        behaviour, stage = self._as_of(user_ids, purchases, start_seconds)
        end_seconds = start_seconds + self._config.ranking.window_days * DAY
        baskets = self._some(next_baskets(user_ids, purchases, start_seconds, end_seconds))
        searches = self._searches(baskets)
        for basket in baskets:
            yield self._example(behaviour, stage, basket, None)
            if basket.user_id in searches:
                yield self._example(behaviour, stage, basket, searches[basket.user_id])

    def _example(
        self, behaviour: Behaviour, stage: Retriever, basket: Basket, asked: SyntheticSearch | None
    ) -> Example:
        ask = EncodedQuery(
            text=asked.text if asked else "",
            joined_vector=asked.vector if asked else None,
            history=behaviour.history(basket.user_id, basket.at_seconds),
            at_seconds=basket.at_seconds,
            allowed=self._shown,
        )
        proposed = stage.retrieve(ask, self._config.retrieval.candidates).rows
        candidates = stage.order(ask, self._with_negatives(proposed))
        wanted = np.array([asked.row]) if asked else basket.rows
        scene = Scene(
            at=datetime.fromtimestamp(basket.at_seconds, UTC).replace(tzinfo=None),
            placement=Placement.SEARCH if asked else Placement.HOME,
        )
        return Example(
            rows=candidates.rows,
            features=request_features(behaviour, self._parts.catalogue, ask, candidates),
            labels=labels_of(purchase=np.isin(candidates.rows, wanted)),
            context=request_context(
                ask,
                self._traits.get(basket.user_id, {}),
                scene,
                self._config.ranking.recent_products,
            ),
            at_seconds=basket.at_seconds,
        )

    def _with_negatives(self, proposed: Int64[np.ndarray, "c"]) -> Int64[np.ndarray, "n"]:
        """Add products that nothing speaks for: the ranker may be asked to rank them too."""
        count = min(self._config.ranking.sampled_negatives, len(self._shown_rows))
        sampled = self._random.choice(self._shown_rows, count, replace=False)
        return np.concatenate([proposed, np.setdiff1d(sampled, proposed)])

    def _some(self, baskets: list[Basket]) -> list[Basket]:
        """Return at most MOST_BASKETS of them, drawn at random."""
        if len(baskets) <= MOST_BASKETS:
            return baskets
        drawn = self._random.choice(len(baskets), MOST_BASKETS, replace=False)
        return [baskets[i] for i in np.sort(drawn)]

    def _searches(self, baskets: list[Basket]) -> dict[str, SyntheticSearch]:
        """Make up a search for some baskets: two words of the title of a product bought."""
        meant = {
            basket.user_id: int(self._random.choice(basket.rows))
            for basket in baskets
            if self._random.random() < SEARCH_SHARE
        }
        texts = [self._words(str(self._titles[row])) for row in meant.values()]
        vectors = self._encoder.texts(texts)
        made = zip(meant.items(), texts, vectors, strict=True)
        return {user: SyntheticSearch(text, vector, row) for (user, row), text, vector in made}

    def _words(self, title: str) -> str:
        words = title.replace(",", " ").split()
        start = int(self._random.integers(0, max(len(words) - 1, 1)))
        return " ".join(words[start : start + 2])


def scene_shown(one: Impressions) -> Scene:
    """Return where and when something was shown; a placement of another shop's is the home page."""
    known = one.placement in set(Placement)
    elsewhere = Placement.SEARCH if one.text.strip() else Placement.HOME
    return Scene(
        at=datetime.fromtimestamp(one.at_seconds, UTC).replace(tzinfo=None),
        placement=Placement(one.placement) if known else elsewhere,
    )
