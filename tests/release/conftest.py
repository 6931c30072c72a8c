"""A run of the test shards, and a release of it with all that export can add."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import msgspec
import pytest

import curate
from curate import Config, Result, ops, read
from tests.release.reading import BUCKET, SHARDS

CARD = {
    "summary": "A small release.",
    "sources": {"web*": {"license": "CC-BY-4.0", "url": "https://example.org/web"}, "books*": {"license": "CC0-1.0"}},
}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run of the test shards with tokens, rules and near-copies."""
    corpus = read(str(SHARDS), name="corpus") | ops.Normalize() | ops.Language() | ops.Tokens() | ops.Gopher()
    rules = {"words": {"column": "gopher_word_count", "min": 20, "source": "a paper, table 1"}}
    corpus = corpus | ops.Keep(rules=rules) | ops.DedupMinhash()
    corpus = msgspec.structs.replace(corpus, recipe=msgspec.structs.replace(corpus.recipe, card=CARD))
    return corpus.run(str(tmp_path_factory.mktemp("release") / "run"), Config(workers=1))


@pytest.fixture(scope="session")
def release(run: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with all that export can add."""
    to = tmp_path_factory.mktemp("release") / "dir"
    return curate.export(run, to, shuffle=1, split={"validation": 0.2}, bucket=BUCKET, dropped=True)
