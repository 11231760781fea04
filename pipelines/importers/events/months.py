"""Reads the names of months, and tells by a whole file those that are another month elsewhere."""

import unicodedata
from collections import Counter
from itertools import chain
from typing import NamedTuple

LONGEST = 8  # letters that tell a month

# Beginnings of the months' names, without accents, of which the longest that fits counts: of
# English, German, French, Spanish, Italian, Portuguese, Catalan, Dutch, the Nordic and the Baltic
# languages, Romanian, Indonesian, Turkish, Greek, and the languages of Cyrillic letters.
COMMON = (
    (
        "jan",
        "ene",
        "gen",
        "ian",
        "oca",
        "jaa",
        "tam",
        "sau",
        "янв",
        "яну",
        "јан",
        "січ",
        "сту",
        "ιαν",
    ),
    ("feb", "fev", "sub", "vee", "hel", "vas", "фев", "феб", "лют", "φεβ"),
    ("mar", "mrz", "mrt", "maa", "kov", "мар", "бер", "сак", "μαρ"),
    ("apr", "avr", "abr", "nis", "huh", "bal", "апр", "кві", "кра", "απρ"),
    ("may", "mai", "mei", "mag", "maj", "tou", "geg", "маи", "мая", "мај", "тра", "μαι"),
    (
        "jun",
        "juin",
        "juun",
        "giu",
        "iun",
        "haz",
        "kes",
        "bir",
        "июн",
        "юни",
        "јун",
        "чер",
        "чэр",
        "ιουν",
    ),
    (
        "jul",
        "juil",
        "juul",
        "lug",
        "iul",
        "tem",
        "hei",
        "lie",
        "июл",
        "юли",
        "јул",
        "лип",
        "ліп",
        "ιουλ",
    ),
    ("aug", "aou", "ago", "agu", "avg", "elo", "rugp", "авг", "сер", "жні", "αυγ"),
    ("sep", "set", "sze", "eyl", "syy", "rugs", "сен", "сеп", "вер", "σεπ"),
    ("oct", "okt", "ott", "out", "eki", "lok", "spa", "окт", "жов", "кас", "οκτ"),
    ("nov", "noi", "kas", "marr", "lap", "ноя", "ное", "нов", "лис", "ліс", "νοε"),
    ("dec", "dez", "dic", "des", "det", "ara", "jou", "gru", "дек", "дец", "гру", "сне", "δεκ"),
)
POLISH = (
    ("sty",), ("lut",), ("mar",), ("kwi",), ("maj",), ("cze",),
    ("lip", "lipi", "lipc"), ("sie",), ("wrz",), ("paz",), ("lis",), ("gru",),
)  # fmt: skip
CZECH = (
    ("led",), ("uno",), ("bre",), ("dub",), ("kve",), ("cvn", "cerv"),
    ("cvc", "cervenec", "cervenc"), ("srp", "srpe", "srpn"), ("zar",), ("rij",), ("lis",),
    ("pro", "prosine", "prosince"),
)  # fmt: skip
CROATIAN = (
    ("sij",), ("vel",), ("ozu",), ("tra",), ("svi",), ("lip", "lipa", "lipn"),
    ("srp", "srpa", "srpnj"), ("kol",), ("ruj",), ("lis",), ("stu",),
    ("pro", "prosina", "prosinca"),
)  # fmt: skip
NAMES = {6: "June", 7: "July", 8: "August", 10: "October", 11: "November"}


def _by_stem(*languages: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    """Return the month of each beginning; where languages differ, that of the last."""
    return {
        stem: month
        for language in languages
        for month, stems in enumerate(language, 1)
        for stem in stems
    }


USUAL = _by_stem(CROATIAN, COMMON, CZECH, POLISH)
IN_CROATIAN = _by_stem(COMMON, POLISH, CZECH, CROATIAN)


def month_of(name: str, *, croatian: bool = False) -> int | None:
    """Return the month, from 1 to 12, of a name or its short form; None for any other word.

    `lip`, `lis`, `listopada` and `srp` are July, November and August as in Polish and Czech, or one
    month less in Croatian.
    """
    months = IN_CROATIAN if croatian else USUAL
    stem = _stem(name)
    return months[stem] if stem else None


def without_accents(text: str) -> str:
    """Return a text with plain letters: `paz` for `paź`, `NISAN` for `NİSAN`."""
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFD", text.replace("ı", "i"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _stem(name: str) -> str:
    """Return the longest beginning of a name by which a month is known."""
    plain = without_accents(name).lower()
    beginnings = (plain[:length] for length in range(min(LONGEST, len(plain)), 2, -1))
    return next((one for one in beginnings if one in USUAL), "")


class Verdict(NamedTuple):
    """Whether months are those of Croatia, with a sentence for the report if that was a choice."""

    croatian: bool
    note: str = ""


class MonthNames:
    """Counts the names of months in a file that are of one language alone."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._unclear: dict[str, None] = {}  # names that are another month in Croatia

    def see(self, name: str) -> bool:
        """Count a name; return whether it says something of the language, or asks for it."""
        stem = _stem(name)
        if not stem:
            return False
        if USUAL[stem] != IN_CROATIAN[stem]:
            self._unclear.setdefault(name)
            return True
        language = LANGUAGE_OF.get(stem, "")
        if language:
            self._counts[language] += 1
            self._examples.setdefault(language, name)
        return bool(language)

    def verdict(self) -> Verdict:
        """Return the language in which most names are; without any, Polish and Czech are usual."""
        croatian = self._counts["Croatian"] > self._counts["Polish or Czech"]
        if not self._unclear:
            return Verdict(croatian)
        language = "Croatian" if croatian else "Polish or Czech"
        name = next(iter(self._unclear))
        month = NAMES[(IN_CROATIAN if croatian else USUAL)[_stem(name)]]
        why = (
            f"so are {self._counts[language]:,} others such as {self._examples[language]!r}"
            if self._counts[language]
            else "which is more common, and no other month tells"
        )
        return Verdict(croatian, f"months such as {name!r} are {language}, {month}: {why}")


def _language_of() -> dict[str, str]:
    common, own = set(chain(*COMMON)), set(chain(*CROATIAN))
    others = set(chain(*POLISH, *CZECH))
    return {
        **dict.fromkeys(own - common - others, "Croatian"),
        **dict.fromkeys(others - common - own, "Polish or Czech"),
    }


LANGUAGE_OF = _language_of()
