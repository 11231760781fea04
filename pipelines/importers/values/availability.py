"""Reads whether a product can be bought, in the words of shops and feeds."""

import re
from typing import Any

from pipelines.importers.values.texts import RowError, text_of
from pipelines.shop.quality import shown
from retrieval import Availability

AVAILABILITY = {
    "instock": Availability.IN_STOCK,
    "available": Availability.IN_STOCK,
    "limitedavailability": Availability.IN_STOCK,
    "onlineonly": Availability.IN_STOCK,
    "instoreonly": Availability.IN_STOCK,
    "outofstock": Availability.OUT_OF_STOCK,
    "soldout": Availability.OUT_OF_STOCK,
    "discontinued": Availability.OUT_OF_STOCK,
    "preorder": Availability.PREORDER,
    "presale": Availability.PREORDER,
    "backorder": Availability.BACKORDER,
}


def availability_of(value: Any) -> str:
    """Return the noun's word for `in stock`, `in_stock`, `https://schema.org/InStock`…"""
    text = text_of(value, "availability", at_most=200)
    if not text:
        return Availability.IN_STOCK.value
    word = re.sub(r"[^a-z]", "", text.rsplit("/", 1)[-1].lower())
    if word not in AVAILABILITY:
        raise RowError(
            "unknown availability",
            f"availability {shown(text)} is unknown; choose one of in stock, out of stock, "
            "preorder, backorder",
        )
    return AVAILABILITY[word].value
