"""Translates a parsed query into tantivy's queries over weighted fields."""

from collections.abc import Iterable, Mapping

import tantivy
from jaxtyping import Int64
from numpy import ndarray

from index.words.query_reading import Form, ParsedQuery, QueryTerm


class TermQueries:
    """Builds the queries of one index; the weight of a field multiplies its BM25."""

    def __init__(self, schema: tantivy.Schema, weights: Mapping[str, float]) -> None:
        self._schema = schema
        self._weights = weights

    def of(self, parsed: ParsedQuery) -> tantivy.Query | None:
        """Return a query for any of the terms in any field; None if there are no terms."""
        plain = [term.forms[0].terms[0] for term in parsed.terms if term.plain]
        parts = [self._weighted(field, term) for field in self._weights for term in plain]
        parts += [self._best(term) for term in parsed.terms if not term.plain]
        return any_of(parts) if parts else None

    def anywhere(self, term: str) -> tantivy.Query:
        """Return a query for a term in any field."""
        return any_of(self._weighted(field, term) for field in self._weights)

    def exactly(self, field: str, term: str) -> tantivy.Query:
        """Return a query for a term in one field, unweighted."""
        return tantivy.Query.term_query(self._schema, field, term)

    def among(self, query: tantivy.Query, rows: Int64[ndarray, "c"]) -> tantivy.Query:
        """Return the query restricted to these rows, with unchanged scores."""
        inside = tantivy.Query.term_set_query(self._schema, "row", rows.tolist())
        return all_of([tantivy.Query.const_score_query(inside, 0.0), query])

    def _best(self, term: QueryTerm) -> tantivy.Query:
        """Return the best of several forms, not their sum: a disjunction max."""
        forms = [tantivy.Query.boost_query(self._form(form), form.factor) for form in term.forms]
        return forms[0] if len(forms) == 1 else tantivy.Query.disjunction_max_query(forms)

    def _form(self, form: Form) -> tantivy.Query:
        terms = [self.anywhere(term) for term in form.terms]
        return all_of(terms) if form.together else any_of(terms)

    def _weighted(self, field: str, term: str) -> tantivy.Query:
        return tantivy.Query.boost_query(self.exactly(field, term), self._weights[field])


def any_of(queries: Iterable[tantivy.Query]) -> tantivy.Query:
    """Return a query that a document matches by any of these."""
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])


def all_of(queries: Iterable[tantivy.Query]) -> tantivy.Query:
    """Return a query that a document matches by all of these."""
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in queries])
