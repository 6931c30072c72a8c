"""Mixtures as their consumers run them: the shares of tokens that come out are those that were asked for."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", RAY_USAGE_STATS_ENABLED="0")

import duckdb
import polars as pl
import pytest
import yaml
from click.testing import CliRunner

import curate
from curate import Config, ops, read
from curate.cli import main
from curate.errors import RecipeError
from curate.release.mixture import Mixture, read_mixture, row_weights, write_mixture

WEIGHTS = {"long": 0.25, "middle": 0.25, "short": 0.5}
LENGTHS = {"long": 400, "middle": 120, "short": 40}
COUNT = {"long": 400, "middle": 900, "short": 3_000}


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Domains whose documents differ tenfold in length, so that shares of rows are not shares of tokens."""
    ids = [(name, at) for name, count in COUNT.items() for at in range(count)]
    table = {
        "id": [f"{name}-{at}" for name, at in ids],
        "text": [" ".join(["word"] * (LENGTHS[name] - at % 7)) for name, at in ids],
        "source": [name for name, _ in ids],
    }
    folder = tmp_path_factory.mktemp("mixtures")
    result = (read(table, name="made") | ops.Tokens()).run(str(folder / "run"), Config(workers=1))
    to = curate.export(result, folder / "release", shuffle=3)
    told = json.loads((to / "manifest.json").read_text(encoding="utf-8"))
    write_mixture(to, Mixture(name="mine", unit="tokens", weights=WEIGHTS, seed=5), told)
    assert CliRunner().invoke(main, ["mixture", str(to)]).exit_code == 0
    return to


