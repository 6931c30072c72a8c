"""Documents as lines, against what Python says."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.one_line import one_line

texts = st.lists(
    st.text(st.sampled_from("a é\n\r\t\v\f\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029\u3000\u2027日𝄞"), max_size=12)
)


def twin(text: str) -> str:
    return " ".join(text.splitlines()).strip()


@given(texts)
def test_as_python_but_for_runs_of_spaces(given: list[str]) -> None:
    lines = one_line(pa.array(given, pa.string())).to_pylist()
    assert [line.count("\n") for line in lines] == [1] * len(given)
    found = [line.strip(" \n").replace("  ", " ") for line in lines]
    assert [" ".join(line.split(" ")) for line in map(squeezed, found)] == [squeezed(twin(text)) for text in given]
    assert [len(line.encode()) for line in lines] == [len(text.encode()) + 1 for text in given]


def squeezed(text: str) -> str:
    return " ".join(part for part in text.split(" ") if part)


def test_slices_and_nulls() -> None:
    assert one_line(pa.array(["x", "a\nb", None])[1:]).to_pylist() == ["a b\n", "\n"]
