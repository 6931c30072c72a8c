"""Texts from spans of bytes are what Python decodes of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from curate.kernels.spans import are_plain, gather, repaired

TEXTS = st.lists(
    st.one_of(st.text(), st.binary(), st.sampled_from(["a" * 40, "é" * 9, "\x1b", "\ufeff", "\U00010000"])).map(
        lambda value: value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    ),
    max_size=6,
).map(b"".join)


@given(st.lists(TEXTS, min_size=1), st.booleans())
@example(
    [b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe0\x9f\x80", b"\xf0\x8f\x80\x80", b"\xc1\xbf", b"\xf4\x8f\xbf\xbf"],
    False,
)
def test_what_is_plain_decodes(texts: list[bytes], of_page: bool) -> None:
    ends = np.cumsum([len(text) for text in texts])
    spans = np.stack([ends - [len(text) for text in texts], ends], axis=1).astype(np.int32)
    verdicts = are_plain(b"".join(texts), spans, of_page)
    for text, verdict in zip(texts, verdicts, strict=True):
        try:
            decoded = text.decode()
        except UnicodeDecodeError:
            assert not verdict
        else:
            assert verdict == (not of_page or not ("\x1b" in decoded or decoded.startswith("\ufeff")))


@given(TEXTS)
@example("\ufeff\ufeffa\ufeff".encode())
@example(b"\xf0\x90\x80x\xed\xa0\x80\xf4\x90\x80\x80\xe0\x9f\x80\xc1\xbf\xe2\x82")
def test_what_is_repaired_has_the_same_characters(text: bytes) -> None:
    assert repaired(text).decode() == text.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")


@given(st.lists(st.one_of(st.none(), st.text())), st.lists(st.text()), st.integers(0, 80))
def test_gathered_strings_are_those_of_the_spans(first: list[str | None], second: list[str], after: int) -> None:
    encoded = [None if text is None else text.encode() for text in [*first, *second]]
    ends = np.cumsum([len(text or b"") for text in encoded], dtype=np.int64)
    spans = np.array(
        [(-1, -1) if text is None else (end - len(text), end) for text, end in zip(encoded, ends, strict=True)]
    )
    data, more = (b"".join(text or b"" for text in part) for part in (encoded[: len(first)], encoded[len(first) :]))
    shifted = spans.reshape(-1, 2) + np.where(np.arange(len(spans)) < len(first), 0, after)[:, None]
    found = gather(data + b"x" * after, np.where(spans.reshape(-1, 2) < 0, -1, shifted), more + b"y" * after)
    assert found.to_pylist() == [*first, *second]
    found.validate(full=True)
    assert found.type == pa.string()
