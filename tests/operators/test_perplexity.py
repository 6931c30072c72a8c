"""CCNet's perplexity by the libraries themselves, wrong model files, and buckets."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.cut_offs import cut_offs
from curate.errors import PlanError, RecipeError
from curate.operators.perplexity import CcnetPerplexity, PerplexityBuckets
from curate.recipe import Recipe
from curate.testing.examples import NASTY, SENTENCES
from tests.kernels.test_ccnet import twin

kenlm = pytest.importorskip("kenlm")
LM_SP = Path(__file__).resolve().parents[1] / "data/lm_sp"
TEXTS = [*SENTENCES, *(text for text in NASTY if len(text) < 2000), "one\u3000two\u00a0three"]


def by_hand(text: str, language: str) -> float | None:
    """As cc_net's MultiSentencePiece and DocLM do it."""
    from sentencepiece import SentencePieceProcessor

    spell = SentencePieceProcessor(model_file=str(LM_SP / f"{language}.sp.model"))
    path = next(LM_SP.glob(f"{language}.arpa*"))
    line = " ".join(spell.encode_as_pieces(twin(text)))
    if not line:
        return None
    value: float = round(10.0 ** (-kenlm.Model(str(path)).score(line) / (len(line.split()) + 1)), 1)
    return value


@pytest.mark.parametrize("language", ["en", "de"])
def test_values_are_those_of_the_libraries(language: str) -> None:
    table = pa.table({"text": TEXTS, "language": [language] * len(TEXTS)})
    found = CcnetPerplexity(models=str(LM_SP))(table)
    assert found["perplexity"].to_pylist() == [by_hand(text, language) for text in TEXTS]


def test_each_language_has_its_model_and_cut_offs() -> None:
    text = "The lighthouse keeper counts the ships that pass."
    languages = ["en", "de", "fr", None, "en"]
    found = CcnetPerplexity(models=str(LM_SP))(pa.table({"text": [text] * 4 + [None], "language": languages}))
    perplexity, bucket = (found[name].to_pylist() for name in ("perplexity", "perplexity_bucket"))
    assert perplexity == [by_hand(text, "en"), by_hand(text, "de"), None, None, None]
    for language, value, name in zip(languages, perplexity, bucket, strict=True):
        head, middle = cut_offs().get(str(language), (0.0, 0.0))
        assert name == (None if value is None else "head" if value < head else "middle" if value < middle else "tail")


