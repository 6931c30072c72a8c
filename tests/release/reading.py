"""What the tests of releases read, and how they read a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

SHARDS = Path(__file__).resolve().parents[1] / "data" / "shards"
BUCKET = {"gopher_mean_word_length": (4.0, 5.0)}


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def rows(folder: Path, pattern: str = "data/*/*.parquet") -> pl.DataFrame:
    return pl.read_parquet(sorted(folder.glob(pattern)))


def digests(folder: Path) -> dict[str, str]:
    return {file["path"]: file["sha256"] for file in manifest(folder)["files"]}
