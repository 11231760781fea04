"""Tells the encoding of a text file by its bytes."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from index.lines import BYTE_ORDER_MARK
from pipelines.errors import ShopError
from pipelines.importers.tables.files import opened
from pipelines.importers.tables.letters.east_asian import LEAST, SURE, east_asian
from pipelines.importers.tables.letters.latin import strangers
from pipelines.importers.tables.letters.scripts import LETTERS, PLAUSIBLE, likeliest
from pipelines.shop.quality import shown

# The candidates for a file that is not UTF-8; of equally plausible ones the first is taken.
SINGLE_BYTE = (
    "windows-1252", "iso8859-15", "windows-1254", "windows-1250", "iso8859-2", "windows-1257",
    "windows-1251", "koi8-r", "windows-1253", "windows-1255", "windows-1256", "cp874", "mac-roman",
    "cp850", "cp852",
)  # fmt: skip
LATIN = tuple(name for name in SINGLE_BYTE if name not in LETTERS)
MARKS = (
    (BYTE_ORDER_MARK, "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
START_BYTES = 4096
BLOCK_BYTES = 1_000_000
SAMPLE_BYTES = 100_000  # of lines that are not UTF-8
MOST_NULS = 0.05  # of the bytes of a text
USUAL_SIGNS = "’‘“”„–—…€£°®™©«»·•½¼¾²³×µ§¡¿ªº\xa0\xad"
# Letters that an encoding has and that its languages hardly use: other encodings are more likely.
RARE: dict[str, dict[str, float]] = {
    "windows-1252": dict.fromkeys("þðÞÐžšŽŠ", 0.3),
    "iso8859-15": dict.fromkeys("þðÞÐžšŽŠ", 0.3),
    "windows-1250": dict.fromkeys("đĐţŢ", 0.3),
    "windows-1254": dict.fromkeys("šŠ", 0.3) | dict.fromkeys("áéíóúæýàèìòùøåãõñ", 0.5),
}
STRANGER = 0.5  # of a letter that other languages have than the one of most letters
LETTER = r"[^\W\d_¹²³ªº¼½¾]"
# Signs that people write between two letters, as in a trade mark or behind a word in quotes.
BETWEEN = "’·—–…®™©•×“”«»\xa0\xad"
WITHIN_WORDS = re.compile(rf"(?<={LETTER})(?:[¹²³ªº¼½¾]|[^\w\s!-~{BETWEEN}])+(?={LETTER})")
SIGN = re.compile(rf"(?<={LETTER})[{BETWEEN[2:]}](?={LETTER})")
QUOTE = re.compile(rf"(?<={LETTER})[“”](?={LETTER})")
MIXED = re.compile(  # words of accented letters alone, and of letters of two scripts
    r"[À-İĲ-ɏ]{4}|[A-Za-z][\u0370-\u06ff\u0e00-\u0e7f]|[\u0370-\u06ff\u0e00-\u0e7f][A-Za-z]"
)
# What makes one of two plausible encodings less likely: that few shops have it, in all and by
# letter; a sign between two letters; and a quote there where its counterpart is missing.
DOUBT = {"mac-roman": (1.0, 0.1), "cp850": (1.0, 0.1), "cp852": (1.0, 0.1), "iso8859-2": (0.3, 0)}
DOUBT_SIGN, DOUBT_QUOTE, DOUBT_LEADING = 0.1, 1.0, 0.5
LEADING = re.compile(r"(?<![^\s,;\"])[©®±³¹¶¿¡×](?=[^\W\d_])")  # which stand before no word
ENDS = {"¿": "?", "¡": "!"}  # but where the text has the other
TWINS = {"windows-1253": "iso8859-7"}
FEW = 6  # letters beyond ASCII; fewer do not tell a script
IMPLAUSIBLE = 0.2  # odd letters a letter beyond ASCII; more and no candidate is believed


class Encoding(NamedTuple):
    """The encoding of a file, and how many of its lines are not in it, with examples."""

    name: str
    guessed: bool = False  # not said, and not marked
    bad_lines: int = 0  # of a UTF-8 file: lines that are read as Windows-1252
    examples: tuple[tuple[int, str], ...] = ()  # line and word of what is not UTF-8


def encoding_of(path: Path, said: str = "") -> Encoding:
    """Return the encoding of a file; ShopError names the line where none is plausible."""
    with opened(path) as file:
        start = file.read(START_BYTES)
    if said:
        return Encoding(_known(path, said, start))
    if mark := next((name for mark, name in MARKS if start.startswith(mark)), ""):
        return Encoding(mark) if mark != "utf-8-sig" else _read_through(path)
    if wide := _wide(start):
        return Encoding(wide, guessed=True)
    if start.count(0) > MOST_NULS * len(start):
        line = start[: start.index(0)].count(b"\n") + 1
        raise ShopError(f"{path}, line {line}: holds NUL bytes; is it a table?")
    return _read_through(path)


def _known(path: Path, said: str, start: bytes) -> str:
    try:
        "".encode(said)
    except LookupError:
        raise ShopError(
            f"{path}: encoding {said!r} is unknown; write for example utf-8, windows-1252 or utf-16"
        ) from None
    marked = start.startswith(MARKS[0][0]) and said.lower().replace("_", "-") in ("utf-8", "utf8")
    return "utf-8-sig" if marked else said


def _wide(start: bytes) -> str:
    """Return the kind of UTF-16 of a file without a mark: it gives lines of letters; "" if none.

    Every second byte of Latin letters is NUL; of other scripts those of spaces and lines are.
    """
    if 0 not in start:
        return ""
    whole = start[: len(start) // 2 * 2]
    for name in ("utf-16-le", "utf-16-be"):
        text = whole.decode(name, "ignore")
        if "\n" in text and all(map(_is_text, text)):
            return name
    return ""


def _is_text(letter: str) -> bool:
    return letter in "\r\n\t" or unicodedata.category(letter) not in ("Cc", "Cn", "Co", "Cs")


def _read_through(path: Path) -> Encoding:
    """Look at every line for bytes that are not UTF-8."""
    good, bad, first, sample = 0, 0, 0, b""
    numbers: list[tuple[int, bytes]] = []
    with opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(BLOCK_BYTES), b""), 1):
            if line.isascii():
                continue
            try:
                line.decode()
                good += 1
            except UnicodeDecodeError:
                bad += 1
                first = first or number
                numbers += [(number, line)] if len(numbers) < 3 else []
                sample += line[:BLOCK_BYTES] if len(sample) < SAMPLE_BYTES else b""
    if not bad:
        return Encoding("utf-8-sig")
    if good > bad:
        examples = ((n, _odd_word(line.decode("windows-1252", "replace"))) for n, line in numbers)
        return Encoding("utf-8-sig", bad_lines=bad, examples=tuple(examples))
    name = _most_plausible(path, first, sample)
    examples = ((n, _odd_word(line.decode(name, "replace"))) for n, line in numbers)
    return Encoding(name, guessed=True, examples=tuple(examples))


def _most_plausible(path: Path, line: int, sample: bytes) -> str:
    in_runs = _runs_of_bytes(sample)
    if name := east_asian(_whole_lines(sample), SURE, in_runs=in_runs):
        return name
    script, likelihood = likeliest(sample)
    few = len(re.findall(rb"[\x80-\xff]", sample)) < FEW
    if (
        in_runs
        and likelihood > PLAUSIBLE
        and not few
        and not _is_mixed(sample.decode(script, "replace"))
    ):
        return _twin_of(script, sample)
    others = () if likelihood <= PLAUSIBLE else LETTERS.keys() - {script}
    best = _least_odd(sample, [name for name in SINGLE_BYTE if name not in others])
    if not best or (best in LATIN and _runs_of_letters(sample.decode(best, "replace"))):
        if name := east_asian(_whole_lines(sample), LEAST, in_runs=in_runs):
            return name
        byte = next(b for b in sample if b > 127)
        raise ShopError(
            f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8, and no other encoding is "
            "plausible; say `encoding` in the mapping (gb18030, big5, …), or save the file as UTF-8"
        )
    return _twin_of(best, sample)


def _twin_of(name: str, sample: bytes) -> str:
    """Return an encoding, or the one that differs from it in a few letters if it is less odd."""
    several = [one for one in (name, TWINS.get(name, "")) if one]
    return min(several, key=lambda one: _oddness(one, sample.decode(one, "replace")))


def _least_odd(sample: bytes, names: list[str]) -> str:
    """Return the likeliest of the encodings that are plausible; "" where none is."""
    found: dict[str, float] = {}
    for name in names:
        text = sample.decode(name, "replace")
        odd = _oddness(name, text)
        if odd <= IMPLAUSIBLE * sum(not c.isascii() for c in text):
            found[name] = odd + _doubt(name, text)
    return min(found, key=lambda name: found[name], default="")


def _is_mixed(text: str) -> bool:
    """Tell whether many words of another script have Latin letters, too."""
    words = [word for word in re.findall(r"\w+", text) if not word.isascii()]
    return sum(bool(MIXED.search(word)) for word in words) * 5 > len(words)


def _whole_lines(sample: bytes) -> bytes:
    """Return the sample without a last line that may be cut within a letter."""
    return sample if len(sample) < BLOCK_BYTES else sample[: sample.rfind(b"\n") + 1] or sample


def _runs_of_bytes(sample: bytes) -> bool:
    """Tell whether bytes beyond ASCII mostly stand in long runs, as in no Latin script."""
    return _are_long(re.findall(rb"[\x80-\xff]++", sample))


def _runs_of_letters(text: str) -> bool:
    """Tell the same of a decoded text, of which signs between letters are no part of a run."""
    return _are_long(re.findall(rf"[^\x00-\x7fı{BETWEEN}]++", text))


def _are_long(runs: Sequence[str | bytes]) -> bool:
    return sum(len(run) for run in runs if len(run) > 3) > sum(map(len, runs)) / 2


def _oddness(name: str, text: str) -> float:
    """Return how much of a text no writer would write: symbols and capitals inside words."""
    odd = 3.0 * sum(c == "\ufffd" or "\x80" <= c < "\xa0" or "\u2500" <= c < "\u25a0" for c in text)
    odd += sum(not (c.isascii() or c.isalpha() or c in USUAL_SIGNS) or c in "ˆˇ" for c in text)
    odd += sum(weight * text.count(c) for c, weight in RARE.get(name, {}).items())
    odd += STRANGER * strangers(name, text)
    odd += 2.0 * len(WITHIN_WORDS.findall(text))
    odd += 2.0 * len(MIXED.findall(text))
    for one, other in pairwise(text):
        if one.islower() and other.isupper() and not (one.isascii() and other.isascii()):
            odd += 2.0
    return odd


def _doubt(name: str, text: str) -> float:
    """Return what speaks against an encoding beside another that is as plausible."""
    whole, each = DOUBT.get(name, (0.0, 0.0))
    doubt = whole + each * sum(c.isalpha() and not c.isascii() for c in text)
    lonely = min(len(QUOTE.findall(text)), abs(text.count("“") - text.count("”")))
    leading = [sign for sign in LEADING.findall(text) if ENDS.get(sign, "\0") not in text]
    doubt += DOUBT_LEADING * len(leading)
    return doubt + DOUBT_SIGN * len(SIGN.findall(text)) + DOUBT_QUOTE * lonely


def _odd_word(text: str) -> str:
    words: Iterable[str] = re.findall(r"[^\s,;|\"]+", text[:100_000])
    return shown(next((word for word in words if not word.isascii()), ""))
