"""A catalogue of a few hundred products in sizes and colours, and searches for single ones."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.known_items.phrases import ACCENTS, COMPOUNDS, LANGUAGES, PLURALS

BRANDS = ("Aqua", "North", "Royal", "Volt", "Hof", "Basix")
SIZED = {  # what is sold in which sizes, each as it is written in several ways
    "Sparkling Water": (("330 ml", "330ml", "0.33 L", "33cl"), ("500ml", "500 ml", "0,5 l", "½ l"),
                        ("1.5 l", "1,5l", "1.5 litre", "1500 ml")),
    "Olive Oil": (("0.5 L", "500ml", "50 cl"), ("1 litre", "1l", "1 L", "1000 ml")),
    "Basmati Rice": (("1kg", "1 kg", "1000 g"), ("5 kg", "5kg", "5-kg", "5000g")),
    "Ground Coffee": (("250g", "250 g", "0.25 kg"), ("500 g", "500g", "0.5 kg")),
    "USB Cable": (("2m", "2 m", "2 meters", "200 cm"), ("50 cm", "50cm", "0.5 m")),
    "Television": (('43"', "43 inch", "43-inch"), ("55 inch", '55"', "55in"),
                   ("65-inch", '65"', "65 inch", "65 in.")),
    "Solid State Drive": (("1TB", "1 TB", "1000 GB"), ("500 GB", "500gb", "0.5 TB")),
    "Light Bulb": (("60W", "60 watt", "60 w"), ("100 W", "100w", "0.1 kW")),
    "Mattress": (("140x200", "140 x 200 cm", "140 × 200"), ("90x200", "90 x 200 cm")),  # noqa: RUF001
    "Orange Juice": (("2x500ml", "2 x 500 ml", "2 × 0.5 l"), ("1 l", "1l", "1 litre")),  # noqa: RUF001
    "Soda Can": (("12 oz", "12oz", "12 fl oz", "12 ounce"), ("16 oz", "16oz", "1 lb")),
    "Socket Wrench": (("1/2 inch", '1/2"', "½ in", "0.5 inch"), ('3/4"', "3/4 inch", "¾ in")),
}  # fmt: skip
COLOURED = ("Canvas Sneaker", "Linen Shirt", "Wool Scarf", "Leather Belt", "Yoga Mat")
COLOURS = ("red", "blue", "green", "midnight black", "beige")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Product(NamedTuple):
    """One row of the table that is imported."""

    id: str
    title: str
    brand: str = ""
    sku: str = ""
    ean: str = ""
    colour: str = ""


class Search(NamedTuple):
    """A search of a kind, and the products one of which should be first."""

    kind: str
    text: str
    wanted: frozenset[str]


class Catalogue(NamedTuple):
    """Products, the language that their words are read in, and searches for them."""

    language: str
    products: list[Product]
    searches: list[Search]


def catalogues(seed: int) -> Iterator[Catalogue]:
    """Yield the English catalogue, then one of each other language."""
    yield english(np.random.default_rng(seed))
    for language, lines in LANGUAGES.items():
        products, searches = known(lines, f"{language}-")
        kind = "Thai, Chinese, Japanese, Korean" if language == "none" else language.title()
        yield Catalogue(language, products, [one._replace(kind=kind) for one in searches])


def english(rng: np.random.Generator) -> Catalogue:
    """Return products in sizes and colours, and of single ones by their words."""
    products, searches = sized(rng)
    for kind, lines in (("compound", COMPOUNDS), ("plural", PLURALS), ("accent", ACCENTS)):
        more, by_words = known(lines, f"{kind}-")
        products += more
        searches += [one._replace(kind=kind) for one in by_words]
    coloured = [
        Product(f"{title[:3].upper()}-{n:02}-{colour[:3]}", title, brand, colour=colour)
        for title in COLOURED
        for n, brand in enumerate(BRANDS)
        for colour in COLOURS
    ]
    searches += [
        Search("attribute", f"{p.colour} {p.title} {p.brand}".lower(), frozenset([p.id]))
        for p in coloured[::3]
    ]
    searches += misspelt(products, rng)
    return Catalogue("english", products + coloured, searches)


def sized(rng: np.random.Generator) -> tuple[list[Product], list[Search]]:
    """Return products in sizes, and searches by code and by a size that is written otherwise."""
    products, searches = [], []
    for title, sizes in SIZED.items():
        for brand in BRANDS:
            for forms in sizes:
                written, *others = rng.permutation(np.array(forms, dtype=object)).tolist()
                product = coded(f"{title} {written}", brand, len(products), rng)
                products.append(product)
                wanted = frozenset([product.id])
                searches.append(Search("unit", f"{brand} {title} {others[0]}".lower(), wanted))
    for product in products[::3]:
        wanted = frozenset([product.id])
        searches += [
            Search("id", product.id.lower().replace("-", ""), wanted),
            Search("sku", product.sku.replace(".", " "), wanted),
            Search("part of a sku", product.sku.partition(".")[2], wanted),
            Search("barcode", product.ean, wanted),
            Search("barcode without zeros", product.ean.lstrip("0"), wanted),
        ]
    return products, searches


def coded(title: str, brand: str, number: int, rng: np.random.Generator) -> Product:
    """Return a product with an id, an article number and a barcode of its own."""
    letters = "".join(rng.choice(list(LETTERS), 3)).upper()
    return Product(
        id=f"{letters}-INS{number + 100}-{letters[::-1]}",
        title=title,
        brand=brand,
        sku=f"{letters[:2]}{number:03}.{rng.integers(1000, 9999)}-{rng.integers(10, 99)}",
        ean=f"00{rng.integers(10**10, 10**11)}",
    )


def known(lines: str, prefix: str) -> tuple[list[Product], list[Search]]:
    """Return the products of lines of a title and a search, and the searches."""
    pairs = [line.split(" | ") for line in lines.strip().splitlines()]
    products = [Product(f"{prefix}{n}", title) for n, (title, _) in enumerate(pairs)]
    searches = [Search("", text, frozenset([f"{prefix}{n}"])) for n, (_, text) in enumerate(pairs)]
    return products, searches


def misspelt(products: list[Product], rng: np.random.Generator) -> list[Search]:
    """Return searches for plain titles with one letter of the longest word wrong."""
    searches = []
    for product in products:
        words = product.title.lower().split()
        longest = max(words, key=len)
        if len(longest) < 6 or not product.title.isascii() or not longest.isalpha() or product.sku:
            continue
        at = int(rng.integers(1, len(longest) - 1))
        wrong = longest[:at] + str(rng.choice(list(LETTERS))) + longest[at + 1 :]
        text = " ".join(wrong if word == longest else word for word in words)
        searches.append(Search("misspelt", text, frozenset([product.id])))
    return searches
