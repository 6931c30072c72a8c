"""Presets, bands, what they find, and datasketch's objects; signatures of a finished run by id."""

import inspect
from pathlib import Path
from typing import Any

import datasketch
import msgspec
import numpy as np
import pyarrow as pa
import pytest

from curate import lsh
from curate.errors import DataError, RecipeError
from curate.operator import parameters
from curate.operators.dedup import DedupMinhash
from curate.recipe import Recipe
from curate.result import open_run
from tests.kernels.test_minhash import strings

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the five boxing wizards jump quickly at dawn.",
    "The quick brown fox jumps over the lazy dog, and the five boxing wizards jump slowly at dawn.",
    "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen.",
    "Zu kurz",
]


@pytest.mark.parametrize("preset", lsh.PRESETS)
def test_a_preset_is_what_the_page_says(preset: Any) -> None:
    s = DedupMinhash(preset=preset).settings
    page = inspect.getdoc(DedupMinhash) or ""
    line = next(line for line in page.splitlines() if line.split()[:1] == [preset])
    shown = [s.unit, s.ngram, s.normalise, s.hash, s.scheme, s.seed, s.slots, s.threshold, s.bands, "x", s.rows]
    assert line.split()[1:] == [*map(str, shown)]


@pytest.mark.parametrize(("key", "found"), lsh.SEARCHED.items(), ids=str)
def test_bands_that_are_known_are_those_of_datasketch(key, found) -> None:
    index = datasketch.MinHashLSH(*key)
    assert (index.b, index.r) == found
    assert lsh._search(*key) == found


@pytest.mark.parametrize(
    ("given", "bands"),
    [
        ({"threshold": 0.7}, lsh.optimal_bands(0.7, 128, lsh.RECALL)),
        ({"threshold": 0.85, "weights": (0.5, 0.5)}, (8, 16)),
        ({"slots": 64, "weights": (0.5, 0.5)}, lsh.optimal_bands(0.8, 64)),
        ({"threshold": 1.0}, (1, 128)),
        ({"threshold": 0.99, "weights": (1.0, 0.0)}, (1, 128)),
        ({"slots": 1}, (1, 1)),
        ({"rows": 8}, (16, 8)),
        ({"bands": 10}, (10, 12)),
        ({"bands": 4, "rows": 4}, (4, 4)),
        *[({"preset": "redpajama-v2", "threshold": t}, b) for t, b in ((0.7, (14, 9)), (0.8, (9, 13)), (0.9, (5, 25)))],
        ({"preset": "redpajama-v2", "threshold": 1.0}, (1, 128)),
        ({"preset": "fineweb", "threshold": 0.9}, (14, 8)),
        ({"preset": "nemo", "rows": 26}, (10, 26)),
    ],
    ids=str,
)
def test_bands_follow_from_what_is_given(given, bands) -> None:
    assert DedupMinhash(**given).settings.shape == bands