def broken(change: Callable[[Path], object], tmp_path: Path) -> str:
    """What is said of a folder of models after a change."""
    folder = tmp_path / "lm_sp"
    shutil.copytree(LM_SP, folder)
    change(folder)
    with pytest.raises(PlanError) as error:
        CcnetPerplexity(models=str(folder)).check({})
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("en.arpa.bin", b"PK\x03\x04 a zip file", "neither an ARPA file nor a binary"),
        ("en.arpa.bin", b"", "neither an ARPA file nor a binary"),
        ("en.arpa.bin", (LM_SP / "en.arpa.bin").read_bytes()[:5000], "no model that KenLM can load"),
        ("de.arpa", (LM_SP / "de.arpa").read_bytes()[:5000], "is cut off"),
        ("en.arpa.bin", b"mmap lm http://kheafield.com/code format version 4\n" + bytes(200), "another version"),
        ("en.sp.model", (LM_SP / "en.sp.model").read_bytes()[:1000], "not a SentencePiece model"),
        ("en.sp.model", b"not a model", "not a SentencePiece model"),
    ],
    ids=["zip", "empty", "short-binary", "short-arpa", "old-binary", "short-pieces", "no-pieces"],
)
def test_wrong_files_are_refused_before_the_corpus_is_read(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    told = broken(lambda folder: (folder / name).write_bytes(content), tmp_path)
    assert said in told
    assert name in told


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(PlanError, match=r"arpa.* bytes, more than the 1,000 that are allowed"):
        CcnetPerplexity(models=str(LM_SP), max_gb=1e-6).check({})


def test_models_that_are_not_there_are_named(tmp_path: Path) -> None:
    assert "has no en.sp.model beside it" in broken(lambda folder: (folder / "en.sp.model").unlink(), tmp_path)
    with pytest.raises(PlanError, match="has no file that ends with"):
        CcnetPerplexity(models=str(LM_SP.parent / "sites")).files()


def test_a_compressed_arpa_is_read(tmp_path: Path) -> None:
    (tmp_path / "de.arpa").write_bytes(gzip.compress((LM_SP / "de.arpa").read_bytes()))
    shutil.copy(LM_SP / "de.sp.model", tmp_path)
    operator = CcnetPerplexity(models=str(tmp_path))
    operator.check({})
    assert operator({"text": SENTENCES[2], "language": "de"})["perplexity"] == by_hand(SENTENCES[2], "de")


def test_content_of_the_files_decides_the_fingerprint(tmp_path: Path) -> None:
    shutil.copytree(LM_SP, tmp_path / "lm")
    operator = CcnetPerplexity(models=str(tmp_path / "lm"))
    before = operator.identity()["files"]
    assert {*before} == {"de.arpa", "de.sp.model", "en.arpa.bin", "en.sp.model"}
    shutil.copy(tmp_path / "lm/de.arpa", tmp_path / "lm/en.arpa.bin")
    after = operator.identity()["files"]
    assert before["de.arpa"] == after["de.arpa"] == after["en.arpa.bin"] != before["en.arpa.bin"]


def test_the_manifest_says_which_files_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate import Config, engine

    monkeypatch.chdir(tmp_path)
    Path("web.jsonl").write_text("".join(json.dumps({"text": text, "lang": "en"}) + "\n" for text in SENTENCES))
    text = "name: x\nsources:\n  web: {path: web.jsonl, columns: {language: lang}}\nsteps:\n"
    text += f"- ccnet_perplexity: {{models: {LM_SP}}}\n"
    result = engine.run(Recipe.parse(text), Config(workers=1))
    assert result.manifest["files_read"]["ccnet_perplexity"] == CcnetPerplexity(models=str(LM_SP)).identity()["files"]


def test_without_kenlm_the_advice_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from curate.operators.perplexity import kenlm_model

    kenlm_model.cache_clear()
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(PlanError, match="install a C\\+\\+ compiler"):
        CcnetPerplexity(models=str(LM_SP)).check({})


# ---------------------------------------------------------------- buckets


def test_buckets_are_cut_at_quantiles_of_each_language() -> None:
    chance = np.random.default_rng(0)
    value, language = chance.lognormal(6, 1, 1000).round(1), chance.choice(["en", "de"], 1000)
    table = PerplexityBuckets()(pa.table({"perplexity": value, "language": language}))
    found = np.array(table["perplexity_bucket"].to_pylist())
    for name in ("en", "de"):
        own = value[language == name]
        head, middle = np.percentile(own, [30, 60])
        expected = np.where(own < head, "head", np.where(own < middle, "middle", "tail"))
        assert (found[language == name] == expected).all()


def test_buckets_of_all_documents_and_of_few() -> None:
    operator = PerplexityBuckets(of="score", per=None, quantiles=(0.5, 0.9))
    assert operator(pa.table({"score": [3, 1, 2, None]}))["perplexity_bucket"].to_pylist() == [
        "tail", "head", "middle", None,
    ]  # fmt: skip
    assert operator(pa.table({"score": pa.array([], pa.int64())}))["perplexity_bucket"].to_pylist() == []
    assert operator(pa.table({"score": [7]}))["perplexity_bucket"].to_pylist() == ["tail"]


@pytest.mark.parametrize("quantiles", ["[0.6, 0.3]", "[0.3, 0.3]", "[0, 0.5]", "[0.5]"])
def test_quantiles_that_make_no_sense_are_refused(quantiles: str) -> None:
    with pytest.raises(RecipeError, match=r"^recipe:[34]: .*quantiles"):
        Recipe.parse(f"name: x\nsteps:\n- perplexity_buckets:\n    quantiles: {quantiles}\n")


def test_only_numbers_have_quantiles() -> None:
    with pytest.raises(PlanError, match="is about numbers, but perplexity is string"):
        PerplexityBuckets().check({"perplexity": pa.string(), "language": pa.string()})
