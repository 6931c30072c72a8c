"""Language models that a recipe trains: whatever the batches, as KenLM reads them, kept in the run."""

from __future__ import annotations

import io
import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import Config, Recipe, engine
from curate.errors import OperatorError, RecipeError
from curate.evaluate import fitted
from curate.kernels.ccnet import normalised
from curate.language_model import facts, unpacked
from curate.operators.perplexity import CcnetPerplexity
from curate.operators.train_kenlm import TrainKenlm, sampled
from curate.testing.examples import NASTY, SENTENCES

REFERENCE = [f"{one} {two}\n{one}" for one in SENTENCES for two in SENTENCES]
TEXTS = [*SENTENCES, *NASTY, "Words that nobody knows", "<s> and </s> in a text, and <unk>"]
WORDS = TrainKenlm(reference=("wiki",), tokens="words", order=3)
PIECES = TrainKenlm(reference=("wiki",), vocabulary=400, coverage=0.99, order=4)


def train(operator: TrainKenlm, texts: list[str], cuts: tuple[int, ...] = ()) -> pa.Table:
    bounds = [0, *cuts, len(texts)]
    shards = [{"text": pa.array(texts[a:b], pa.string())} for a, b in itertools.pairwise(bounds)]
    return fitted(operator, shards)


def scored(operator: TrainKenlm, model: pa.Table, texts: list[str]) -> list[float | None]:
    found: list[float | None] = operator.apply(pa.array(texts, pa.string()), model)["perplexity"].to_pylist()
    return found


@pytest.mark.parametrize("operator", [WORDS, PIECES], ids=["words", "pieces"])
def test_batches_and_memory_do_not_matter(operator: TrainKenlm) -> None:
    whole = train(operator, REFERENCE)
    assert train(operator, REFERENCE, (1, 7, 7, 200)).equals(whole)
    smaller = TrainKenlm(**{**{k: getattr(operator, k) for k in operator.__struct_fields__}, "memory_mb": 1})
    assert train(smaller, REFERENCE).equals(whole)
    assert smaller.value_identity() == operator.value_identity()


