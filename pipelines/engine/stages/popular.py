"""The products that sell best: an answer without a model, an index or a history."""

from functools import cached_property

import numpy as np
from jaxtyping import Int64

from pipelines.engine.stages.eligibility import Eligible
from pipelines.engine.stages.fit_order import FitOrder
from pipelines.engine.stages.ranked_candidates import RankedCandidates, in_retrieval_order
from pipelines.engine.stages.sales import Sales
from pipelines.release.parts import Parts
from retrieval import Candidates, Query, Stage
from retrieval.channels.catalogue import CatalogueChannel
from retrieval.encoded_query import EncodedQuery


class PopularProducts:
    """The products of a release by their sales of these weeks, then those of every category."""

    def __init__(self, parts: Parts, sales: Sales, fit_order: FitOrder) -> None:
        self._parts = parts
        self._sales = sales
        self._fit_order = fit_order

    def warm_up(self) -> None:
        """Compute what the first request would wait for."""
        self._ordered  # noqa: B018 - kept from now on

    def best(self, query: Query, eligible: Eligible, silent: tuple[str, ...]) -> RankedCandidates:
        """Return the best-selling products that a request may have, what can be bought first.

        `silent` names the channels that would have answered.
        """
        rows = self._eligible(eligible)
        in_stock = self._fit_order.in_stock(rows, eligible.snapshot)
        rows = np.concatenate([rows[in_stock], rows[~in_stock]])
        if eligible.given is None:
            rows = rows[: query.k]
        candidates = Candidates(
            rows=rows, fused=self._sales.of(rows), positions={}, scores={}, silent=silent
        )
        return in_retrieval_order(candidates, is_search=query.is_search, stage=Stage.POPULAR)

    def _eligible(self, eligible: Eligible) -> Int64[np.ndarray, "c"]:
        """Return the eligible rows, the best-selling first; new products come last."""
        if eligible.given is not None:
            return eligible.given[np.argsort(-self._sales.of(eligible.given), kind="stable")]
        built = self._parts.products.size
        new = built + np.flatnonzero(eligible.allowed[built:])
        return np.concatenate([self._ordered[eligible.allowed[self._ordered]], new])

    @cached_property
    def _ordered(self) -> Int64[np.ndarray, "n"]:
        """All rows of the release, the best-selling first."""
        every = np.arange(self._parts.products.size)
        spread = CatalogueChannel(self._parts.catalogue.categories).score(EncodedQuery(), every)
        assert spread is not None
        return np.lexsort((-spread, -self._sales.all))
