"""Translates a parsed query into tantivy's queries over weighted fields."""

from collections.abc import Iterable, Mapping

import tantivy
from jaxtyping import Int64
from numpy import ndarray

from index.words.queries.parsed_query import Form, ParsedQuery, QueryTerm, QueryWord
from index.words.rarity import rarity
from index.words.terms.codes import beginning
from index.words.terms.pieces import Words

PRESENCE = 2.0  # how much a word counts for being there, times its idf, beside where it is
MOST_BEGINNING = 64  # terms that begin alike


class TermQueries:
    """Builds the queries of one index; the weight of a field multiplies its BM25."""

    def __init__(
        self,
        schema: tantivy.Schema,
        searcher: tantivy.Searcher,
        weights: Mapping[str, float],
        *,
        positions: bool,
    ) -> None:
        """Look for phrases word by word where the index has no `positions`."""
        self._schema = schema
        self._searcher = searcher
        self._num_rows = int(searcher.num_docs)
        self.weights = weights
        self._positions = positions

    def of(self, parsed: ParsedQuery) -> tantivy.Query | None:
        """Return a query for any of the terms in any field; None if there are no terms.

        A row has every phrase that is required, and nothing that is excluded.
        """
        parts = [self._best(term) for term in parsed.terms]
        if not parts:
            return None
        conditions = self._conditions(parsed)
        return restricted(any_of(parts), conditions) if conditions else any_of(parts)

    def permitted(self, parsed: ParsedQuery) -> tantivy.Query | None:
        """Return a query for the rows that the operators permit; None: there are none."""
        conditions = self._conditions(parsed)
        return restricted(tantivy.Query.all_query(), conditions) if conditions else None

    def holding_all(self, words: Iterable[QueryWord]) -> tantivy.Query:
        """Return a query for the rows that hold each of these words."""
        return all_of(self.holding(word, self.weights) for word in words)

    def holding(self, word: QueryWord, fields: Iterable[str]) -> tantivy.Query:
        """Return a query for the rows that hold a word in one of the fields."""
        names = tuple(fields)
        ways = (
            all_of(any_of(self.exactly(name, term) for name in names) for term in way)
            for way in word.ways
        )
        return any_of([*ways, *(self.phrase(words, names) for words in word.phrases)])

    def phrase(self, words: Words, fields: Iterable[str] | None = None) -> tantivy.Query:
        """Return a query for rows where these terms follow each other in one of the fields."""
        if len(words) == 1:
            return self.anywhere(words[0])
        if not self._positions:
            return all_of(map(self.anywhere, words))
        phrase, names = tantivy.Query.phrase_query, self.weights if fields is None else fields
        return any_of(phrase(self._schema, field, list(words)) for field in names)

    def anywhere(self, term: str) -> tantivy.Query:
        """Return a query for a term in any field: its BM25 in each, and that it is there at all."""
        parts = [self._weighted(field, term) for field in self.weights]
        most = self.most_rows(term)
        if most:
            there = any_of(self.exactly(field, term) for field in self.weights)
            presence = PRESENCE * rarity(most, self._num_rows)
            parts.append(tantivy.Query.const_score_query(there, presence))
        return any_of(parts)

    def exactly(self, field: str, term: str) -> tantivy.Query:
        """Return a query for a term in one field, unweighted; for any that begins so, the best."""
        prefix = beginning(term)
        if prefix is not None:
            longer = self._longer(field, prefix)
            exact = (tantivy.Query.term_query(self._schema, field, one) for one in longer)
            return tantivy.Query.disjunction_max_query(list(exact))
        return tantivy.Query.term_query(self._schema, field, term)

    def among(self, query: tantivy.Query, rows: Int64[ndarray, "c"]) -> tantivy.Query:
        """Return the query restricted to these rows, with unchanged scores."""
        inside = tantivy.Query.term_set_query(self._schema, "row", rows.tolist())
        return all_of([unscored(inside), query])

    def _best(self, term: QueryTerm) -> tantivy.Query:
        """Return the best of several forms, not their sum: a disjunction max."""
        if term.plain:
            return self.anywhere(term.forms[0].terms[0])
        forms = [tantivy.Query.boost_query(self._form(form), form.factor) for form in term.forms]
        return forms[0] if len(forms) == 1 else tantivy.Query.disjunction_max_query(forms)

    def _form(self, form: Form) -> tantivy.Query:
        terms = [self.anywhere(term) for term in form.terms]
        return all_of(terms) if form.together else any_of(terms)

    def _conditions(self, parsed: ParsedQuery) -> list[tuple[tantivy.Occur, tantivy.Query]]:
        phrases = [(tantivy.Occur.Must, unscored(self.phrase(words))) for words in parsed.phrases]
        excluded = [(tantivy.Occur.MustNot, self.phrase(words)) for words in parsed.excluded]
        return [*phrases, *excluded]

    def _weighted(self, field: str, term: str) -> tantivy.Query:
        """Return a query for a term in a field by its BM25, with the idf of all fields.

        A word that is rare in titles may be frequent elsewhere: it is no better than another there.
        """
        boost = self.weights[field]
        if beginning(term) is None and (rows := self._rows_of(field, term)):
            boost *= rarity(self.most_rows(term), self._num_rows) / rarity(rows, self._num_rows)
        return tantivy.Query.boost_query(self.exactly(field, term), boost)

    def most_rows(self, term: str) -> int:
        """Return in how many rows a term stands, in the field where that is most."""
        prefix = beginning(term)
        if prefix is not None:
            return max(len(self._longer(field, prefix)) for field in self.weights)
        return max(self._rows_of(field, term) for field in self.weights)

    def _longer(self, field: str, prefix: str) -> list[str]:
        longer = self._searcher.terms_with_prefix(field, prefix, limit=MOST_BEGINNING)
        return [term for term, _ in longer]

    def _rows_of(self, field: str, term: str) -> int:
        return int(self._searcher.doc_freq(field, term))


def any_of(queries: Iterable[tantivy.Query]) -> tantivy.Query:
    """Return a query that a document matches by any of these."""
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])


def all_of(queries: Iterable[tantivy.Query]) -> tantivy.Query:
    """Return a query that a document matches by all of these."""
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in queries])


def restricted(
    query: tantivy.Query, conditions: Iterable[tuple[tantivy.Occur, tantivy.Query]]
) -> tantivy.Query:
    """Return the query under these conditions, with unchanged scores."""
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), *conditions])


def unscored(query: tantivy.Query) -> tantivy.Query:
    """Return a query that matches the same rows and adds nothing to their scores."""
    return tantivy.Query.const_score_query(query, 0.0)
