"""What answers a request: an engine, or whatever stands in for one."""

from math import inf
from typing import Protocol

from retrieval import Query, Slate, Stage


class Answering(Protocol):
    """Answers requests from one release; its method is called from several threads."""

    @property
    def release(self) -> str:
        """The name of the release."""
        ...

    def answer(self, query: Query, stage: Stage = Stage.RANKING, spare_ms: float = inf) -> Slate:
        """Return a page for this request, or a RequestError that names the field.

        `spare_ms` is what it may take before it makes others late.
        """
        ...
