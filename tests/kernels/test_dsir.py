"""Hashed n-grams against twins in plain Python; CPython's own hash in a process with RedPajama-V2's seed."""

import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.dsir import count, grams, log_ratio, weigh
from curate.testing.examples import NASTY, SENTENCES

TEXTS = [*SENTENCES, *NASTY[:-1], "of the", "ÿ Ā ￿ 𝄞 mixedÿ mixedĀ mixed𝄞", "x" * 200 + " y"]
HASH = """
import json, re, sys
for text in json.load(sys.stdin):
    words = re.findall(r"\\w+|[^\\w\\s]+", text)
    pairs = list(zip(words, words[1:]))
    made = [b for at, w in enumerate(words) for b in (hash(w), *([hash(pairs[at])] if at < len(pairs) else []))]
    print(json.dumps([abs(b) % 10000 for b in made]))
"""


def of_authors(text: str, buckets: int) -> list[int]:
    words = re.findall(r"\w+|[^\w\s]+", text.lower())
    grams = [g for at, w in enumerate(words) for g in (w, *([f"{w} {words[at + 1]}"] if at + 1 < len(words) else []))]
    return [int(hashlib.sha256(g.encode()).hexdigest(), 16) % buckets for g in grams]


def by_document(texts: list[str], features: str, buckets: int = 10_000) -> list[list[int]]:
    found = grams(pa.array(texts, pa.string()), features, buckets)  # type: ignore[arg-type]
    return [part.tolist() for part in np.split(found.bucket, found.splits[1:-1])] if texts else []


def test_rpv2_is_the_hash_of_cpython() -> None:
    given = {**os.environ, "PYTHONHASHSEED": "42"}
    done = subprocess.run(
        [sys.executable, "-c", HASH], input=json.dumps(TEXTS), env=given, capture_output=True, text=True
    )
    assert by_document(TEXTS, "rpv2") == [json.loads(line) for line in done.stdout.splitlines()]


def test_authors_is_sha256() -> None:
    assert by_document(TEXTS, "authors") == [of_authors(text, 10_000) for text in TEXTS]
    assert by_document(TEXTS[:9], "authors", 77) == [of_authors(text, 77) for text in TEXTS[:9]]


@settings(max_examples=50)
@given(st.lists(st.text(st.sampled_from("ab .,!Zé日\n"), max_size=30), max_size=5))
def test_words_are_those_of_the_lexer(texts: list[str]) -> None:
    found = by_document(texts, "words")
    words = [[w for w in (re.sub(r"[!-/:-@\[-`{-~]", "", w) for w in text.split()) if w] for text in texts]
    assert [len(part) for part in found] == [max(2 * len(own) - 1, 0) for own in words]
    for buckets, own in zip(found, words, strict=True):
        same: dict[str, int] = {}
        for at, word in enumerate(own):
            assert same.setdefault(word.lower(), buckets[2 * at]) == buckets[2 * at]


def test_counts_and_weights() -> None:
    found = grams(pa.array(["a b a", "", "b"]), "words", 50)
    counts = count(found, np.array([True, True, False]), 50)
    assert counts.sum() == 5
    weights = np.arange(50.0)
    assert weigh(found, weights)[0] == float(counts @ weights)
    assert weigh(found, weights)[1] == 0.0
    ratio = log_ratio(np.array([3, 1, 0]), np.array([1, 1, 2]))
    assert ratio == pytest.approx([np.log(3), 0.0, np.log(1e-8) - np.log(0.5 + 1e-8)], abs=1e-6)
