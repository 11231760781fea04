"""Finds the families of a table: which rows are variants of which product."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pipelines.importers.columns import Names, Role, VariantColumns
from pipelines.importers.mapping import Mapping, fields_of, names_of
from pipelines.importers.tables.json_rows import inner
from pipelines.importers.tables.rows import Row
from pipelines.importers.variants.left_out import is_left_out
from pipelines.importers.variants.options import children_of, options_of

PRICES = ("price", "currency")
INHERITED = ("title", "description", "brand", "categories", "images", "videos", "tags")
SALE = ("price", "amount", "percent", "start", "end", "period", "flag", "mode", "before")
SEVERAL = ("categories", "videos", "tags")  # of INHERITED, besides pictures
MOST_VALUES = 1_000  # of one option in one family, that are told apart
MOST_IMAGES = 100


class Member(NamedTuple):
    """What one row is in its family."""

    family: str  # "": of no family
    role: Role
    options: dict[str, str]


class Family:
    """One product with variants: what its rows have in common, and in what they differ."""

    def __init__(self) -> None:
        self.lead: dict[str, Any] = {}  # cells of the product's row that variants inherit
        self.lead_id = ""
        self.option_names: dict[str, str] = {}  # by their columns
        self.left_out = ""  # why the whole family is not for sale
        self.variants = 0
        self.images: list[Any] = []
        self._values: dict[str, set[str]] = {}

    def see(self, options: dict[str, str]) -> None:
        """Count a variant and the values of its options."""
        self.variants += 1
        for name, value in options.items():
            values = self._values.setdefault(name, set())
            if len(values) < MOST_VALUES:
                values.add(value)

    def go_on(self, cells: dict[str, Any], several: set[str], images: list[str]) -> None:
        """Add a row that goes on with the product's: its pictures, and the cells that this lacks.

        Columns that hold `several` values keep those of both rows.
        """
        self.images = list(dict.fromkeys((*self.images, *images)))[:MOST_IMAGES]
        for name, value in cells.items():
            before = self.lead.get(name)
            if is_empty(before):
                self.lead[name] = value
            elif name in several and not is_empty(value):
                self.lead[name] = [*_listed(before), *_listed(value)][:MOST_IMAGES]

    def telling(self, options: dict[str, str]) -> list[str]:
        """Return the values of those options in which the family's variants differ."""
        return [value for name, value in options.items() if len(self._values.get(name, ())) > 1]