@pytest.mark.parametrize("operator", [WORDS, PIECES], ids=["words", "pieces"])
@pytest.mark.parametrize("form", ["arpa", "binary"])
def test_kenlm_loads_the_file_and_agrees(operator: TrainKenlm, form: str, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    model = train(operator, REFERENCE)
    operator.export(model, tmp_path)
    loaded = kenlm.Model(str(tmp_path / {"arpa": "lm.arpa", "binary": "lm.arpa.bin"}[form]))
    assert loaded.order == operator.order
    lines = normalised(pa.array(TEXTS)).to_pylist()
    if (tmp_path / "sp.model").exists():
        from sentencepiece import SentencePieceProcessor

        spell = SentencePieceProcessor(model_file=str(tmp_path / "sp.model"))
        lines = [" ".join(spell.encode_as_pieces(line)) for line in lines]
    expected = [round(10.0 ** (-loaded.score(line) / (len(line.split()) + 1)), 1) for line in lines]
    found = scored(operator, model, TEXTS)
    pairs = [pair for pair, line in zip(zip(found, expected, strict=True), lines, strict=True) if line.split()]
    if form == "binary":
        assert all(ours == theirs for ours, theirs in pairs)
    else:  # an ARPA file has seven decimals
        assert all(ours == pytest.approx(theirs, rel=1e-4, abs=0.1001) for ours, theirs in pairs)
    assert [ours for ours, line in zip(found, lines, strict=True) if not line.split()] == [None] * (
        len(lines) - len(pairs)
    )


def test_its_files_are_what_ccnet_perplexity_reads(tmp_path: Path) -> None:
    pytest.importorskip("kenlm")
    model = train(PIECES, REFERENCE)
    PIECES.export(model, tmp_path)
    operator = CcnetPerplexity(models=str(tmp_path), per_language=False)
    operator.check({})
    assert operator(pa.table({"text": TEXTS}))["perplexity"].to_pylist() == scored(PIECES, model, TEXTS)


def test_each_line_is_a_sentence() -> None:
    by_line = TrainKenlm(reference=("wiki",), tokens="words", order=2, sentence="line")
    assert facts(train(by_line, ["a b\nc\n\n", "d"]))["sentences"] == 3
    assert facts(train(WORDS, ["a b\nc\n\n", "d"]))["sentences"] == 2
    model = train(by_line, REFERENCE)
    one, two, both = scored(by_line, model, ["The gate is open.", "No cat.", "The gate is open.\nNo cat."])
    tokens = [5, 3]
    logs = [np.log10(float(value or 0)) * size for value, size in zip((one, two), tokens, strict=True)]
    assert both == pytest.approx(10 ** (sum(logs) / sum(tokens)), abs=0.1)


def test_special_words_of_a_text_are_skipped_in_training() -> None:
    plain, marked = (train(WORDS, [f"one {word} two", "two one"]) for word in ("", "<s> </s> <unk>"))
    assert facts(plain) == facts(marked)
    assert unpacked(plain).words.equals(unpacked(marked).words)  # type: ignore[union-attr]


def test_what_the_manifest_says_of_a_model() -> None:
    model = train(TrainKenlm(reference=("wiki",), tokens="words", order=3, prune=(0, 0, 1)), REFERENCE)
    said = facts(model)
    assert said["sentences"] == len(REFERENCE)
    assert said["ngrams"][:2] == said["ngrams_before_pruning"][:2]
    assert 0 < said["ngrams"][2] <= said["ngrams_before_pruning"][2]
    assert len(said["discounts"]) == 3


@pytest.mark.parametrize("operator", [WORDS, PIECES], ids=["words", "pieces"])
def test_no_text_is_no_model(operator: TrainKenlm, tmp_path: Path) -> None:
    model = train(operator, ["", " \n"])
    assert scored(operator, model, ["a", ""]) == [None, None]
    operator.export(model, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_vocabulary_that_cannot_spell_the_text_is_refused() -> None:
    with pytest.raises(OperatorError, match="larger vocabulary"):
        train(TrainKenlm(reference=("wiki",), vocabulary=16, coverage=1.0), REFERENCE)


def test_the_sample_is_the_same_in_any_order() -> None:
    texts = pa.array(REFERENCE)
    assert sampled(texts, 2000).equals(sampled(pa.array(REFERENCE[::-1]), 2000))
    sizes = [len(text.encode()) for text in sampled(texts, 2000).to_pylist()]
    assert sum(sizes[:-1]) < 2000 <= sum(sizes)
    assert len(sampled(pa.array(["", "a"]), 20)) == 1


@given(st.lists(st.text("ab", max_size=6), max_size=20), st.integers(0, 20), st.integers(1, 30))
@settings(deadline=None, max_examples=100)
def test_a_sample_of_samples_is_the_sample_of_all(texts: list[str], cut: int, most: int) -> None:
    parts = [sampled(pa.array(part, pa.string()), most) for part in (texts[:cut], texts[cut:])]
    assert sampled(pa.concat_arrays(parts), most).equals(sampled(pa.array(texts, pa.string()), most))


@pytest.mark.parametrize("prune", ["[1]", "[0, 2, 1]", "[0, 0, 0, 0, 0, 0, 0]"])
def test_impossible_pruning_is_refused(prune: str) -> None:
    with pytest.raises(RecipeError, match=r"^recipe:3: .*prune has a limit for each order"):
        Recipe.parse(f"name: x\nsteps:\n- train_kenlm:\n    prune: {prune}\n    reference: [wiki]\n")


RECIPE = """
name: lm
sources:
  web: {path: web.jsonl}
  wiki: {path: wiki.jsonl, reference: true}
steps:
  - train_kenlm: {reference: [wiki], vocabulary: 400, coverage: 0.99, order: 3}
  - perplexity_buckets: {per: null}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, texts in {"web": TEXTS, "wiki": REFERENCE}.items():
        Path(f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return tmp_path


def run(folder: Path, **how: Any) -> Any:
    return engine.run(Recipe.parse(RECIPE), Config(workers=1, **how))


def test_a_run_keeps_the_files_and_says_what_they_are(folder: Path) -> None:
    result = run(folder)
    files = {file["path"]: file for file in result.manifest["models"]}
    assert {*files} == {f"models/train_kenlm/{name}" for name in ("lm.arpa", "lm.arpa.bin", "sp.model")}
    assert all((result.path / path).stat().st_size == file["bytes"] for path, file in files.items())
    assert result.manifest["corpus"]["train_kenlm"]["sentences"] == len(REFERENCE)
    assert {*result.polars("annotations")["perplexity_bucket"].to_list()} == {"head", "middle", "tail", None}


def test_small_batches_give_the_same_files(folder: Path) -> None:
    sums = [{file["path"]: file["sha256"] for file in run(folder).manifest["models"]}]
    os.rename("out", "before")
    sums.append({file["path"]: file["sha256"] for file in run(folder, batch_size="2kB").manifest["models"]})
    assert sums[0] == sums[1]


def test_files_come_back_when_they_were_deleted_with_the_manifest(folder: Path) -> None:
    result = run(folder)
    for path in (result.path / "models/train_kenlm/lm.arpa", result.path / "manifest.json"):
        path.unlink()
    assert (run(folder).path / "models/train_kenlm/lm.arpa").exists()


def test_pieces_are_those_of_sentencepiece_trained_by_hand() -> None:
    from sentencepiece import SentencePieceTrainer

    own = io.BytesIO()
    sentences = sampled(normalised(pa.array(REFERENCE)), 1e6).to_pylist()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=own,
        model_type="unigram",
        vocab_size=400,
        character_coverage=0.99,
        num_threads=4,
        hard_vocab_limit=False,
        max_sentence_length=1 << 30,
        minloglevel=3,
    )
    found = unpacked(train(PIECES, REFERENCE))
    assert found is not None
    assert found.pieces == own.getvalue()
