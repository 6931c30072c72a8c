"""What a run kept in the layouts of other tools, read back by the libraries of those tools, or by curate."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard

from curate import ops, read
from curate.errors import PlanError
from curate.io.annotated import REDPAJAMA
from curate.io.source import Source, discover, schema
from curate.io.source import read as read_shard
from curate.release import formats
from curate.release.formats import FORMATS, write_as

HOSTILE = ["../../up", "/etc/passwd", "a\nb", "<script>", "\u202e", "c:\\x", ".", ""]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    rows = [{"id": id, "text": f"text of {n} " * 9, "n": n / 3, "flag": n % 2 == 0} for n, id in enumerate(HOSTILE * 9)]
    rows[1]["n"] = None
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


def elsewhere(name: str, library: str, script: str, *given: Path) -> Any:
    """What a script prints as JSON, run where a library is that wants other versions of what curate uses."""
    python = os.environ.get(f"CURATE_{name}_PYTHON", sys.executable)
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({library!r}) is None)"
    if subprocess.run([python, "-c", look], check=False).returncode:
        pytest.skip(f"{library} is not here (CURATE_{name}_PYTHON names a Python that has it)")
    done = subprocess.run([python, "-c", script, *map(str, given)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_json_lines(run: Any, written: Callable[[str], Path]) -> None:
    paths = sorted(written("jsonl").glob("*.jsonl.zst"))
    lines = [line for path in paths for line in zstandard.open(path, "rt", encoding="utf-8")]
    assert len(paths) > 1
    assert [json.loads(line) for line in lines] == run.arrow().to_pylist()


def test_dolma(run: Any, written: Callable[[str], Path]) -> None:
    found, table = ours(written("dolma"), "dolma"), run.arrow()
    assert found["text"] == table["text"].to_pylist()
    assert found["id"] == table["id"].to_pylist()
    assert [spans[0]["score"] if spans else None for spans in found["n"]] == table["n"].to_pylist()
    assert [spans[0]["end"] for spans in found["flag"]] == [len(text) for text in found["text"]]


DOLMA = """
import gzip, json, sys
from pathlib import Path
import msgspec
from dolma import mixer
from dolma.core.data_types import InputSpecWithMetadata, OutputSpec

root, mixed = map(Path, sys.argv[1:])

def lines(folder, kind):
    decode = msgspec.json.Decoder(kind).decode
    return [decode(line) for path in sorted(folder.glob("*.gz")) for line in gzip.open(path)]

stream = {
    "name": "all",
    "documents": [f"{root}/documents/*.gz"],
    "attributes": ["curate"],
    "filter": {"include": ["$.attributes[?(@.n[0][2] >= 5.0)]"], "exclude": [], "syntax": "jsonpath"},
    "output": {"path": str(mixed), "max_size_in_bytes": 1 << 30},
    "compression": {"input": None, "output": None},
}
mixer({"work_dir": {"input": f"{mixed}/in", "output": f"{mixed}/out"}, "processes": 1, "streams": [stream]})
print(json.dumps({
    "texts": [document.text for document in lines(root / "documents", InputSpecWithMetadata)],
    "n": [line.attributes["n"] for line in lines(root / "attributes/curate", OutputSpec)],
    "mixed": sorted(document.text for document in lines(mixed, InputSpecWithMetadata)),
}))
"""


def test_dolma_reads_it(run: Any, written: Callable[[str], Path], tmp_path: Path) -> None:
    """By the library's own types, and by its mixer, which joins attributes to documents and filters by them."""
    found = elsewhere("DOLMA", "dolma", DOLMA, written("dolma"), tmp_path / "mixed")
    texts, numbers = (run.arrow()[name].to_pylist() for name in ("text", "n"))
    assert found["texts"] == texts
    scores = zip(texts, numbers, strict=True)
    assert found["n"] == [[] if n is None else [[0, len(text), n]] for text, n in scores]
    assert found["mixed"] == sorted(text for text, n in zip(texts, numbers, strict=True) if n is not None and n >= 5)


