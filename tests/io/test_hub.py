"""Datasets of the Hugging Face Hub by their name, from a server on this machine that speaks its API."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import DataError
from curate.io import remote
from tests.io import hub

Load = Callable[..., Any]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
    """What was read of a dataset with Parquet and JSON Lines; the machine's hub is that one meanwhile."""
    from huggingface_hub import HfFileSystem, constants

    folder = tmp_path / "hub"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("# A card")
    table = pa.table({"id": [f"p{n}" for n in range(3_000)], "text": [f"{n} words" * 50 for n in range(3_000)]})
    pq.write_table(table, folder / "data/train-00000.parquet", row_group_size=200, compression=None)
    lines = "".join(json.dumps({"id": f"j{n}", "text": "more"}) + "\n" for n in range(50))
    (folder / "more.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    with hub.serving(folder) as (address, asked):
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(remote, "WAITS", ())
        HfFileSystem.clear_instance_cache()
        yield asked
        HfFileSystem.clear_instance_cache()


def test_a_dataset_by_its_name(asked: list[Any], load: Load) -> None:
    got = load(f"hf://datasets/{hub.NAME}", include=["*.parquet"])
    assert got.column("id") == [f"p{n}" for n in range(3_000)]
    assert [shard.name for shard in got.shards] == ["data/train-00000.parquet"]
    lines = load(f"hf://datasets/{hub.NAME}/*.jsonl.gz")
    assert lines.column("id") == [f"j{n}" for n in range(50)]
    assert {name for name, _ in asked} == {"train-00000.parquet", "more.jsonl.gz"}


def test_it_is_streamed_and_only_the_columns_that_are_needed(asked: list[Any], load: Load) -> None:
    load(f"hf://datasets/{hub.NAME}/data", needed={"id"}, skip=np.array([], np.int64))
    assert asked
    assert all(wanted for _, wanted in asked)  # ranges, never the file as a whole


def test_a_name_that_is_not_there(asked: list[Any], load: Load) -> None:
    with pytest.raises(DataError, match="hf://datasets/someone/else"):
        load("hf://datasets/someone/else")