@pytest.fixture(scope="session")
def told(release: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    return found


def script(release: Path, name: str) -> dict[str, Any]:
    return runpy.run_path(str(release / "exports" / name))


def shares(domains: list[str], tokens: list[int]) -> dict[str, float]:
    held: Counter[str] = Counter()
    for domain, count in zip(domains, tokens, strict=True):
        held[domain] += count
    return {name: count / held.total() for name, count in held.items()}


def assert_mixed(found: dict[str, float], within: float) -> None:
    assert found == pytest.approx(WEIGHTS, abs=within), found


def test_natural_weights_are_shares_of_tokens(told: dict[str, Any]) -> None:
    from curate.release.mixture import natural

    tokens = {d["name"]: d["tokens"]["tokens"] for d in told["domains"]}
    assert natural(told).weights == pytest.approx({n: t / sum(tokens.values()) for n, t in tokens.items()}, abs=1e-5)


def test_row_weights_give_the_shares_of_tokens(told: dict[str, Any]) -> None:
    found = row_weights(told, Mixture(unit="tokens", weights=WEIGHTS))
    mean = {d["name"]: d["tokens"]["tokens"] / d["rows"] for d in told["domains"]}
    total = sum(found[name] * mean[name] for name in found)
    assert {name: found[name] * mean[name] / total for name in found} == pytest.approx(WEIGHTS)
    assert sum(found.values()) == pytest.approx(1)
    assert found != pytest.approx(WEIGHTS, abs=0.1)


def test_hugging_face_interleaves(release: Path, tmp_path: Path) -> None:
    mixed = script(release, "hugging_face.py")["mixture"](release, cache_dir=str(tmp_path))
    found = mixed.select_columns(["domain", "tokens"]).take(3_000)
    rows = list(found)
    assert_mixed(shares([row["domain"] for row in rows], [row["tokens"] for row in rows]), within=0.05)


def test_ray_data_samples(release: Path) -> None:
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        found = script(release, "ray_data.py")["mixture"](release, columns=["domain", "tokens"]).to_pandas()
    finally:
        ray.shutdown()
    assert_mixed(shares(found["domain"].tolist(), found["tokens"].tolist()), within=0.05)


def test_polars_samples(release: Path) -> None:
    names = script(release, "polars_mixture.py")
    found = names["mixture"](release).select("domain", "tokens").collect()
    assert_mixed(shares(found["domain"].to_list(), found["tokens"].to_list()), within=0.05)
    assert names["release"](release).select(pl.len()).collect().item() == sum(COUNT.values())


def test_duckdb_samples(release: Path) -> None:
    with contextlib.chdir(release), duckdb.connect() as connection:
        connection.execute((release / "exports/duckdb.sql").read_text(encoding="utf-8"))
        found = connection.sql("SELECT domain, sum(tokens)::BIGINT FROM mixture GROUP BY domain").fetchall()
        assert connection.sql("SELECT count(*) FROM release").fetchall() == [(sum(COUNT.values()),)]
    total = sum(tokens for _, tokens in found)
    assert_mixed({name: tokens / total for name, tokens in found}, within=0.05)


def test_megatron_gets_weights_and_prefixes(release: Path) -> None:
    words = (release / "exports/megatron_blend.txt").read_text(encoding="utf-8").split()
    blend = {prefix: float(weight) for weight, prefix in zip(words[::2], words[1::2], strict=True)}
    assert blend == {f"megatron/{name}_text_document": weight for name, weight in WEIGHTS.items()}


def test_olmo_gets_ratios_that_sum_to_one(release: Path) -> None:
    mix = yaml.safe_load((release / "exports/olmo_mix.yaml").read_text(encoding="utf-8"))
    assert {source["source_name"]: source["target_ratio"] for source in mix["sources"]} == pytest.approx(WEIGHTS)
    assert sum(source["target_ratio"] for source in mix["sources"]) == 1
    assert all(source["max_repetition_ratio"] >= 1 for source in mix["sources"])
    dolma = yaml.safe_load((release / "exports/dolma_mixer.yaml").read_text(encoding="utf-8"))
    assert [stream["documents"] for stream in dolma["streams"]] == [[f"documents/{n}/*.jsonl.gz"] for n in WEIGHTS]


def test_olmo_core_mixes_tokens(release: Path, told: dict[str, Any], tmp_path: Path) -> None:
    mixing = pytest.importorskip("olmo_core.data.source_mixture", reason="ai2-olmo-core is not installed")
    import numpy as np

    for domain in told["domains"]:
        path = tmp_path / "tokens" / domain["name"] / "part-0.npy"
        path.parent.mkdir(parents=True)
        np.ones(domain["tokens"]["tokens"], np.uint16).tofile(path)
    sources = mixing.SourceMixtureList.from_yaml(release / "exports/olmo_mix.yaml")
    asked = mixing.SourceMixtureDatasetConfig(
        source_list=sources, requested_tokens=100_000, global_batch_size=2048, render_tables=False
    )
    with contextlib.chdir(tmp_path):
        mixed = asked.build(npdtype=np.uint16, sequence_length=128)
    tokens = {source.name: sum(path.tokens for path in source.path_tokens) for source in mixed.sources}
    assert_mixed({name: count / sum(tokens.values()) for name, count in tokens.items()}, within=0.01)


def test_megatron_reads_the_blend(release: Path) -> None:
    names = "megatron.core.datasets.utils"
    reading = pytest.importorskip(names, reason="megatron-core is not installed", exc_type=ImportError)
    words = (release / "exports/megatron_blend.txt").read_text(encoding="utf-8").split()
    prefixes, weights = reading.get_blend_from_list(words)
    assert dict(zip(prefixes, weights, strict=True)) == {f"megatron/{n}_text_document": w for n, w in WEIGHTS.items()}


def test_dolma_mixes_documents(release: Path, tmp_path: Path) -> None:
    dolma = shutil.which("dolma")
    if dolma is None:
        pytest.skip("dolma is not installed")
    script(release, "to_jsonl.py")["convert"](release, tmp_path)
    command = [dolma, "-c", str(release / "exports/dolma_mixer.yaml"), "mix"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for name, count in COUNT.items():
        lines = [gzip.decompress(path.read_bytes()).count(b"\n") for path in tmp_path.glob(f"mixed/{name}/*.gz")]
        assert sum(lines) == count


def test_documents_go_to_json_lines(release: Path, tmp_path: Path) -> None:
    assert script(release, "to_jsonl.py")["convert"](release, tmp_path) == COUNT
    found = pl.read_ndjson(next(tmp_path.glob("documents/long/*.jsonl.gz")))
    assert found.columns == ["id", "text", "source"]
    assert len(found) == COUNT["long"]


class Recorder:
    """Stands for what Mixtera's classes are called with."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.given, self.named = given, named

    def add_metadata(self, **values: Any) -> None:
        self.values = values


@pytest.fixture
def mixtera(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mixtera's names without Mixtera, which is on no package index."""
    from types import ModuleType

    places = {
        "mixtera.core.datacollection.index.parser": ["MetadataParser"],
        "mixtera.core.datacollection.index.parser.metadata_parser": ["MetadataProperty"],
        "mixtera.core.client": ["MixteraClient"],
        "mixtera.core.datacollection.datasets": ["ParquetDataset"],
        "mixtera.core.query.mixture": ["MixtureKey", "StaticMixture"],
    }
    for path, names in places.items():
        for at in range(1, path.count(".") + 2):
            name = ".".join(path.split(".")[:at])
            if name not in sys.modules:
                monkeypatch.setitem(sys.modules, name, ModuleType(name))
        for name in names:
            setattr(sys.modules[path], name, type(name, (Recorder,), {}))
    yield


def test_mixtera_parser_reads_the_properties(release: Path, mixtera: None) -> None:
    parser = script(release, "mixtera_parser.py")["CurateParser"]
    properties = [found.named for found in parser.get_properties()]
    assert properties == [{"name": "source", "dtype": "STRING", "multiple": False, "nullable": False}]
    made = parser()
    made.parse(4, {"source": "long", "text": "x"})
    assert made.values == {"sample_id": 4, "source": "long"}


def test_mixtera_mixture_is_by_rows_in_chunks_that_hold_every_domain(
    release: Path, told: dict[str, Any], mixtera: None
) -> None:
    made = script(release, "mixtera_register.py")["mixture"]()
    size, parts = made.given
    expected = row_weights(told, Mixture(unit="tokens", weights=WEIGHTS))
    found = {key.given[0]["source"][0]: weight for key, weight in parts.items()}
    assert found == pytest.approx(expected)
    assert min(found.values()) * size >= 10
    assert (release / script(release, "mixtera_register.py")["FOLDER"]).is_dir()


def test_mixtera_streams_the_mixture(release: Path, told: dict[str, Any], tmp_path: Path) -> None:
    """A static mixture query in local mode, of the real Mixtera: it is on no package index."""
    pytest.importorskip("mixtera", reason="Mixtera is not installed (github.com/eth-easl/mixtera)")
    from mixtera.core.client.mixtera_client import QueryExecutionArgs, ResultStreamingArgs
    from mixtera.core.query import Query

    names = script(release, "mixtera_register.py")
    client, mixture = names["register"](release, tmp_path), names["mixture"]()
    query = Query.for_job("test")
    query.select(None)
    args = QueryExecutionArgs(mixture=mixture, dp_groups=1, nodes_per_group=1, num_workers=1)
    client.execute_query(query, args)
    client.wait_for_execution("test")
    texts = [text for _, _, text in client.stream_results(ResultStreamingArgs(job_id="test"))]
    assert len(texts) >= mixture.chunk_size
    words = [len(text.split()) for text in texts]
    domains = [next(name for name, size in LENGTHS.items() if size - 7 < count <= size) for count in words]
    assert_mixed(shares(domains, words), within=0.01)


def test_mosaic_streams(release: Path, tmp_path: Path) -> None:
    pytest.importorskip("streaming", reason="mosaicml-streaming is not installed")
    names = script(release, "mosaic.py")
    names["write"](release, tmp_path)
    mixed = list(names["mixture"](tmp_path, batch_size=1))
    domains = [row["id"].rsplit("-", 1)[0] for row in mixed]
    assert_mixed(shares(domains, [len(row["text"].split()) for row in mixed]), within=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {"lonk": 1}}, "did you mean 'long'"),
        ({"weights": {"long": -1}}, "write 0 or more"),
        ({"weights": {"long": 0}}, "all weights are 0"),
        ({"unit": "words", "weights": {"long": 1}}, "there are tokens, text_bytes"),
    ],
)
def test_wrong_mixtures_are_refused(
    release: Path, told: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump({"unit": "tokens", **change}), encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        read_mixture(tmp_path, told)
