"""Arrays: distinct rows are those of NumPy, in its order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import distinct


@given(st.lists(st.integers(0, 20)))
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_distinct_rows_are_those_that_numpy_finds(dtype: type, rows: list[int]) -> None:
    found = distinct(np.array(rows, dtype))

    assert found.dtype == dtype
    assert found.tolist() == sorted(set(rows))
