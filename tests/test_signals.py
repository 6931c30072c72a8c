"""The catalogue of signals has no gap, and the ranges it states are those of real values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from curate.corpus import read
from curate.operator import Signal
from curate.signals import entries, families, markdown

DATA = Path(__file__).resolve().parent / "data"
ODD = [
    "",
    " ",
    "\n",
    "x",
    "#",
    "...",
    "# " * 300,
    "a a a a",
    "1234 " * 50,
    "同じ 同じ 同じ\n同じ",
    "A.\n" * 40,
    "-\n•\n" * 9,
]

FILES: dict[str, dict[str, Any]] = {
    "url_categories": {"lists": str(DATA / "sites")},
    "dsir_importance": {name: str(DATA / f"{name}.counts.npy") for name in ("target", "raw")},
    "fasttext_score": {"model": str(DATA / "classifier.bin"), "label": "positive"},
}


def _flat(values: list[Any]) -> list[Any]:
    """Values of documents, or of the lines of documents."""
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    found = [read(str(path), name="texts").sample(60)["text"] for path in sorted((DATA / "shards").iterdir())]
    texts = ODD + [text for column in found for text in column.to_pylist()]
    urls = ["http://example.org/a", "", "http://play.example.com", None]
    more = {"url": [urls[at % 4] for at in range(len(texts))], "path": ["a/b.py"] * len(texts)}
    return pa.table({"text": texts, **more})


@pytest.mark.parametrize("name", families())
def test_every_signal_is_defined(name: str) -> None:
    cls = families()[name]
    found = entries(cls)
    assert {entry.name for entry in found} == set(made(cls).writes())
    for entry in found:
        assert len(entry.definition) > 2 and entry.unit not in ("", "number") and entry.level in ("document", "line")
        assert f"| `{entry.name}` | " in markdown()


def made(cls: type[Signal], **more: Any) -> Signal:
    return msgspec.convert(getattr(cls, "example", {}) | more, cls)


@pytest.mark.parametrize("name", families())
def test_values_are_in_the_range_that_is_stated(name: str, table: pa.Table) -> None:
    cls = families()[name]
    if name == "llm_score":
        pytest.skip("asks a server; tests/operators/test_judge.py has one")
    operator = made(cls, **FILES.get(name, {}))
    if missing := set(operator.reads()) - set(table.column_names):
        pytest.skip(f"reads {missing}, which this table lacks")
    values = operator(table)
    for entry in entries(cls):
        if not entry.range or entry.range == "true, false":
            continue
        low, _, high = entry.range.partition("..")
        numbers = [value for value in _flat(values[entry.name].to_pylist()) if value is not None]
        assert min(numbers, default=0) >= float(low.split()[0]) - 1e-9, entry
        assert not high or max(numbers, default=0) <= float(high) + 1e-9, entry


def test_a_signal_that_the_description_leaves_out_is_a_gap() -> None:
    class Untold(Signal, frozen=True):
        """Says nothing of its column."""

        def writes(self) -> dict[str, pa.DataType]:
            return {"untold": pa.int32()}

    with pytest.raises(KeyError, match="untold"):
        entries(Untold)
