"""Sets of hashes agree with Python's."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.sets import as_lists, jaccard

hashes = st.integers(0, 12) | st.integers(2**64 - 3, 2**64 - 1)
documents = st.lists(st.tuples(st.lists(hashes, max_size=12), st.lists(hashes, max_size=12)), min_size=1, max_size=12)


def _sets(lists):
    once = [sorted({*each}) for each in lists]
    values = np.array([value for each in once for value in each], np.uint64)
    return as_lists(values, np.cumsum([0, *map(len, once)]))


@settings(max_examples=200, deadline=None)
@given(documents)
def test_sets_and_their_similarity_agree_with_python(pairs):
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    assert _sets(left).to_pylist() == [sorted({*each}) for each in left]
    expected = [len({*a} & {*b}) / len({*a} | {*b}) if a or b else 1.0 for a, b in pairs]
    assert jaccard(_sets(left), _sets(right)).tolist() == expected
    assert jaccard(_sets(left)[1:], _sets(right)[1:]).tolist() == expected[1:]


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="there are 1 and 2"):
        jaccard(pa.array([[1]], pa.list_(pa.uint64())), pa.array([[1], [2]], pa.list_(pa.uint64())))
