"""The errors that an index raises."""


class IndexFault(ValueError):
    """The root of everything the ground floor refuses."""


class DimensionMismatch(IndexFault):
    """Two sets of vectors that should share a dimension do not."""


class UnfitVectors(IndexFault):
    """Vectors that are NaN, infinite, absurdly large or of zero length."""


class FilterError(IndexFault):
    """A filter that cannot be read or does not fit the columns; says the position."""


class DamagedIndex(IndexFault):
    """A file that should hold an index, and does not."""


class Unreachable(IndexFault):
    """An index on another machine that does not answer, or refuses; says where it should be."""
