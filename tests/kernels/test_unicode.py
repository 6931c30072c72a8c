"""The pinned Unicode tables agree with the running Python."""

import unicodedata

import numpy as np
import pytest

from curate.kernels import unicode


@pytest.fixture(scope="module")
def built():
    """The tables of the running Python, by code point."""
    return _by_point({**unicode.build()})


def _by_point(tables):
    """Classes, combining class and mapping of every code point."""
    page = tables["page"][:0x1100].astype(np.int64)
    at = (page[:, None] * 256 + np.arange(256)).reshape(-1)
    return tables["classes"][at], tables["combining"][at], tables["fold"][at]


def _mapping(tables, k):
    return tables.fold_bytes[k].tobytes()[: tables.fold_size[k]].decode()


def test_tables_agree_with_the_running_python(built):
    pinned = _by_point(unicode.tables()._asdict())
    if unicodedata.unidata_version.startswith(unicode.VERSION):
        for ours, theirs in zip(pinned, built, strict=True):
            assert (ours == theirs).all()
    both = (pinned[0] & unicode.ASSIGNED != 0) & (built[0] & unicode.ASSIGNED != 0)
    assert both.sum() > 280_000
    # Between versions, a few characters change their properties (case of modifier letters, say).
    assert ((pinned[0] != built[0]) & both).sum() <= 40
    assert ((pinned[1] != built[1]) & both).sum() <= 10


def test_mappings_are_lower_case_and_nfd():
    tables = unicode.tables()
    classes, _, fold = _by_point(tables._asdict())
    for point in np.flatnonzero(fold):
        char = chr(point)
        if unicodedata.category(char) != "Cn":
            mapped = unicodedata.normalize("NFD", char.lower())
            assert _mapping(tables, fold[point]) == mapped
            assert tables.fold_ranks[fold[point]].tolist() == [*map(unicodedata.combining, (mapped[0], mapped[-1]))]
    assert (classes[fold > 0] & unicode.REWRITTEN != 0).all()


def test_file_is_small_and_any_four_bytes_stay_within_the_tables():
    tables = unicode.tables()
    assert unicode.FILE.stat().st_size < 150_000
    assert len(tables.page) > 0x1FFFFF >> 8
    assert int(tables.page.max()) * 256 + 255 < len(tables.classes)


def test_no_mapping_grows_more_than_the_kernels_allow_for():
    folding = pytest.importorskip("curate.kernels.folding")
    for point in (*range(0xD800), *range(0xE000, 0x110000)):
        char = chr(point)
        folded = unicodedata.normalize("NFD", char.lower())
        if folded != char:
            assert len(folded.encode()) <= folding.GROWTH * len(char.encode())
