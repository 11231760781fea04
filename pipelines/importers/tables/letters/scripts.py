"""Tells the encodings of scripts of 30 to 70 letters apart by how usual the letters are."""

import math
import unicodedata

# The letters of each encoding's language, the most frequent first.
LETTERS = {
    "windows-1251": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґ",
    "koi8-r": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "windows-1253": "αοιετσνηυρπκμλωδγχθφβξζψ",
    "windows-1255": "יוהלארתבשמםנכדקחפעןגטסךזצףץ",
    "windows-1256": "الينمرتوبعةدهسفكقحجأشصىطخإضذزءغثئظؤآ",
    "cp874": "นาร่อกเง้มยลวัีทดสิตะปบคุหแืจพขใไูช็์โำถผึซธศภฐณฟญฉฏฎฬฮฝฒฑฆ",
}
PLAUSIBLE = -4.0  # a letter of a text in its own language has about -3.3, of another one -4.5
NO_LETTER = -9.0
CAPITAL, CAPITAL_WITHIN = -0.3, -2.5  # what a capital is worth at the beginning of a word, or not
NO_VOWEL = -1.0  # a Cyrillic word has a vowel, and a Greek one a vowel with an accent
VOWELS = frozenset("аеёиоуыэюяіїє")


def likeliest(sample: bytes) -> tuple[str, float]:
    """Return the encoding under which a text is most likely, and its log likelihood a letter."""
    found = {name: _likelihood(name, sample) for name in LETTERS}
    best = max(found, key=lambda name: found[name])
    return best, found[best]


def _likelihood(name: str, sample: bytes) -> float:
    text = sample.decode(name, "replace")
    total, count, before = 0.0, 0, " "
    for letter in text:
        if not letter.isascii():
            total += _worth(letter, name)
            count += 1
            if letter.isupper():
                total += CAPITAL_WITHIN if before.isalpha() else CAPITAL
        before = letter
    words = [word for word in text.split() if not word.isascii()]
    odd = sum(_lacks_vowels(word, name) for word in words)
    return total / max(count, 1) + NO_VOWEL * odd / max(len(words), 1)


def _lacks_vowels(word: str, name: str) -> bool:
    if name == "windows-1253":
        return not word.isupper() and len(unicodedata.normalize("NFD", word)) == len(word)
    return name in ("windows-1251", "koi8-r") and VOWELS.isdisjoint(word.lower())


def _worth(letter: str, name: str) -> float:
    small = letter.lower()
    if name == "windows-1253":
        small = unicodedata.normalize("NFD", small)[0].replace("ς", "σ")
    return WORTH[name].get(small, NO_LETTER)


def _by_rank(letters: str) -> dict[str, float]:
    """Return the logarithm of each letter's share, by its rank (Gusein-Zade 1988)."""
    size = len(letters)
    return {
        letter: math.log(math.log((size + 1) / rank) / size)
        for rank, letter in enumerate(letters, 1)
    }


WORTH = {name: _by_rank(letters) for name, letters in LETTERS.items()}
