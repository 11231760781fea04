"""Scores by postings, beside BM25 written out term by term."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.words import postings as module
from index.words.postings import PRESENCE, Postings, PostingsWriter
from index.words.queries.parsed_query import Form, ParsedQuery, QueryTerm
from index.words.queries.scoring import row_scores
from index.words.terms.codes import BEGINNING, FIELD, PART

WEIGHTS = {"title": 2.0, "text": 0.5, FIELD: 1.5}
K1, B = 1.2, 0.75
Document = Mapping[str, Sequence[str]]

words = st.sampled_from(["a", "b", "c", "d", "ä", "茶"])
codes = st.sampled_from(["#1", "#12", "#123", "#2", "##12"])
documents = st.fixed_dictionaries(
    {},
    optional={
        "title": st.lists(words, max_size=6),
        "text": st.lists(words, max_size=6),
        FIELD: st.lists(codes, max_size=4),
    },
)
asked = words | codes | st.sampled_from([PART + BEGINNING, PART + "1" + BEGINNING, "zz", ""])
forms = st.builds(
    Form,
    st.lists(asked, min_size=1, max_size=3).map(tuple),
    st.sampled_from([1.0, 0.8, 0.3]),
    st.booleans(),
)
terms = st.builds(QueryTerm, st.lists(forms, min_size=1, max_size=3).map(tuple))
queries = st.builds(ParsedQuery, st.lists(terms, max_size=4).map(tuple))


def written(rows: Sequence[Document], folder: Path) -> Postings:
    writer = PostingsWriter(WEIGHTS)
    for document in rows:
        writer.add(document)
    writer.save(folder)
    return Postings.open(folder, len(rows))


def naive(query: ParsedQuery, rows: Sequence[Document]) -> list[float]:
    return [sum(_of_term(term, row, rows) for term in query.terms) for row in rows]


def _of_term(term: QueryTerm, row: Document, rows: Sequence[Document]) -> float:
    return max(_of_form(form, row, rows) for form in term.forms)


def _of_form(form: Form, row: Document, rows: Sequence[Document]) -> float:
    scores = [_idf(term, rows) * _impact(term, row, rows) for term in form.terms]
    return 0.0 if form.together and not all(scores) else form.factor * sum(scores)


def _meant(term: str, rows: Sequence[Document]) -> set[str]:
    if not (term.startswith(PART) and term.endswith(BEGINNING)):
        return {term}
    return {
        one for row in rows for some in row.values() for one in some if one.startswith(term[:-1])
    }


def _idf(term: str, rows: Sequence[Document]) -> float:
    meant = _meant(term, rows)
    most = max(sum(not meant.isdisjoint(row.get(field, ())) for row in rows) for field in WEIGHTS)
    most = max(most, 1)
    return math.log(1 + (max(len(rows) - most, 0) + 0.5) / (most + 0.5))


def _impact(term: str, row: Document, rows: Sequence[Document]) -> float:
    return max((_impact_of_one(one, row, rows) for one in _meant(term, rows)), default=0.0)


def _impact_of_one(term: str, row: Document, rows: Sequence[Document]) -> float:
    total = 0.0
    for field, weight in WEIGHTS.items():
        times, length = list(row.get(field, ())).count(term), len(row.get(field, ()))
        mean = sum(len(one.get(field, ())) for one in rows) / len(rows)
        if times:
            total += weight * (K1 + 1) * times / (times + K1 * (1 - B + B * length / mean))
    return total + PRESENCE if total else 0.0


@given(rows=st.lists(documents, max_size=8), query=queries)
@settings(deadline=None, max_examples=60)
def test_scores_are_those_of_bm25_written_out(rows: list[Document], query: ParsedQuery) -> None:
    with TemporaryDirectory() as folder:
        scores = row_scores(query, written(rows, Path(folder)))

        assert np.allclose(scores, naive(query, rows), rtol=1e-5, atol=1e-6)


@given(rows=st.lists(documents, max_size=8), query=queries)
@settings(deadline=None, max_examples=20)
def test_scores_do_not_depend_on_how_many_occurrences_are_counted_together(
    rows: list[Document], query: ParsedQuery
) -> None:
    with (
        TemporaryDirectory() as one,
        TemporaryDirectory() as other,
        pytest.MonkeyPatch.context() as m,
    ):
        scores = row_scores(query, written(rows, Path(one)))
        m.setattr(module, "BLOCK", 2)

        assert np.array_equal(row_scores(query, written(rows, Path(other))), scores)
