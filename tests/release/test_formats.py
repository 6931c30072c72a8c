"""What a run kept in the layouts of other tools, read back by the libraries of those tools, or by curate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from curate import ops, read
from curate.errors import PlanError
from curate.io.source import Source, discover, schema
from curate.io.source import read as read_shard
from curate.release import formats
from curate.release.formats import FORMATS, write_as

HOSTILE = ["../../up", "/etc/passwd", "a\nb", "<script>", "\u202e", "c:\\x", ".", ""]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    rows = [{"id": id, "text": f"text of {n} " * 9, "n": n / 3, "flag": n % 2 == 0} for n, id in enumerate(HOSTILE * 9)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = read(str(folder / "a.jsonl"), name="corpus", columns={"n": "n", "flag": "flag"}) | ops.Gopher()
    return corpus.run(str(folder / "out"))


@pytest.fixture
def written(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    monkeypatch.setattr(formats, "ROWS", 10)
    return lambda format: write_as(run, tmp_path / "new" / format, format, file_size="4kB")


def ours(folder: Path, format: Any) -> dict[str, list[Any]]:
    source = Source(path=str(folder), format=format)
    shards = discover("x", source)
    columns = schema(source, shards)
    found: dict[str, list[Any]] = {name: [] for name in columns.names}
    for shard in shards:
        for batch in read_shard(shard, source, columns, 1 << 20, lambda bad: pytest.fail(str(bad))):
            for name in columns.names:
                found[name] += batch[name].to_pylist()
    return found


def test_json_lines(run: Any, written: Callable[[str], Path]) -> None:
    paths = sorted(written("jsonl").glob("*.jsonl.zst"))
    lines = [line for path in paths for line in zstandard.open(path, "rt", encoding="utf-8")]
    assert len(paths) > 1
    assert [json.loads(line) for line in lines] == run.arrow().to_pylist()


def test_dolma(run: Any, written: Callable[[str], Path]) -> None:
    found, table = ours(written("dolma"), "dolma"), run.arrow()
    assert found["text"] == table["text"].to_pylist()
    assert found["id"] == table["id"].to_pylist()
    assert [spans[0]["score"] for spans in found["n"]] == pytest.approx(table["n"].to_pylist())
    assert [spans[0]["end"] for spans in found["flag"]] == [len(text) for text in found["text"]]


def test_redpajama(run: Any, written: Callable[[str], Path]) -> None:
    found, table = ours(written("redpajama-v2"), "redpajama-v2"), run.arrow()
    assert found["text"] == table["text"].to_pylist()
    assert found["curate_n"] == [[pytest.approx(n)] for n in table["n"].to_pylist()]


def test_webdataset(run: Any, written: Callable[[str], Path]) -> None:
    webdataset = pytest.importorskip("webdataset")
    paths = [str(path) for path in sorted(written("webdataset").glob("*.tar"))]
    found = list(webdataset.WebDataset(paths, shardshuffle=False).decode())
    rows = run.arrow().to_pylist()
    assert [sample["txt"] for sample in found] == [row.pop("text") for row in rows]
    assert [sample["json"] for sample in found] == rows


MOSAIC = """
import json, sys
from streaming import StreamingDataset
found = StreamingDataset(local=sys.argv[1], shuffle=False, batch_size=1)
print(json.dumps([found[at] for at in range(len(found))]))
"""


def test_mosaic(run: Any, written: Callable[[str], Path]) -> None:
    """Read by MosaicML's library, in an environment of its own: it wants other versions of what curate uses."""
    python = os.environ.get("CURATE_MOSAIC_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import streaming"], capture_output=True, check=False).returncode:
        pytest.skip("mosaicml-streaming is not here (CURATE_MOSAIC_PYTHON names a Python that has it)")
    folder = written("mds")
    assert len([*folder.glob("*.mds")]) > 1
    done = subprocess.run([python, "-c", MOSAIC, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = run.arrow().to_pylist()
    top = ("id", "text", "source")
    wanted = [{**{name: row.pop(name) for name in top}, "metadata": row} for row in rows]
    assert json.loads(done.stdout.splitlines()[-1]) == wanted


def test_the_bytes_of_mds(run: Any, written: Callable[[str], Path]) -> None:
    """As the format is described: also where MosaicML's library is not here."""
    folder = written("mds")
    index = json.loads((folder / "index.json").read_text())
    texts = []
    for shard in index["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        count = int.from_bytes(data[:4], "little")
        ends = np.frombuffer(data, np.uint32, count + 1, 4)
        about = json.loads(data[4 + 4 * (count + 1) : ends[0]])
        assert (count, about["column_names"]) == (shard["samples"], sorted(about["column_names"]))
        for start, end in pairwise(ends.tolist()):
            sizes = np.frombuffer(data, np.uint32, len(about["column_names"]), start)
            assert start + sizes.nbytes + sizes.sum() == end
            texts.append(data[end - sizes[-1] : end].decode())
    assert texts == run.arrow()["text"].to_pylist()


def test_datasets(run: Any, written: Callable[[str], Path]) -> None:
    import datasets

    assert datasets.load_from_disk(str(written("dataset"))).to_list() == run.arrow().to_pylist()


def test_nothing_leaves_the_folder(run: Any, tmp_path: Path) -> None:
    for format in FORMATS:
        write_as(run, tmp_path / "in" / format, format)
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == set(FORMATS)


def test_the_same_bytes_again(run: Any, tmp_path: Path) -> None:
    for format in ("jsonl", "dolma", "redpajama-v2", "webdataset", "mds"):
        one, two = (write_as(run, tmp_path / f"{format}{n}", format) for n in (1, 2))
        files = sorted(path for path in one.rglob("*") if path.is_file())
        assert [path.read_bytes() for path in files] == [(two / path.relative_to(one)).read_bytes() for path in files]


def test_wrong_places_and_formats(run: Any, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no format 'dolmo', .* did you mean 'dolma'"):
        write_as(run, tmp_path / "x", "dolmo")
    (tmp_path / "mine").write_text("x")
    with pytest.raises(PlanError, match="not an empty folder"):
        write_as(run, tmp_path, "jsonl")
