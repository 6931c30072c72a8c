"""Planted near-duplicates for the tests of deduplication, and a brute-force look at all their pairs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np

MAKE = """\
name: near
sources: {all: {path: "${shards}"}}
steps:
  - dedup_minhash: PARAMETERS
output: {path: out}
"""
RECIPE = MAKE.replace("PARAMETERS", "{}")
WORDS, NGRAM = 120, 5


def planted(documents: int, seed: int = 0) -> list[dict[str, str]]:
    """Families of copies in which some runs of words are others: J from 0.5 to 1, most of them around 0.8."""
    chance = random.Random(seed)
    word = lambda: f"w{chance.randrange(10**9)}"  # noqa: E731
    rows: list[dict[str, str]] = []
    while len(rows) < documents:
        original = [word() for _ in range(WORDS)]
        for _ in range(min(chance.choice([1, 2, 3, 5, 8, 20, 90]), documents - len(rows))):
            copy = list(original)
            for _ in range(chance.choice([0, 0, 1, 1, 2, 2, 3])):
                copy[chance.randrange(WORDS)] = word()
            rows.append({"id": f"{len(rows):05d}", "text": " ".join(copy), "site": chance.choice("abc")})
    chance.shuffle(rows)
    return rows


def brute_force(rows: list[dict[str, str]], least: float) -> dict[tuple[int, int], float]:
    """The Jaccard similarity of every pair of documents that have at least so much of it."""
    words = [row["text"].split() for row in rows]
    sets = [{tuple(each[i : i + NGRAM]) for i in range(len(each) - NGRAM + 1)} for each in words]
    names: dict[Any, int] = {}
    shingles = np.array([names.setdefault(shingle, len(names)) for each in sets for shingle in each])
    holders = np.repeat(np.arange(len(sets)), [*map(len, sets)])
    holders = holders[np.argsort(shingles, kind="stable")]
    found = []
    for group in np.split(holders, np.cumsum(np.bincount(shingles))[:-1]):
        a, b = np.triu_indices(len(group), 1)
        found.append(group[a] * len(rows) + group[b])
    codes, both = np.unique(np.concatenate(found), return_counts=True)
    a, b = codes // len(rows), codes % len(rows)
    sizes = np.array([*map(len, sets)])
    similarity = both / (sizes[a] + sizes[b] - both)
    pairs = zip(a.tolist(), b.tolist(), similarity.tolist(), strict=True)
    return {(a, b): s for a, b, s in pairs if s >= least}


def in_shards(make: Callable[[], Any]) -> Callable[..., Any]:
    """A function that makes a lab with rows in so many shards."""

    def write(rows: list[dict[str, Any]], shards: int) -> Any:
        lab = make()
        for number in range(shards):
            lines = (json.dumps(row) + "\n" for row in rows[number * len(rows) // shards :][: len(rows) // shards])
            lab.write(f"shards/{number:03d}.jsonl", "".join(lines))
        lab.variables["shards"] = str(lab.folder / "shards")
        return lab

    return write


def decided(lab: Any, out: str = "out") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lab.result(out).arrow("annotations").to_pylist()
    return rows


def clusters(rows: list[dict[str, Any]]) -> set[frozenset[str]]:
    by_head: dict[int, set[str]] = {}
    for row in rows:
        if row["dedup_minhash_cluster"] is not None:
            by_head.setdefault(row["dedup_minhash_cluster"], set()).add(row["id"])
    return {frozenset(ids) for ids in by_head.values()}
