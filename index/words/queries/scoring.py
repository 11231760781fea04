"""Scores all rows for a parsed query: BM25 summed over its terms, from the postings."""

from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from index.arrays import distinct
from index.words.postings import Postings
from index.words.queries.parsed_query import Form, ParsedQuery, QueryTerm


class Scored(NamedTuple):
    """Rows, ascending, with a score each; no other row has one."""

    rows: Int32[np.ndarray, "m"]
    scores: Float32[np.ndarray, "m"]


def row_scores(parsed: ParsedQuery, postings: Postings) -> Float32[np.ndarray, "n"]:
    """Return the score of every row, 0 where no term of the query is; operators are not obeyed.

    A term scores `idf * (PRESENCE + the sum over fields of weight * saturation)`, its idf being
    that of the field where most rows have it: a word that is rare in titles may be frequent
    elsewhere, and is no better than another there. Of a term's forms the best one counts.
    """
    sums = np.zeros(postings.num_rows, np.float32)
    for term in parsed.terms:
        _add(term, postings, sums)
    return sums


def _add(term: QueryTerm, postings: Postings, sums: Float32[np.ndarray, "n"]) -> None:
    """Add the best form of a term to the sums."""
    forms = [_scored_form(form, postings) for form in term.forms]
    if len(forms) == 1:
        sums[forms[0].rows] += forms[0].scores
        return
    best = np.zeros_like(sums)
    for rows, scores in forms:
        best[rows] = np.maximum(best[rows], scores)
    for rows, _ in forms:
        sums[rows] += best[rows]
        best[rows] = 0  # a row of several forms is added once


def _scored_form(form: Form, postings: Postings) -> Scored:
    """Return the factor of a form times the sum over its terms, of which a row may need all."""
    terms = [_scored_term(term, postings) for term in form.terms]
    rows, scores = terms[0] if len(terms) == 1 else _summed(terms, together=form.together)
    return Scored(rows, np.float32(form.factor) * scores)


def _scored_term(term: str, postings: Postings) -> Scored:
    rows, impacts, _ = postings.of(term)
    return Scored(rows, np.float32(postings.rarity(term)) * impacts)


def _summed(terms: list[Scored], *, together: bool) -> Scored:
    all_rows = [one.rows for one in terms]
    if together:
        rows = reduce(lambda some, more: np.intersect1d(some, more, assume_unique=True), all_rows)
    else:
        rows = distinct(np.concatenate(all_rows))
    sums = np.zeros(len(rows), np.float32)
    for one in terms:
        held, places = places_in(one.rows, rows)
        sums[held] += one.scores[places]
    return Scored(rows, sums)


def places_in(
    rows: Int32[np.ndarray, "p"], wanted: Int32[np.ndarray, "c"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the wanted rows are among ascending ones, and the place there of each."""
    if not len(rows):
        return np.zeros(len(wanted), bool), np.empty(0, np.int64)
    places = np.searchsorted(rows, wanted).clip(max=len(rows) - 1)
    held = rows[places] == wanted
    return held, places[held]
