"""The id match of a log: by which field of a product, and in which form, events find theirs."""

from collections.abc import Iterator

import msgspec


class FoundBy(msgspec.Struct, frozen=True, kw_only=True):
    """Events that find their product in one way.

    `column` is of the log, `field` of the products: id, sku, gtin, mpn or group. `how` says in what
    the two differ, "" where they are equal. `one_to_one`: nearly every id means one product, and
    no two mean the same.
    """

    column: str
    field: str
    how: str = ""
    events: int = 0
    ids: int = 0  # different ones
    one_to_one: bool = True
    example: str = ""

    def words(self) -> str:
        """Return the way as a sentence names it."""
        example = f", as {self.example}" if self.example else ""
        return f"{self.field}{f' ({self.how}{example})' if self.how else ''}"


class IdMatch(msgspec.Struct, frozen=True, kw_only=True):
    """How the events of a log find their products.

    Each event counts once: in the first way of `found` by which it finds a product, or among the
    `unknown`. `best` is the one way that finds the most, and `taken` are those that the import used
    beside the id.
    """

    events: int = 0  # that name a product
    found: tuple[FoundBy, ...] = ()
    unknown: int = 0
    best: FoundBy | None = None
    taken: tuple[FoundBy, ...] = ()

    def sentences(self) -> Iterator[str]:
        """Yield what the report says of it."""
        ways = [f"{one.events:,} by {one.words()}" for one in self.found]
        ways += [f"{self.unknown:,} by nothing"] if self.unknown else []
        yield f"of {self.events:,} events that name a product it is found by {'; '.join(ways)}"
        if self.taken:
            names = "; ".join(f"{one.words()} in {one.column!r}" for one in self.taken)
            yield f"ids that mean a product by {names} are replaced by its id"
        elif self.best is not None:
            best = self.best
            advice = f"import again with --match {best.field}" + (
                " or --match auto" if best.one_to_one else ""
            )
            why = (
                "one to one"
                if best.one_to_one
                else "not one to one: the first product counts, and the others get nothing"
            )
            yield (
                f"{best.words()} in {best.column!r} finds {best.events:,} of {self.events:,} "
                f"({why}); {advice}"
            )
