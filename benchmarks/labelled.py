"""Labelled near-duplicates: precision, recall and F1 of ours, of datasketch's LSH and of text-dedup's method.

    python -m benchmarks.labelled [--sets FOLDER] [--documents mix_150mb.jsonl.zst] [--text-dedup PYTHON]

Each engine puts the same documents into clusters; pairs of documents in one cluster are compared with the labelled ones
(their transitive closure). datasketch and text-dedup are used as published: what shares a band is a duplicate, by
union-find; datasketch has our shingles, text-dedup its own. `--text-dedup` is the Python of an environment with it.

articles   news with planted, reworded copies (chrisjmccormick/MinHash): 1,000 and 2,500 documents
news20     messages posted to several news groups: the same Message-ID, other headers; the body is compared
onestop    articles rewritten for three levels of readers
planted    this repository's test corpus
mix        web, news, wiki and books; labels are all pairs with a Jaccard similarity of at least the threshold,
           by brute force over the same shingles of five words
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.dedup import SLOTS, shingles
from benchmarks.end_to_end import MIX
from benchmarks.signals import documents
from curate.kernels.components import components
from curate.operators.dedup import DedupMinhash
from curate.result import table_text

SETS = MIX.parent / "raw"
PLANTED = Path(__file__).resolve().parents[1] / "tests/data"
NGRAM = 5
Labels = np.ndarray  # the cluster of each document


class Labelled(NamedTuple):
    """Documents, and which of them are the same: pairs of positions."""

    name: str
    texts: list[str]
    pairs: list[tuple[int, int]]
    threshold: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, default=SETS)
    parser.add_argument("--documents", type=Path, default=MIX)
    parser.add_argument("--megabytes", type=float, default=20, help="how much of the documents, evenly taken")
    parser.add_argument("--text-dedup", metavar="PYTHON")
    given = parser.parse_args()
    rows = [["set", "documents", "pairs", "threshold", "engine", "precision", "recall", "F1", "removed", "s"]]
    for each in found(given.sets, given.documents, given.megabytes * 1e6):
        truth = components(len(each.texts), *ends(each.pairs))
        for name, engine in engines(given.text_dedup).items():
            began = time.perf_counter()
            labels = engine(each.texts, each.threshold)
            took = time.perf_counter() - began
            head = [each.name, f"{len(each.texts):,}", f"{same(truth):,}", f"{each.threshold:g}", name]
            scores = [f"{score:.3f}" for score in agreement(truth, labels)]
            removed = len(labels) - len(np.unique(labels))
            rows.append([*head, *scores, f"{removed:,} ({len(truth) - len(np.unique(truth)):,})", f"{took:.1f}"])
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print(table_text(rows, left=1))


# ---------------------------------------------------------------- sets


def found(sets: Path, mix: Path, wanted: float) -> Iterable[Labelled]:
    """The sets that are on this machine, at the thresholds that suit them."""
    makers: dict[str, Callable[[dict[str, str]], tuple[list[str], list[tuple[int, int]]]]] = {
        "neardup_chrisj_articles": lambda files: articles(files, "1000"),
        "neardup_chrisj_articles ": lambda files: articles(files, "2500"),
        "news20_crossposts": news20,
        "onestop_english": onestop,
    }
    for name, make in makers.items():
        path = sets / f"{name.strip()}.tar.zst"
        if path.exists():
            texts, pairs = make(unpacked(path))
            for threshold in (0.5, 0.8):
                yield Labelled(name.strip().split("_")[-1], texts, pairs, threshold)
    texts, pairs = planted()
    yield Labelled("planted", texts, pairs, 0.7)
    if mix.exists():
        texts = documents(mix, wanted)
        for threshold in (0.7, 0.8):
            yield Labelled("mix", texts, alike(texts, threshold), threshold)


def unpacked(path: Path) -> dict[str, str]:
    """The text files of a packed set."""
    import zstandard

    with (
        path.open("rb") as file,
        tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(file), mode="r|") as tar,
    ):
        read = ((each.name, tar.extractfile(each)) for each in tar if each.isfile())
        return {name: content.read().decode("utf-8", "replace") for name, content in read if content}


def articles(files: dict[str, str], size: str) -> tuple[list[str], list[tuple[int, int]]]:
    names = {Path(name).name: text for name, text in files.items()}
    lines = [line.partition(" ") for line in names[f"articles_{size}.train"].splitlines()]
    at = {name: number for number, (name, _, _) in enumerate(lines)}
    pairs = [line.split() for line in names[f"articles_{size}.truth"].splitlines()]
    return [text for _, _, text in lines], [(at[a], at[b]) for a, b in pairs]


def news20(files: dict[str, str]) -> tuple[list[str], list[tuple[int, int]]]:
    parts = [text.partition("\n\n") for _, text in sorted(files.items()) if "\n\n" in text]
    known = [re.search(r"^Message-ID:\s*(\S+)", head, re.MULTILINE | re.IGNORECASE) for head, _, _ in parts]
    names = [match[1] if match else str(at) for at, match in enumerate(known)]
    return [body for _, _, body in parts], of_one(names)


def onestop(files: dict[str, str]) -> tuple[list[str], list[tuple[int, int]]]:
    chosen = [
        (Path(name).stem, text) for name, text in sorted(files.items()) if re.search(r"-(adv|ele|int)\.txt$", name)
    ]
    chosen = [*dict(chosen).items()]
    return [text for _, text in chosen], of_one([name.rpartition("-")[0].strip() for name, _ in chosen])


def planted() -> tuple[list[str], list[tuple[int, int]]]:
    """Near copies that were planted, in the test corpus."""
    rows = [json.loads(line) for path in sorted((PLANTED / "shards").glob("*.jsonl")) for line in path.open()]
    at = {row["id"]: number for number, row in enumerate(rows)}
    pairs = json.loads((PLANTED / "planted.json").read_text())["pairs"]
    known = [(pair["copy"], pair["original"]) for pair in pairs if {pair["copy"], pair["original"]} <= at.keys()]
    return [row["text"] for row in rows], [(at[copy], at[original]) for copy, original in known]


def of_one(names: list[str]) -> list[tuple[int, int]]:
    """Pairs of positions with the same name."""
    first: dict[str, int] = {}
    return [(first.setdefault(name, at), at) for at, name in enumerate(names) if first.setdefault(name, at) != at]


def alike(texts: list[str], threshold: float) -> list[tuple[int, int]]:
    """All pairs with so high a Jaccard similarity, by counting the shingles that they share."""
    names: dict[bytes, int] = {}
    sets = [[names.setdefault(shingle, len(names)) for shingle in shingles(text, "words", NGRAM)] for text in texts]
    holders: list[list[int]] = [[] for _ in names]
    pairs = []
    for at, each in enumerate(sets):
        near = np.concatenate([np.zeros(0, np.int64), *(holders[one] for one in each)]).astype(np.int64)
        shared = np.bincount(near, minlength=at)[:at] if at else np.zeros(0, np.int64)
        other = np.flatnonzero(shared)
        union = np.array([len(sets[one]) for one in other]) + len(each) - shared[other]
        pairs += [(int(one), at) for one in other[shared[other] >= threshold * union]]
        for one in each:
            holders[one].append(at)
    return pairs


# ---------------------------------------------------------------- engines


def engines(text_dedup: str | None) -> dict[str, Callable[[list[str], float], Labels]]:
    made: dict[str, Callable[[list[str], float], Labels]] = {
        "ours": ours,
        "ours, link: representative": lambda texts, least: ours(texts, least, link="representative"),
        "ours, verify: estimate": lambda texts, least: ours(texts, least, verify="estimate"),
        "datasketch, MinHashLSH": datasketch_lsh,
    }
    if text_dedup:
        made["text-dedup, minhash"] = lambda texts, least: peer(text_dedup, texts, least)
    return made


def ours(texts: list[str], threshold: float, **parameters: Any) -> Labels:
    table = DedupMinhash(threshold=threshold, ngram=NGRAM, **parameters)(pa.table({"text": texts}))
    heads = table["dedup_minhash_cluster"].to_numpy(zero_copy_only=False)
    return np.where(np.isnan(heads), np.arange(len(texts)), heads).astype(np.int64)


def datasketch_lsh(texts: list[str], threshold: float) -> Labels:
    from datasketch import MinHash, MinHashLSH

    index, pairs = MinHashLSH(threshold, SLOTS), []
    for at, text in enumerate(texts):
        minhash = MinHash(SLOTS)
        minhash.update_batch(shingles(text, "words", NGRAM))
        if len(text.split()) >= NGRAM:
            pairs += [(other, at) for other in index.query(minhash)]
            index.insert(at, minhash)
    return components(len(texts), *ends(pairs))


def peer(python: str, texts: list[str], threshold: float) -> Labels:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        command = [python, str(Path(__file__).with_name("peers.py")), "text-dedup", file.name, str(threshold)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"text-dedup: {done.stderr[-500:]}")
    return np.array(json.loads(done.stdout.splitlines()[-1])["labels"])


# ---------------------------------------------------------------- agreement


def ends(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    flat = np.array([*itertools.chain.from_iterable(pairs)], np.int64).reshape(-1, 2)
    return flat[:, 0], flat[:, 1]


def same(*labels: Labels) -> int:
    """How many pairs of documents are in one cluster by all of some labels."""
    _, counts = np.unique(np.stack(labels), axis=1, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def agreement(truth: Labels, labels: Labels) -> tuple[float, float, float]:
    """Precision, recall and F1 of pairs."""
    both, claimed, true = same(truth, labels), same(labels), same(truth)
    precision, recall = both / max(1, claimed), both / max(1, true)
    return precision, recall, 2 * both / max(1, claimed + true)


if __name__ == "__main__":
    main()
