"""Files of record batches: single rows of them, where their values lie, and what the system keeps of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.execute import memory
from curate.execute.batches import BatchFile, BatchWriter, DamagedWork

SCHEMA = pa.schema([("number", pa.uint32()), ("sketch", pa.binary(4))])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.arrow"
    with BatchWriter(path, SCHEMA) as writer:
        for first in (0, 5, 10):
            numbers = np.arange(first, first + 5, dtype=np.uint32)
            writer.write(pa.table([numbers, pa.array([n.tobytes() for n in numbers], pa.binary(4))], schema=SCHEMA))
    return path


def test_rows_are_those_asked_for(path: Path) -> None:
    found = BatchFile(path).rows(np.array([1, 4, 11]), ["number"])
    assert found.to_pydict() == {"number": [1, 4, 11]}


def test_a_batch_without_wanted_rows_is_not_read(path: Path) -> None:
    first, length = BatchFile(path).place(1)
    content = bytearray(path.read_bytes())
    content[first] ^= 1
    path.write_bytes(content)
    assert len(BatchFile(path).rows(np.array([1, 11]), ["number"])) == 2
    with pytest.raises(DamagedWork, match="column 'number' of batch 1"):
        BatchFile(path).rows(np.array([1, 6]), ["number"])
    assert 40 <= length < 200


def test_the_place_of_a_batch_holds_its_values(path: Path) -> None:
    content, file = path.read_bytes(), BatchFile(path)
    for number in range(3):
        first, length = file.place(number)
        for array in file.get(number).columns:
            values = array.buffers()[1].to_pybytes()
            assert first <= content.find(values, first) <= first + length - len(values)


def test_what_memory_lets_go_of_is_still_there(path: Path) -> None:
    before = path.read_bytes()
    memory.let_go(path)
    memory.let_go(path, 10, 20)
    memory.let_go(path.with_name("none"))
    assert path.read_bytes() == before
    assert memory.machine() > 1 << 28
