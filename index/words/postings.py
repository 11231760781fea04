"""Postings: the rows of each term, with what the term counts in each, computed when it is written.

So a query is scored by adding arrays: eager scoring, as Lù (2024), BM25S, arXiv 2407.03618, does.
"""

from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt8

from index.arrays import map_array, save_array
from index.words.rarity import rarity
from index.words.sorted_texts import StringArray
from index.words.terms.codes import FIELD as CODES
from index.words.terms.codes import beginning
from index.words.terms.heads import FIELD as HEAD

K1, B = 1.2, 0.75  # of BM25
PRESENCE = 2.0  # how much a word counts for being there, beside where it is
NAMING_WEIGHT = 1.0  # fields of at least this weight name a product, such as its title
ANYWHERE, NAMED, IN_HEAD, IN_CODE = 1, 2, 4, 8  # bits: in which fields of a row a term is
MOST_BEGINNING = 64  # terms that begin alike
BLOCK = 1 << 22  # occurrences that are counted together
CACHED_TERMS, CACHED_BEGINNINGS = 1 << 16, 64
COLUMNS = ("starts", "rows", "impacts", "fields", "most")


class TermPostings(NamedTuple):
    """Where a term is."""

    rows: Int32[np.ndarray, "p"]  # ascending
    impacts: Float32[np.ndarray, "p"]  # BM25 over weighted fields plus PRESENCE, without the idf
    fields: UInt8[np.ndarray, "p"]  # bits

    @classmethod
    def none(cls) -> "TermPostings":
        """Return that no row has a term."""
        return cls(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.uint8))


class TermCounts(NamedTuple):
    """How often each term stands in each field of each row, sorted by `keys`, then by row."""

    keys: Int64[np.ndarray, "p"]  # number of the term * number of fields + field
    rows: Int32[np.ndarray, "p"]
    times: Int32[np.ndarray, "p"]

    @classmethod
    def of(cls, keys: Int64[np.ndarray, "o"], rows: Int32[np.ndarray, "o"]) -> "TermCounts":
        """Count occurrences, which are given row by row."""
        order = np.argsort(keys, kind="stable")
        keys, rows = keys[order], rows[order]
        new = np.ones(len(keys), bool)
        new[1:] = (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])
        firsts = np.flatnonzero(new)
        times = np.diff(firsts, append=len(keys)).astype(np.int32)
        return cls(keys[firsts], rows[firsts], times)


class PostingsWriter:
    """Counts the terms of documents, row by row, and writes the postings."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)
        self._numbers: dict[str, int] = {}
        self._blocks: list[TermCounts] = []
        self._keys, self._rows = array("q"), array("i")
        self._lengths = {field: array("i") for field in weights}
        self._size = 0

    def add(self, document: Mapping[str, Sequence[str]]) -> None:
        """Add the next row: its terms by field, each as often as met."""
        numbers, of = self._numbers, len(self._weights)
        before = len(self._keys)
        for place, field in enumerate(self._weights):
            terms = document.get(field, ())
            self._lengths[field].append(len(terms))
            self._keys.extend(numbers.setdefault(t, len(numbers)) * of + place for t in terms)
        self._rows.extend([self._size] * (len(self._keys) - before))
        self._size += 1
        if len(self._keys) > BLOCK:
            self._count()

    def save(self, folder: Path) -> dict[str, float]:
        """Write the files into the folder; return how many terms each field has on average."""
        self._count()
        terms = sorted(self._numbers)
        lengths = {f: np.frombuffer(all_, np.int32) for f, all_ in self._lengths.items()}
        means = {f: float(some.mean()) if len(some) else 0.0 for f, some in lengths.items()}
        counted = self._sorted_by_text(terms)
        impacts = self._impacts(counted, lengths, means)
        columns = self._joined_fields(counted, impacts, len(terms))
        StringArray.of(terms).save(folder, "terms")
        for name, column in zip(COLUMNS, columns, strict=True):
            save_array(folder / f"postings_{name}.npy", column)
        return means

    def _count(self) -> None:
        """Count the occurrences at hand, to forget them."""
        keys, rows = np.array(self._keys, np.int64), np.array(self._rows, np.int32)
        self._blocks.append(TermCounts.of(keys, rows))
        self._keys, self._rows = array("q"), array("i")

    def _sorted_by_text(self, terms: Sequence[str]) -> TermCounts:
        """Return all that was counted, terms numbered in the order of their texts."""
        ranks = np.empty(len(terms), np.int64)
        for rank, term in enumerate(terms):
            ranks[self._numbers[term]] = rank
        keys, rows, times = (np.concatenate(column) for column in zip(*self._blocks, strict=True))
        self._blocks.clear()
        fields = len(self._weights)
        keys = ranks[keys // fields] * fields + keys % fields
        order = np.argsort(keys, kind="stable")
        return TermCounts(keys[order], rows[order], times[order])

    def _impacts(
        self,
        counted: TermCounts,
        lengths: Mapping[str, Int32[np.ndarray, "n"]],
        means: Mapping[str, float],
    ) -> Float64[np.ndarray, "p"]:
        """Return what each posting of one field counts by BM25, times the field's weight."""
        impacts = np.zeros(len(counted.keys))
        places = counted.keys % len(self._weights)
        for place, (field, weight) in enumerate(self._weights.items()):
            here = np.flatnonzero(places == place)
            times, length = counted.times[here], lengths[field][counted.rows[here]]
            impacts[here] = weight * saturation(times, length, means[field])
        return impacts

    def _joined_fields(
        self, counted: TermCounts, impacts: Float64[np.ndarray, "p"], num_terms: int
    ) -> tuple[np.ndarray, ...]:
        """Return the arrays of COLUMNS: the postings of all fields as one."""
        numbers, places = np.divmod(counted.keys, len(self._weights))
        by_field = np.bincount(counted.keys, minlength=num_terms * len(self._weights))
        most = (
            by_field.reshape(num_terms, len(self._weights)).max(axis=1, initial=0).astype(np.int32)
        )
        bits = np.array(
            [field_bits(field, weight) for field, weight in self._weights.items()], np.uint8
        )[places]
        order = np.lexsort((counted.rows, numbers))
        numbers, rows, impacts, bits = (
            numbers[order],
            counted.rows[order],
            impacts[order],
            bits[order],
        )
        new = np.ones(len(rows), bool)
        new[1:] = (numbers[1:] != numbers[:-1]) | (rows[1:] != rows[:-1])
        firsts = np.flatnonzero(new)
        if not len(firsts):
            return np.zeros(num_terms + 1, np.int64), *TermPostings.none(), most
        sums = np.add.reduceat(impacts, firsts) + PRESENCE
        fields = np.bitwise_or.reduceat(bits, firsts)
        starts = np.searchsorted(numbers[firsts], np.arange(num_terms + 1))
        return starts.astype(np.int64), rows[firsts], sums.astype(np.float32), fields, most


