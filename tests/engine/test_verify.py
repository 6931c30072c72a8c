"""`curate verify`: whatever byte of a run is changed, it is named; and the next run gives the right bytes again."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from curate.errors import DataError
from curate.verify import verify

KINDS = ("values", "index", "members", "documents", "corpus", "done", "data", "annotations")


def flip(path: Path, chance: random.Random) -> None:
    """One bit in the second half of a file turned, where in Arrow files the values and the footer are."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content) // 2, len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def files(lab: Any, kind: str) -> list[Path]:
    root = lab.root() / kind if kind in ("data", "annotations") else lab.root() / ".work" / kind
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_a_run_is_as_it_was_left(continued: Any) -> None:
    count, found = verify(continued.root())
    assert (found, count > 50) == ([], True)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_and_mended(continued: Any, probe: Any, kind: str) -> None:
    chance = random.Random(kind)
    path = chance.choice(files(continued, kind))
    truncated = path.read_bytes()[: path.stat().st_size * 2 // 3]
    path.write_bytes(truncated)
    name = str(path.relative_to(continued.root()))
    assert [item.path for item in verify(continued.root())[1]] == [name]
    assert [item.path for item in verify(continued.root(), repair=True)[1]] == [name]
    assert not path.exists()
    continued.run()
    assert verify(continued.root())[1] == []
    assert continued.contents() == probe.contents()


def test_a_bit_in_a_file_of_values_is_found(continued: Any) -> None:
    """Not every bit has a meaning: some fill up space, and then values are as they were."""
    chance = random.Random(1)
    named = 0
    for path in files(continued, "values")[:20]:
        content = path.read_bytes()
        flip(path, chance)
        found = verify(continued.root())[1]
        assert {item.path for item in found} <= {str(path.relative_to(continued.root()))}
        named += bool(found)
        path.write_bytes(content)
    assert named > 5


def test_a_bit_in_the_result_is_found(continued: Any) -> None:
    chance = random.Random(2)
    for kind in ("data", "annotations"):
        path = files(continued, kind)[0]
        flip(path, chance)
        assert f"{kind}/{path.name}" in [item.path for item in verify(continued.root())[1]]
    verify(continued.root(), repair=True)
    continued.run()
    assert verify(continued.root())[1] == []


@pytest.mark.parametrize("kind", ["values", "index", "members", "corpus"])
def test_a_run_that_meets_damage_takes_it_out(continued: Any, probe: Any, kind: str) -> None:
    """Every column of a shard's files is changed. The run fails; the next one makes them anew, and all is right."""
    shard = files(continued, "index")[0].stem
    for path in files(continued, kind):
        if path.stem == shard:
            path.write_bytes(path.read_bytes()[:-64] + bytes(64))
    fresh = type(continued)(continued.folder / "fresh")
    fresh.folder.mkdir()
    fresh.run(words=60)
    for _ in range(60):
        try:
            continued.run(words=60)
        except DataError as error:
            assert "it has been taken out: run again" in str(error)
        else:
            break
    assert continued.contents() == fresh.contents()


def test_on_the_command_line(continued: Any) -> None:
    assert continued.cli("verify", "out").stdout.endswith("files compared with what was written, 0 damaged\n")
    files(continued, "data")[0].unlink()
    (continued.root() / "data/more.parquet").write_bytes(b"")
    done = continued.cli("verify", "out")
    assert done.returncode == 1
    assert "is missing" in done.stdout
    assert "damaged  data/more.parquet  is not of this run" in done.stdout
