"""cc_net's length, lines and buckets."""

import pyarrow as pa
import pytest

from curate.cut_offs import cut_offs
from curate.operators.ccnet import CcnetMetadata


@pytest.mark.parametrize(
    ("language", "perplexity", "bucket"),
    [
        ("en", 339.9, 0),
        ("en", 340.0, 1),
        ("en", 520.0, 2),
        ("de", 369.0, 0),
        ("fr", 329.9, 1),
        ("es", 290.0, 2),
        ("it", 220.0, 1),
        ("xx", 1.0, None),
        (None, 1.0, None),
        ("en", None, None),
    ],
)
def test_buckets_are_those_of_the_published_cut_offs(
    language: str | None, perplexity: float | None, bucket: int | None
) -> None:
    columns = {"language": pa.array([language], pa.string()), "perplexity": pa.array([perplexity], pa.float64())}
    found = CcnetMetadata()(pa.table({"text": ["a\n\u00e9"], **columns})).to_pylist()[0]
    assert (found["ccnet_length"], found["ccnet_nlines"], found["ccnet_bucket"]) == (3, 2, bucket)


def test_forty_eight_languages_have_cut_offs_in_order() -> None:
    assert len(cut_offs()) == 48
    assert all(0 < head < middle for head, middle in cut_offs().values())


def test_length_and_lines_need_the_text_alone() -> None:
    operator = CcnetMetadata(signals=("ccnet_length", "ccnet_nlines"))
    assert [*operator.reads()] == ["text"]
    assert operator("") == {"ccnet_length": 0, "ccnet_nlines": 1}