def test_redpajama(run: Any, written: Callable[[str], Path]) -> None:
    found, table = ours(written("redpajama-v2"), "redpajama-v2"), run.arrow()
    assert found["text"] == table["text"].to_pylist()
    assert found["curate_n"] == [[n] for n in table["n"].to_pylist()]


class Signals(msgspec.Struct, forbid_unknown_fields=True):
    """A line of `quality_signals` as RedPajama-V2 documents it, and as strictly as its own code takes it."""

    id: str
    id_int: int
    metadata: dict[str, str]
    quality_signals: dict[str, list[tuple[int, int, float | None]]]


def test_redpajama_as_its_loader_reads_it(run: Any, written: Callable[[str], Path]) -> None:
    """That is line by line, documents beside signals; a document without one of these fields is left out."""
    root, rows = written("redpajama-v2"), run.arrow().to_pylist()
    paths, count = sorted((root / "documents").glob("*.json.gz")), 0
    assert len(paths) > 1
    for path in paths:
        beside = root / "quality_signals" / path.name.replace(".json.gz", ".signals.json.gz")
        documents, lines = (gzip.decompress(each.read_bytes()).splitlines() for each in (path, beside))
        for at, (document, line) in enumerate(zip(documents, lines, strict=True)):
            found, signals = json.loads(document), msgspec.json.decode(line, type=Signals)
            row, count = rows[count], count + 1
            assert {"url", "language", "source_domain", "date_download", "digest"} <= found.keys()
            assert found["raw_content"] == row["text"]
            assert signals.id == f"{path.name}/{at}"
            assert signals.quality_signals["curate_n"] == [(0, len(row["text"]), row["n"])]
    assert count == len(rows)


def test_what_was_redpajamas_stays_it(tmp_path: Path) -> None:
    """The fields of cc_net, and signals of documents and lines, are read again as they were."""
    text = "One line.\nTwo of them\n"
    document: dict[str, Any] = {
        name: name for name in ("url", "date_download", "digest", "source_domain", "title", "cc_segment")
    }
    document |= dict.fromkeys(("length", "nlines", "original_length", "original_nlines"), 7)
    document |= {"language": "en", "language_score": 0.5, "perplexity": 300.5, "bucket": "head", "raw_content": text}
    signals = {"rps_doc_word_count": [[0, 22, 5]], "rps_lines_num_words": [[0, 10, 2], [10, 22, None]]}
    named: dict[str, Any] = {"documents/en_head.json.gz": document}
    named["quality_signals/en_head.signals.json.gz"] = {"id": "en_head.json.gz/0", "quality_signals": signals}
    for name, record in named.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        (tmp_path / "in" / name).write_bytes(gzip.compress(json.dumps(record).encode()))
    result = (read(str(tmp_path / "in"), name="v2", format="redpajama-v2") | ops.Gopher()).run(str(tmp_path / "out"))
    before = ours(tmp_path / "in", "redpajama-v2")
    after = ours(write_as(result, tmp_path / "again", "redpajama-v2"), "redpajama-v2")
    same = before.keys() - {"id", "metadata", "source"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    dolma = ours(write_as(result, tmp_path / "dolma", "dolma"), "dolma")
    assert dolma["rps_lines_num_words"] == [[{"start": 0, "end": 10, "score": 2.0}]]


def test_the_number_of_an_id() -> None:
    """The example of RedPajama-V2's data card."""
    assert (
        formats._signals("2018-43/0000/en_head.json.gz/0", dict.fromkeys(REDPAJAMA), {})["id_int"]
        == 7972430436813205988
    )


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
    folder = written("mds")
    assert len([*folder.glob("*.mds")]) > 1
    rows = run.arrow().to_pylist()
    top = ("id", "text", "source")
    wanted = [{**{name: row.pop(name) for name in top}, "metadata": row} for row in rows]
    assert elsewhere("MOSAIC", "streaming", MOSAIC, folder) == wanted


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
