"""Composes the slate of an answer: products looked up, placed and, where asked for, explained."""

from index import LexicalIndex
from pipelines.engine.stages.eligibility import Eligible
from pipelines.engine.stages.ranked_candidates import RankedCandidates
from pipelines.live.snapshot import CatalogueSnapshot
from ranking.slate.compose import Page, compose
from retrieval import Candidates, Query, Slate
from retrieval.channels.lexical import LexicalChannel
from retrieval.types import Placed, Reading


class SlateComposer:
    """Composes slates of one release."""

    def __init__(self, release: str, words: LexicalIndex | None) -> None:
        """Say how `words` read the text of an explained request; None: words are not searched."""
        self._release = release
        self._words = words

    def compose(
        self,
        query: Query,
        eligible: Eligible,
        ranked: RankedCandidates,
        timings_ms: dict[str, float],
        page: Page | None = None,
    ) -> Slate:
        """Return the slate of a page, else of the first `k` candidates.

        It shares `timings_ms`, so that it also has what is timed until it is sent.
        """
        page = Page.top(ranked.ordered, query.k) if page is None else page
        candidates = ranked.ordered.candidates
        return Slate(
            products=_placed(query, eligible.snapshot, ranked, page),
            stage=ranked.stage,
            release=self._release,
            timings_ms=timings_ms,
            skipped=ranked.skipped,
            coverage=candidates.coverage,
            guessed=self._is_guessed(query, candidates),
            missing=eligible.missing,
            filtered=eligible.filtered_by(candidates) if query.explain else None,
            readings=self._readings(query.text) if query.explain else (),
        )

    def _is_guessed(self, query: Query, candidates: Candidates) -> bool:
        """Tell whether a search by words alone is answered by products that hold none of them."""
        if self._words is None or not query.text.strip() or query.image is not None:
            return False
        scores = candidates.scores.get(LexicalChannel.name)
        if query.candidates is not None or scores is None:
            return False
        return len(scores) > 0 and not scores.any()

    def _readings(self, text: str) -> tuple[Reading, ...]:
        if self._words is None:
            return ()
        rewrites = self._words.read(text.strip()).rewrites
        return tuple(Reading(asked=one.asked, read_as=one.read_as, why=one.why) for one in rewrites)


def _placed(
    query: Query, snapshot: CatalogueSnapshot, ranked: RankedCandidates, page: Page
) -> tuple[Placed, ...]:
    ordered = ranked.ordered
    if query.explain and ranked.reasons is not None and ordered.features is not None:
        places = page.places[(page.places >= 0) & (page.places < len(ordered.features))]
        ordered = ordered._replace(reasoning=ranked.reasons(places))
    return compose(ordered, snapshot.products, page, explain=query.explain)
