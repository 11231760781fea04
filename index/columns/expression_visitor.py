"""A visitor over the tree of a filter: translates each kind of node, from the leaves up."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from index.columns.filter_language import (
    AnyOf,
    Between,
    Both,
    Compare,
    Either,
    Expression,
    Negation,
)

Translation = TypeVar("Translation")


class ExpressionVisitor(ABC, Generic[Translation]):
    """A translation of filters into another language: one method for each kind of node."""

    def visit(self, node: Expression) -> Translation:
        """Return the translation of a tree."""
        match node:
            case Both(parts):
                return self.both([self.visit(part) for part in parts])
            case Either(parts):
                return self.either([self.visit(part) for part in parts])
            case Negation(inner):
                return self.negation(self.visit(inner))
            case AnyOf():
                return self.any_of(node)
            case Between():
                return self.between(node)
            case Compare():
                return self.compare(node)

    @abstractmethod
    def both(self, parts: Sequence[Translation]) -> Translation:
        """Return what holds where all parts hold."""

    @abstractmethod
    def either(self, parts: Sequence[Translation]) -> Translation:
        """Return what holds where one of the parts holds."""

    @abstractmethod
    def negation(self, inner: Translation) -> Translation:
        """Return what holds where the inner one does not, also where a value is missing."""

    @abstractmethod
    def any_of(self, test: AnyOf) -> Translation:
        """Return what holds where one of the field's values is one of these."""

    @abstractmethod
    def between(self, test: Between) -> Translation:
        """Return what holds where the field's number lies in the interval."""

    @abstractmethod
    def compare(self, test: Compare) -> Translation:
        """Return what holds where the field's number compares so."""