class Families:
    """The families of a file, known from reading it before it is imported.

    Held in memory is what variants inherit: one row of texts for each product with variants.
    """

    def __init__(self, mapping: Mapping, columns: VariantColumns) -> None:
        self.of: dict[str, Family] = {}
        self._mapping = mapping
        self._columns = columns
        self._keys = names_of(columns.keys) or (mapping.columns.id,)
        self._parents: set[str] = set()
        self._rows_of: list[dict[str, str]] = [{} for _ in self._keys]  # by each key, first to last
        self._parent_of: dict[str, tuple[str, dict[str, str]]] = {}
        named = fields_of(mapping.columns)
        self._inherited = _columns_in(named, INHERITED)
        if columns.follow:  # a variant below its product has its stock counted as that says
            self._inherited |= _columns_in(fields_of(mapping.stock), ("tracked", "backorders"))
        self._several = _columns_in(named, SEVERAL)
        self._prices = _columns_in(named, PRICES) | _columns_in(fields_of(mapping.sale), SALE)
        self._titles = names_of(mapping.columns.title)
        self._images = names_of(mapping.columns.images)
        self._shared_images = bool(columns.group) and not columns.roles
        self._last = ""

    def link(self, rows: Iterable[Row]) -> None:
        """Read which rows are named as products by their variants, or name their variants."""
        named: set[str] = set()
        name = ""
        for row in rows:
            own = self._name_of(row)
            name = own or (name if self._mapping.continues else "")  # as in Magento 1
            for column, rows_of in zip(self._keys, self._rows_of, strict=True):
                if text := text_in(row, column):
                    rows_of.setdefault(text, name)
            named.add(text_in(row, self._columns.parent))
            children = children_of(inner(row.values, self._columns.children)) if name else ()
            for child, options in children:
                self._parents.add(name)
                self._parent_of.setdefault(child, (name, options))
        self._parents |= {self._row_named(text) for text in named}
        self._parents -= {""}

    def survey(self, rows: Iterable[Row]) -> None:
        """Read what the rows of each family have in common."""
        self._last, above = "", None
        for row in rows:
            if self._mapping.continues and not text_in(row, self._mapping.columns.id):
                if above and not is_left_out(row.values, self._mapping.leave_out):
                    cells = {name: inner(row.values, name) for name in self._inherited}
                    above.go_on(cells, self._several, self.images_in(row))
                continue
            member = self.member(row)
            above = None
            if member.family:
                self._see(row, member)
                above = self.of[member.family] if member.role is Role.PRODUCT else None
        self._last = ""

    def member(self, row: Row) -> Member:
        """Return what a row is; rows must come in the order of the file."""
        family, role, more = self._place(row)
        options = self._options(row, self.of.get(family))
        role = self._said_role(row) or role
        if role is Role.VARIANT and not self._is_filled(row):
            role = Role.PICTURE
        self._last = family
        return Member(family, role, options | more)

    def _options(self, row: Row, family: Family | None) -> dict[str, str]:
        """Return the options of a row; their names may stand in the first row of its family."""
        titles = [name for name in self._titles if text_in(row, name).startswith("[")]
        names = {
            name: text
            for name, text in (family.option_names if family else {}).items()
            if not text_in(row, name)
        }
        cells = (*names_of(self._mapping.pairs), *titles)
        return options_of(row.values | names, self._mapping.options, cells)

    def keys_of(self, row: Row) -> list[str]:
        """Return the names by which other rows may speak of this one; at least one, maybe ""."""
        found = [text_in(row, column) for column in self._keys]
        return list(dict.fromkeys(filter(None, found))) or [""]

    def inherited(self, row: Row, family: Family) -> dict[str, Any]:
        """Return the cells of a product's row that stand in for a variant's empty ones.

        Sale prices are inherited with the price alone.
        """
        price = self._mapping.columns.price
        own = price and not is_empty(inner(row.values, price))
        return {
            name: value
            for name, value in family.lead.items()
            if is_empty(inner(row.values, name)) and not (own and name in self._prices)
        }

    def images_in(self, row: Row) -> list[str]:
        """Return the pictures that a row names."""
        separator = self._mapping.list_separator
        found: list[str] = []
        for value in (inner(row.values, name) for name in self._images):
            parts = value if isinstance(value, list) else str(value or "").split(separator or None)
            found += (part.strip() for part in parts if isinstance(part, str) and part.strip())
        return found

    def images_of(self, row: Row, family: Family) -> list[str]:
        """Return the pictures of a variant: its own, before or in the place of its product's."""
        own = text_in(row, self._columns.image)
        if self._shared_images:
            return list(dict.fromkeys(filter(None, (own, *family.images))))
        return self.images_in(row) or family.images

    def group_id(self, member: Member, family: Family) -> str:
        """Return the item_group_id of a variant; "" for the only one of its product."""
        if family.variants < 2:
            return ""
        return member.family if self._columns.group else family.lead_id or member.family

    def _place(self, row: Row) -> tuple[str, Role, dict[str, str]]:
        """Return the family of a row and its role there, as far as names tell."""
        if parent := self._named_parent(row):
            return parent, Role.VARIANT, {}
        for key in self.keys_of(row):
            if key in self._parent_of:
                return self._parent_of[key][0], Role.VARIANT, self._parent_of[key][1]
        if (name := self._name_of(row)) in self._parents:
            return name, Role.PRODUCT, {}
        if not self._columns.group:
            return "", Role.PRODUCT, {}
        said = self._said_role(row)
        follows = self._columns.follow and said in (Role.VARIANT, Role.PICTURE)
        group = "" if follows else text_in(row, self._columns.group)
        if self._columns.roles and said in (None, Role.PRODUCT):
            return group or f"line {row.line}", Role.PRODUCT, {}
        return group or self._last, said or Role.VARIANT, {}

    def _named_parent(self, row: Row) -> str:
        """Return the name of the row that a row calls its parent, "" if that is none or itself."""
        parent = self._row_named(text_in(row, self._columns.parent))
        return "" if parent == self._name_of(row) else parent

    def _row_named(self, text: str) -> str:
        """Return the name of a row by one of its keys; `id:12` is by its id alone.

        Other keys may be the same: a SKU of WooCommerce is often a number, and the id of another.
        """
        if text.startswith("id:"):
            return text.removeprefix("id:").strip()
        found = (rows_of[text] for rows_of in self._rows_of if text in rows_of)
        return "" if text == "0" else next(found, text)

    def _name_of(self, row: Row) -> str:
        """Return the one name by which a row is known here: its id, or else its first key."""
        return text_in(row, self._mapping.columns.id) or self.keys_of(row)[0]

    def _said_role(self, row: Row) -> Role | None:
        """Return the role that a row's column says; of `variation, virtual` the first known."""
        words = text_in(row, self._columns.role).lower().split(",")
        return next(filter(None, (self._columns.roles.get(word.strip()) for word in words)), None)

    def _is_filled(self, row: Row) -> bool:
        filled = self._columns.filled
        return not filled or any(text_in(row, column) for column in filled)

    def _see(self, row: Row, member: Member) -> None:
        family = self.of.setdefault(member.family, Family())
        for name, _ in self._mapping.options:
            if text := text_in(row, name):
                family.option_names.setdefault(name, text)
        is_lead = member.role is Role.PRODUCT or self._shared_images
        if is_lead and not family.lead and text_in_any(row, self._titles):
            family.lead = {name: inner(row.values, name) for name in self._inherited | self._prices}
            family.lead_id = text_in(row, self._mapping.columns.id)
            family.left_out = is_left_out(row.values, self._mapping.leave_out)
        if is_lead or member.role is Role.PICTURE:
            images = dict.fromkeys((*family.images, *self.images_in(row)))
            family.images = list(images)[:MOST_IMAGES]
        if member.role is Role.VARIANT and not is_left_out(row.values, self._mapping.leave_out):
            family.see(member.options)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _columns_in(named: dict[str, Names], fields: tuple[str, ...]) -> set[str]:
    return {name for field in fields for name in names_of(named.get(field, ()))}


def is_empty(value: Any) -> bool:
    """Return whether a cell holds nothing."""
    return value is None or value != value or value in ("", [], {})


def text_in(row: Row, column: str) -> str:
    """Return the text of a cell without spaces around it; "" for an empty or missing one."""
    value = row.values.get(column)
    if type(value) is str:  # most cells
        return value.strip()
    value = inner(row.values, column) if column else None
    return str(value).strip() if isinstance(value, str | int | float) and value == value else ""


def text_in_any(row: Row, columns: tuple[str, ...]) -> str:
    """Return the text of the first of several cells that is not empty."""
    return next(filter(None, (text_in(row, column) for column in columns)), "")
