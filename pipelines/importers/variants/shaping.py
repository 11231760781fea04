"""Turns the rows of a table into rows of products: variants filled in, other rows left out."""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pipelines.importers.columns import Role, VariantColumns
from pipelines.importers.mapping import Mapping, names_of
from pipelines.importers.tables.json_rows import first_of, inner
from pipelines.importers.tables.rows import Row
from pipelines.importers.variants.families import (
    Families,
    Family,
    Member,
    is_empty,
    text_in,
    text_in_any,
)
from pipelines.importers.variants.left_out import is_left_out
from pipelines.importers.variants.options import pairs_of
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks

TAXONOMY = "product_category"  # of google_product_category and fb_product_category
BRANDS = ("brand", "manufacturer", "marke", "marque", "marca")  # names of options that are it
RENAMED = "ids are made from the product's and the options: their own are missing or come again"
REPLACED = "are products whose variants are imported in their place"
OF_REPLACED = (
    "rows go on with a product whose variants are imported in its place: pictures, categories and "
    "texts are added to those"
)
ONLY_OF_LEFT_OUT = "rows go on with a product that is left out"
_WORD = re.compile(r"[^\W_]+")


class Shaped(NamedTuple):
    """A row of one product, and what its family adds to it; "" and empty: nothing."""

    row: Row
    id: str = ""
    title_ending: str = ""
    item_group_id: str = ""
    options: dict[str, str] = {}  # noqa: RUF012
    images: list[str] = []  # noqa: RUF012

    def added_to(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return the raw values of the product with those of its family."""
        more: dict[str, Any] = {"id": self.id, "item_group_id": self.item_group_id}
        if self.title_ending:
            more["title"] = f"{raw.get('title')}, {self.title_ending}"
        if self.images:
            more["images"] = self.images
        if not self.id and is_empty(raw.get("id")):
            more["id"] = raw["attributes"].get("sku")
        said = {name.lower() for name, value in raw["attributes"].items() if not is_empty(value)}
        options: dict[str, Any] = {
            name: value.split("|") if "|" in value else value
            for name, value in self.options.items()
            if name not in said
        }
        if is_empty(raw.get("brand")):
            more["brand"] = next(filter(None, map(self.options.get, BRANDS)), None)
        more = {name: value for name, value in more.items() if value}
        return raw | more | {"attributes": raw["attributes"] | options}


class Shaper:
    """Yields the products of a table, and counts the rows that are none."""

    def __init__(self, mapping: Mapping, reopen: Callable[[], Iterable[Row]]) -> None:
        """Prepare for the rows of a file, which `reopen` yields from the first one on."""
        self._mapping = mapping
        self._families = _families(mapping, reopen)
        self._ids: set[str] = set()
        self._last: Shaped | None = None
        self._replaced = False  # whether variants of the product above are imported in its place

    def take(self, row: Row, remarks: Remarks) -> Shaped | None:
        """Return the product of a row; None, with a remark, for one not for sale or no product."""
        if self._mapping.continues and not text_in(row, self._mapping.columns.id):
            return self._continued(row, remarks)
        self._last = self._shaped(row, remarks)
        return self._last

    def _continued(self, row: Row, remarks: Remarks) -> Shaped | None:
        """Return a row that goes on with the product above; None if that is left out."""
        why = is_left_out(row.values, self._mapping.leave_out)
        if not self._last or why:
            of = OF_REPLACED if self._replaced else ONLY_OF_LEFT_OUT
            kind = f"rows are left out, because {why}" if why else of
            remarks.add(kind, row.line)
            return None
        own = self._last.id or text_in(self._last.row, self._mapping.columns.id)
        return Shaped(row, id=own)

    def _shaped(self, row: Row, remarks: Remarks) -> Shaped | None:
        row = self._filled(row)
        member = self._families.member(row) if self._families else Member("", Role.PRODUCT, {})
        family = self._families.of.get(member.family) if self._families else None
        why = self._why_not(row, member, family)
        self._replaced = why == REPLACED
        if why:
            remarks.add(f"rows {why}", row.line, shown(self._name(row) or member.family))
            return None
        row_id = self._id(row, member, remarks)
        if family and member.role is Role.VARIANT:
            return self._variant(row, member, family)._replace(id=row_id)
        images = family.images if family else []
        return Shaped(row, id=row_id, options=member.options, images=images)

    def _filled(self, row: Row) -> Row:
        """Return a row whose empty cells hold what their fallbacks have."""
        more = {
            column: first_of(row.values, names_of(others))
            for column, others in self._mapping.fallbacks.items()
            if is_empty(inner(row.values, column))
        }
        more = {column: value for column, value in more.items() if value is not None}
        values = row.values | more
        for column in names_of(self._mapping.columns.categories):
            if str(inner(values, column) or "").strip().isdigit() and self._is_taxonomy(column):
                more[column] = None
        return Row(row.line, row.values | more) if more else row

    def _is_taxonomy(self, column: str) -> bool:
        """Return whether a category may be a number of Google's or Meta's, which names nothing."""
        others = names_of(self._mapping.fallbacks.get(column, ()))
        return any(name.endswith(TAXONOMY) for name in (column, *others))

    def _why_not(self, row: Row, member: Member, family: Family | None) -> str:
        if self._mapping.repeats and text_in(row, self._mapping.columns.id) in self._ids:
            return "name a product that was there before"
        if member.role is Role.NONE:
            return "are neither products nor variants"
        if why := is_left_out(row.values, self._mapping.leave_out):
            return f"are left out, because {why}"
        if family and family.left_out:
            return f"are left out, because their product's {family.left_out}"
        if member.role is Role.PICTURE:
            return "are further pictures of a product"
        if family and member.role is Role.PRODUCT and family.variants:
            return REPLACED
        alone = is_left_out(row.values, self._mapping.only_as_variant)
        if alone and not (family and member.role is Role.VARIANT):
            return f"are left out, because {alone}"
        return ""

    def _variant(self, row: Row, member: Member, family: Family) -> Shaped:
        title = names_of(self._mapping.columns.title)
        own = text_in_any(row, title)
        shared = own in ("", text_in_any(Row(0, family.lead), title))
        more = self._families.inherited(row, family) if self._families else {}
        if own.startswith("[") and pairs_of_title(own):
            shared, more = True, more | {name: family.lead.get(name) for name in title}
        return Shaped(
            Row(row.line, row.values | more),
            title_ending=", ".join(family.telling(member.options)) if shared else "",
            item_group_id=self._families.group_id(member, family) if self._families else "",
            options=member.options,
            images=self._families.images_of(row, family) if self._families else [],
        )

    def _name(self, row: Row) -> str:
        """Return what a remark calls a row: its title or its id."""
        titles = names_of(self._mapping.columns.title)
        return text_in_any(row, titles) or text_in(row, self._mapping.columns.id)

    def _id(self, row: Row, member: Member, remarks: Remarks) -> str:
        """Return the id of a variant: its own, or one of its product's and its options."""
        own = text_in(row, self._mapping.columns.id)
        if member.family and (not own or own in self._ids):
            own = slug(member.family, *member.options.values())
            if own != member.family:
                remarks.add(RENAMED, row.line, own)
        titles = names_of(self._mapping.columns.title)
        if not self._mapping.repeats or text_in_any(row, titles):
            self._ids.add(own)
        return own


def pairs_of_title(title: str) -> bool:
    """Return whether a title is a list of options: `[RT]Color=Red,[S]Size=M`."""
    return any(name and value for name, value in pairs_of(title))


def slug(*parts: str) -> str:
    """Return texts as one id: `linen-shirt-s` of `linen-shirt` and `S`."""
    words = (word.lower() for part in parts[1:] for word in _WORD.findall(part))
    return "-".join((parts[0], *words))[:128]


def _families(mapping: Mapping, reopen: Callable[[], Iterable[Row]]) -> Families | None:
    """Read the file before it is imported, if the mapping says that it holds variants."""
    columns = mapping.variants
    if columns == VariantColumns() and not mapping.options and not mapping.pairs:
        return None
    families = Families(mapping, columns)
    if columns.parent or columns.children:
        families.link(reopen())
    if columns.parent or columns.children or columns.group:
        families.survey(reopen())
    return families
