"""The rules that a changed product follows: those of an import, by the same functions.

Texts are cleaned: control letters and spaces at the ends go, what stands for nothing is empty.
Empty and repeated values of a list go, too. What an import refuses is refused, and so is what it
would cut or join differently: an id with spaces at its ends, more values than are kept.
"""

import msgspec

from pipelines.importers.values.paths import PATH
from pipelines.importers.values.texts import (
    MAX_VALUES,
    RowError,
    id_of,
    required,
    text_of,
)
from retrieval import Product

MAX_NAME = 200  # characters of an attribute's name, as a filter takes it
Attributes = dict[str, str | tuple[str, ...]]


class RuleError(ValueError):
    """What is wrong with a field of a product, and which field it is."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def cleaned_product(product: Product) -> Product:
    """Return a product as an import would keep it, or raise a RuleError that names the field."""
    return msgspec.structs.replace(
        product,
        id=checked_id(product.id),
        title=required_text(product.title, "title"),
        description=_text(product.description, "description", keep_lines=True),
        brand=_text(product.brand, "brand"),
        categories=_several(tuple(map(_path, product.categories)), "categories"),
        currency=_text(product.currency, "currency"),
        attributes=_attributes(product.attributes),
        images=_several(product.images, "images"),
        videos=_several(product.videos, "videos"),
        item_group_id=_text(product.item_group_id, "item_group_id"),
        tags=_several(product.tags, "tags"),
    )


def checked_id(name: str) -> str:
    """Return an id, which is never changed, or raise a RuleError."""
    try:
        clean = id_of(name)
    except RowError as e:
        raise _error("id", e) from None
    if clean != name:
        raise RuleError("id", f"{name!r} begins or ends with a space; send {clean!r}")
    return name


def required_text(text: str, field: str) -> str:
    """Return a cleaned text, or raise a RuleError where nothing is left."""
    try:
        return required(_text(text, field), field)
    except RowError as e:
        raise _error(field, e) from None


def _text(text: str, field: str, *, keep_lines: bool = False, name: str = "") -> str:
    try:
        clean = text_of(text, field)
    except RowError as e:
        raise _error(name or field, e) from None
    return clean if keep_lines else " ".join(clean.split())


def _several(texts: tuple[str, ...], field: str, name: str = "") -> tuple[str, ...]:
    """Return each text once, the empty ones left out."""
    found = dict.fromkeys(_text(text, field, name=name) for text in texts)
    found.pop("", None)
    if len(found) > MAX_VALUES:
        raise RuleError(name or field, f"has {len(found):,} values, at most {MAX_VALUES} are taken")
    return tuple(found)


def _path(text: str) -> str:
    """Return a category without empty names."""
    names = (name.strip() for name in text.split(PATH.strip()))
    return PATH.join(filter(None, names))


def _attributes(attributes: Attributes) -> Attributes:
    found: Attributes = {}
    for name, values in attributes.items():
        key = _attribute_name(name)
        if key in found:
            raise RuleError(f"attributes.{key}", "stands there twice, but for its spaces")
        field = f"attributes.{key}"
        several = (values,) if isinstance(values, str) else values
        clean = _several(several, "attributes", field)
        if clean:
            found[key] = clean[0] if isinstance(values, str) else clean
    if sum(1 if isinstance(v, str) else len(v) for v in found.values()) > MAX_VALUES:
        raise RuleError("attributes", f"has more values than the {MAX_VALUES} that are taken")
    return found


def _attribute_name(name: str) -> str:
    try:
        clean = " ".join(text_of(name, "a name", at_most=MAX_NAME).split())
    except RowError as e:
        raise RuleError("attributes", str(e)) from None
    if not clean:
        raise RuleError("attributes", "a name is empty; send each value under its name")
    return clean


def _error(field: str, error: RowError) -> RuleError:
    """Return what an import says of a cell, without the name of the field in front."""
    kind = field.partition(".")[0]
    return RuleError(field, str(error).removeprefix(f"{kind} "))