def test_parameters_are_shown_as_they_are_and_make_the_same_again() -> None:
    operator = DedupMinhash(preset="redpajama-v2", ngram=7, threshold=0.7)
    shown = parameters(operator)
    assert {"preset": "redpajama-v2", "unit": "words", "ngram": 7, "hash": "sha1", "bands": 14}.items() <= shown.items()
    assert None not in [shown[name] for name in lsh.Settings._fields]
    assert msgspec.convert(shown, DedupMinhash) == operator
    same = DedupMinhash(preset="datasketch-legacy", ngram=13, seed=42)
    assert same.sketch_identity() == DedupMinhash(preset="redpajama-v2").sketch_identity()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("bands: 20, rows: 10", "20 bands of 10 rows need 200 slots, not 128"),
        ("preset: nemo, slots: 128", "20 bands of 13 rows need 260 slots, not 128"),
        ("rows: 129", "1 bands of 129 rows need 129 slots, not 128"),
        ("weights: [0.5, 0.6]", "weights sum to 1"),
        ("preset: redpajama", "did you mean 'redpajama-v2'"),
        ("unit: letters", "'letters' is not one of"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text(f"sources: {{a: {{path: a.jsonl}}}}\nsteps:\n  - dedup_minhash: {{{given}}}\n")
    with pytest.raises(RecipeError, match=r"r.yaml:3: .*" + message.replace("[", r"\[")):
        Recipe.load(tmp_path / "r.yaml")


def test_the_curve_is_what_random_signatures_do() -> None:
    """Candidates and estimates of planted pairs, against the formulas: within four standard errors."""
    from curate.kernels.minhash import band_keys, estimate

    random, pairs = np.random.default_rng(3), 4000
    settings = lsh.with_bands(lsh.PRESETS["default"])
    for similarity, found, passed in lsh.curve(settings)[4:10]:
        left = random.integers(0, 2**32, (pairs, 128), np.uint32)
        right = np.where(random.random(left.shape) < similarity, left, ~left)
        shared = (band_keys(left, *settings.shape) == band_keys(right, *settings.shape)).any(axis=0)
        agree = estimate(left, right) >= settings.threshold
        for seen, expected in ((shared.mean(), found), (agree.mean(), passed)):
            assert abs(seen - expected) <= 4 * np.sqrt(expected * (1 - expected) / pairs) + 1 / pairs


def test_probabilities_at_the_ends() -> None:
    assert lsh.candidate_probability([0, 1], 17, 7).tolist() == [0, 1]
    assert lsh.estimate_probability([0, 1], 128, 0.8).tolist() == [0, 1]
    assert lsh.estimate_probability(0.5, 1, 0.8) == pytest.approx(0.5)
    assert lsh.estimate_probability([0.3, 0.9], 4, 0.01).tolist() == pytest.approx([1 - 0.7**4, 1 - 0.1**4])


@pytest.mark.parametrize("preset", ["datasketch", "datasketch-legacy", "slimpajama", "redpajama-v2"])
def test_signatures_are_objects_of_datasketch_and_back(preset: Any) -> None:
    operator = DedupMinhash(preset=preset, ngram=3)
    s, column = operator.settings, operator.sketch(pa.array(TEXTS[:3]))["signature"]
    objects = lsh.to_datasketch(column, s.scheme, s.seed)
    for text, ours in zip(TEXTS, objects, strict=False):
        theirs = datasketch.MinHash(s.slots, s.seed, scheme=s.scheme)
        theirs.update_batch(shingle.encode() for shingle in strings(text, s.unit, s.ngram, s.normalise))
        assert ours == theirs
    assert lsh.from_datasketch(objects).equals(column)
    objects[0].merge(objects[1])  # they can be worked with
    objects[0].update(b"more")


def test_an_index_of_datasketch_finds_the_twin() -> None:
    table = pa.table({"id": ["a", "b", "c", "d"], **DedupMinhash(ngram=3).sketch(pa.array(TEXTS))})
    index = datasketch.MinHashLSH(threshold=0.5)
    for id_, one in zip(table["id"].to_pylist(), lsh.to_datasketch(table), strict=True):
        index.insert(id_, one)
    assert sorted(index.query(lsh.to_datasketch(table)[1])) == ["a", "b"]


def test_slices_and_chunks_of_signatures() -> None:
    values = np.arange(40, dtype=np.uint32).reshape(10, 4)
    column = lsh.signature_array(values)
    chunked = pa.chunked_array([column[1:4], column[6:6], column[8:]])
    assert lsh.signature_values(column[3:7]).tolist() == values[3:7].tolist()
    assert lsh.signature_values(chunked).tolist() == values[[1, 2, 3, 8, 9]].tolist()
    assert lsh.to_datasketch(column[:0]) == []
    assert lsh.signature_values(pa.chunked_array([], column.type)).shape == (0, 4)


def test_objects_that_do_not_go_together_are_refused() -> None:
    one = datasketch.MinHash(16)
    for other in (datasketch.MinHash(8), datasketch.MinHash(16, seed=2), datasketch.MinHash(16, scheme="legacy")):
        with pytest.raises(ValueError, match="of one length, scheme and seed"):
            lsh.from_datasketch([one, other])
    with pytest.raises(ValueError, match="of one length"):
        lsh.from_datasketch([])
    with pytest.raises(ValueError, match="64 bits"):
        lsh.from_datasketch([datasketch.MinHash(16, scheme="affine64")])


def test_signatures_of_a_finished_run_by_id(tmp_path: Path) -> None:
    from curate import engine
    from curate.config import Config

    for name, part in (("a", TEXTS[:2]), ("b", TEXTS[2:])):
        rows = [{"id": f"{name}{k}", "text": text} for k, text in enumerate(part)]
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"sources: {{s: {{path: {tmp_path}/*.jsonl}}}}\nsteps:\n  - dedup_minhash: {{as: near, ngram: 3}}\n"
        f"output: {{path: {tmp_path}/out}}\n"
    )
    run = engine.run(Recipe.load(recipe), Config(workers=1))
    expected = pa.table({"id": ["a0", "a1", "b0", "b1"], **DedupMinhash(ngram=3).sketch(pa.array(TEXTS))})
    assert run.sketch("near").equals(expected)
    assert open_run(tmp_path / "out").sketch("near", {"b1", "a1", "nobody"}).equals(expected.take([1, 3]))
    with pytest.raises(DataError, match="no step 'nera' has a sketch - did you mean 'near'"):
        run.sketch("nera")
    for path in (tmp_path / "out/.work/plans").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no work folder"):
        run.sketch("near")
