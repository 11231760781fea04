"""Tells the encoding of a text file by its bytes."""

import re
from collections.abc import Iterable
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
LATIN = SINGLE_BYTE[:6]
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
WITHIN_WORDS = re.compile(r"(?<=[^\W\d_¹²³ªº¼½¾])(?:[¹²³ªº¼½¾]|[^\w\s!-~’·])+(?=[^\W\d_¹²³ªº¼½¾])")
MIXED = re.compile(  # words of accented letters alone, and of letters of two scripts
    r"[À-ɏ]{4}|[A-Za-z][\u0370-\u06ff\u0e00-\u0e7f]|[\u0370-\u06ff\u0e00-\u0e7f][A-Za-z]"
)
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
    """Return the kind of UTF-16 of a file without a mark: every second byte is mostly NUL."""
    pairs = max(len(start) // 2, 1)
    even, odd = start[::2].count(0) / pairs, start[1::2].count(0) / pairs
    if odd > 0.4 > even:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 > odd else ""


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
    if in_runs and likelihood > PLAUSIBLE and len(re.findall(rb"[\x80-\xff]", sample)) >= FEW:
        return script
    others = () if likelihood <= PLAUSIBLE else LETTERS.keys() - {script}
    names = [name for name in SINGLE_BYTE if name not in others]
    decoded = {name: sample.decode(name, "replace") for name in names}
    odd = {name: _oddness(name, text) for name, text in decoded.items()}
    best = min(odd, key=lambda name: odd[name])
    letters = sum(not c.isascii() for c in decoded[best])
    if odd[best] > IMPLAUSIBLE * letters or (in_runs and best in LATIN):
        if name := east_asian(_whole_lines(sample), LEAST, in_runs=in_runs):
            return name
        byte = next(b for b in sample if b > 127)
        raise ShopError(
            f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8, and no other encoding is "
            "plausible; say `encoding` in the mapping (gb18030, big5, …), or save the file as UTF-8"
        )
    return best


def _whole_lines(sample: bytes) -> bytes:
    """Return the sample without a last line that may be cut within a letter."""
    return sample if len(sample) < BLOCK_BYTES else sample[: sample.rfind(b"\n") + 1] or sample


def _runs_of_bytes(sample: bytes) -> bool:
    """Tell whether bytes beyond ASCII mostly stand in long runs, as in no Latin script."""
    runs = re.findall(rb"[\x80-\xff]++", sample)
    return sum(len(run) for run in runs if len(run) > 3) > sum(map(len, runs)) / 2


def _oddness(name: str, text: str) -> float:
    """Return how much of a text no writer would write: symbols and capitals inside words."""
    odd = 3.0 * sum(c == "\ufffd" or "\x80" <= c < "\xa0" or "\u2500" <= c < "\u25a0" for c in text)
    odd += sum(not (c.isascii() or c.isalpha() or c in USUAL_SIGNS) for c in text)
    odd += sum(weight * text.count(c) for c, weight in RARE.get(name, {}).items())
    odd += STRANGER * strangers(name, text)
    odd += 2.0 * len(WITHIN_WORDS.findall(text))
    odd += 2.0 * len(MIXED.findall(text))
    for one, other in pairwise(text):
        if one.islower() and other.isupper() and not other.isascii():
            odd += 2.0
    return odd


def _odd_word(text: str) -> str:
    words: Iterable[str] = re.findall(r"[^\s,;|\"]+", text[:100_000])
    return shown(next((word for word in words if not word.isascii()), ""))