class Postings:
    """The postings of an index, mapped into memory."""

    def __init__(self, terms: StringArray, columns: Sequence[np.ndarray], num_rows: int) -> None:
        self._terms = terms
        self._starts, self._rows, self._impacts, self._fields, self._most = columns
        self.num_rows = num_rows
        self._place = lru_cache(CACHED_TERMS)(self._terms.place)
        self._all_beginning = lru_cache(CACHED_BEGINNINGS)(self._read_beginning)

    @classmethod
    def open(cls, folder: Path, num_rows: int) -> "Postings":
        """Map what PostingsWriter wrote; the caller has checked its checksums."""
        columns = [map_array(folder / f"postings_{name}.npy") for name in COLUMNS]
        return cls(StringArray.open(folder, "terms"), columns, num_rows)

    def of(self, term: str) -> TermPostings:
        """Return the postings of a term, empty if no row has it; for a beginning, of all such."""
        prefix = beginning(term)
        if prefix is not None:
            return self._all_beginning(prefix)
        place = self._place(term)
        return TermPostings.none() if place is None else self._at(place)

    def most_rows(self, term: str) -> int:
        """Return in how many rows a term stands, in the field where that is most.

        A beginning stands where one of its terms does; codes are in one field.
        """
        prefix = beginning(term)
        if prefix is not None:
            return len(self._all_beginning(prefix).rows)
        place = self._place(term)
        return 0 if place is None else int(self._most[place])

    def rarity(self, term: str) -> float:
        """Return the idf of a term; one that no row has is as rare as if one had it."""
        return rarity(max(self.most_rows(term), 1), self.num_rows)

    def _read_beginning(self, prefix: str) -> TermPostings:
        places = self._terms.starting_with(prefix)[:MOST_BEGINNING]
        return _largest([self._at(place) for place in places])

    def _at(self, place: int) -> TermPostings:
        here = slice(self._starts[place], self._starts[place + 1])
        return TermPostings(self._rows[here], self._impacts[here], self._fields[here])


def saturation(
    times: np.ndarray, lengths: np.ndarray, mean_length: float
) -> Float64[np.ndarray, "p"]:
    """Return what a term counts that is met so often in fields of such lengths, before its idf.

    `(k1 + 1) * tf / (tf + k1 * (1 - b + b * length / mean length))`: Robertson and Zaragoza, The
    Probabilistic Relevance Framework (2009).
    """
    relative = lengths / (mean_length or 1.0)
    return np.asarray((K1 + 1) * times / (times + K1 * (1 - B + B * relative)), np.float64)


def field_bits(field: str, weight: float) -> int:
    """Return the bits of a term that is in a field."""
    named = NAMED * (weight >= NAMING_WEIGHT)
    return ANYWHERE | named | IN_HEAD * (field == HEAD) | IN_CODE * (field == CODES)


def _largest(several: Sequence[TermPostings]) -> TermPostings:
    """Return the postings of several terms as one, each row with the largest impact."""
    if not several:
        return TermPostings.none()
    rows, places = np.unique(np.concatenate([one.rows for one in several]), return_inverse=True)
    impacts, fields = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.uint8)
    np.maximum.at(impacts, places, np.concatenate([one.impacts for one in several]))
    np.bitwise_or.at(fields, places, np.concatenate([one.fields for one in several]))
    return TermPostings(rows, impacts, fields)
