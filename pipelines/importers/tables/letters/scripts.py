"""Tells the encodings of scripts of 30 to 70 letters apart by how usual the letters are."""

import math
import re
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
CYRILLIC = ("windows-1251", "koi8-r")
WORDS = re.compile(r"[^\W\d_]+")
ACCENTS = "\u0301\u0308"
PLAUSIBLE = -4.0  # a letter of a text in its own language has about -3.3, of another one -4.5
NO_LETTER = -9.0
# What a capital is worth: at the beginning of a word, behind another, behind a small letter.
CAPITAL, CAPITAL_BEHIND_ONE, CAPITAL_WITHIN = -0.3, -0.15, -4.0
ODD_WORD = -1.0  # a Cyrillic one without a vowel, a Greek one without accent or with an odd ending
VOWELS = frozenset("аеёиоуыэюяіїє")
GREEK_ENDINGS = frozenset("αεηιουωςσν")
# What two letters are worth, by how many of both are vowels: the logarithm of how much more often
# a vowel follows a vowel or a consonant than any letter, in Markov's count of Russian (1913).
PAIRS = (-0.52, 0.43, -1.22)
RARE, RARE_LETTER = -2.0, -0.15  # what a text is worth less in an encoding that few shops have
DIAERESIS = -2.0


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
            total += _of_capital(before, letter) + _of_pair(before, letter, name)
        before = letter
    words = [word for word in WORDS.findall(text) if not word.isascii()]
    odd = sum(_is_odd(word, name) for word in words)
    total += (RARE + RARE_LETTER * count) * (name == "koi8-r")
    return total / max(count, 1) + ODD_WORD * odd / max(len(words), 1)


def _of_capital(before: str, letter: str) -> float:
    if not letter.isupper():
        return 0.0
    if before.islower():
        return CAPITAL_WITHIN
    return CAPITAL_BEHIND_ONE if before.isupper() else CAPITAL


def _of_pair(before: str, letter: str, name: str) -> float:
    if name not in CYRILLIC or before.isascii() or not before.isalpha():
        return 0.0
    return PAIRS[(before.lower() in VOWELS) + (letter.lower() in VOWELS)]


def _is_odd(word: str, name: str) -> bool:
    if name == "windows-1253":
        letters = unicodedata.normalize("NFD", word.lower())
        accented = word.isupper() or len(letters) > len(word)
        return not accented or letters.rstrip(ACCENTS)[-1] not in GREEK_ENDINGS
    return name in CYRILLIC and VOWELS.isdisjoint(word.lower())


def _worth(letter: str, name: str) -> float:
    small, more = letter.lower(), 0.0
    if name == "windows-1253":
        whole = unicodedata.normalize("NFD", small)
        small, more = whole[0].replace("ς", "σ"), DIAERESIS * (ACCENTS[1] in whole)
    return WORTH[name].get(small, NO_LETTER) + more


def _by_rank(letters: str) -> dict[str, float]:
    """Return the logarithm of each letter's share, by its rank (Gusein-Zade 1988)."""
    size = len(letters)
    return {
        letter: math.log(math.log((size + 1) / rank) / size)
        for rank, letter in enumerate(letters, 1)
    }


WORTH = {name: _by_rank(letters) for name, letters in LETTERS.items()}
