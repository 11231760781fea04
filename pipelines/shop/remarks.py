"""Remarks of an import: what was read by a choice, counted, with a few examples of each kind."""

from pathlib import Path

import msgspec

EXAMPLES = 3  # of each kind
MOST_KINDS = 200


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of choice; `examples` has the first ones, each with its line."""

    kind: str
    count: int
    examples: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return the remark as the report shows it."""
        shown = f": {'; '.join(self.examples)}" if self.examples else ""
        times = f" ({self.count:,} times)" if self.count > 1 else ""
        return f"{self.kind}{times}{shown}"


class Remarks:
    """Counts remarks by kind, in bounded memory."""

    def __init__(self, source: Path | str = "") -> None:
        self._source = Path(source).name
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}
        self.calls = 0  # of `add`: two equal numbers tell that nothing was remarked on in between

    def add(self, kind: str, line: int = 0, example: str = "", count: int = 1) -> None:
        """Count a remark; `kind` is a sentence without figures, the example what was read."""
        self.calls += 1
        if kind not in self._counts and len(self._counts) >= MOST_KINDS:
            return
        self._counts[kind] = self._counts.get(kind, 0) + count
        examples = self._examples.setdefault(kind, [])
        if (line or example) and len(examples) < EXAMPLES:
            place = f"line {line}" if line else ""
            examples.append(": ".join(part for part in (place, example) if part))

    def all(self) -> tuple[Remark, ...]:
        """Return the remarks in order of their first sight."""
        about = f"{self._source}: " if self._source else ""
        return tuple(
            Remark(kind=about + kind, count=count, examples=tuple(self._examples[kind]))
            for kind, count in self._counts.items()
        )
