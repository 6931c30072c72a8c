"""Vectors of documents, clusters, semantic duplicates and diverse choices."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate import Config, Recipe, engine
from curate.errors import PlanError
from curate.evaluate import arrays, fitted
from curate.operators.cluster import Cluster
from curate.operators.dedup_semantic import DedupSemantic
from curate.operators.embeddings import Embed, TrainEmbed
from curate.operators.select_diverse import SelectDiverse
from curate.sentence_models import HEAD, LARGEST, Onnx, check

MODEL = str(Path(__file__).resolve().parents[1] / "data/classifier.bin")
TOPICS = {
    "cooking": "stir the onions in butter and salt the soup before the pot boils on the stove",
    "sailing": "the boat leaves the harbour when wind fills the sail and the tide is high",
    "law": "the court held that the contract was void and the plaintiff may claim damages",
}


def texts(count: int = 60, seed: int = 0) -> tuple[list[str], list[str]]:
    """Documents of three topics, each of words of its own, and their topics."""
    chance = np.random.default_rng(seed)
    kinds = [[*TOPICS][at % 3] for at in range(count)]
    return [" ".join(chance.choice(TOPICS[kind].split(), 40)) for kind in kinds], kinds


def column(vectors: Any, kind: pa.DataType | None = None) -> pa.Array:
    values = np.asarray(vectors, np.float64)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()).cast(kind or pa.float32()), values.shape[1])


def test_vectors_are_those_of_fasttext() -> None:
    import fasttext

    given = ["The keeper sleeps", "buy\nnow", "", "zzzz qqqq"]
    found = Embed(model=MODEL, precision="float32")(pa.table({"text": given}))["embed_vector"].to_pylist()
    model = fasttext.load_model(MODEL)
    for text, vector in zip(given, found, strict=True):
        right = model.get_sentence_vector(" ".join(text.splitlines()))
        length = np.linalg.norm(right)
        assert vector is None if not text else vector == pytest.approx(right / length if length else right, abs=1e-6)


SENTENCES = str(Path(__file__).resolve().parents[1] / "data/sentence-model")


FAR = 90_000  # characters, more than are looked at
LONG = ("word " * FAR, " " * FAR + "a word", "w" * FAR, "w" * FAR + " a word", "A word, " + " " * FAR + "end")


@pytest.mark.parametrize("text", LONG, ids=["words", "spaces", "a word", "two words", "spaces between"])
def test_the_tokens_of_a_long_text_are_those_of_its_beginning(text: str) -> None:
    pytest.importorskip("onnxruntime")
    model = Onnx(Path(f"{SENTENCES}/model.onnx"), Path(SENTENCES))
    assert HEAD * model.longest < FAR
    assert model.tokens(["short", text]) == [model.tokenizer.encode(each).ids for each in ("short", text)]


def test_an_onnx_model_averages_its_tokens() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(f"{SENTENCES}/model.onnx", providers=["CPUExecutionProvider"])
    given = ["The keeper sleeps", "butter", "", "sail wind " * 100, "onions soup"] * 9
    found = Embed(model=SENTENCES, precision="float32")(pa.table({"text": given}))["embed_vector"].to_pylist()
    words = ["[UNK]", "the", "keeper", "sleeps", "boat", "sail", "wind", "onions", "butter", "soup"]
    for text, vector in zip(given, found, strict=True):
        ids = np.array([[words.index(word) for word in text.lower().split()]][:1], np.int64)[:, :64]
        mean = session.run(None, {"input_ids": ids})[0][0].mean(axis=0) if text else None
        assert vector is None if mean is None else vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    alone = Embed(model=SENTENCES, precision="float32")("butter")["embed_vector"]
    assert alone == found[1]


def test_a_model_of_sentence_transformers_gives_its_vectors(tmp_path: Path) -> None:
    """A model of random weights, made here: nothing is fetched."""
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({*TOPICS["cooking"].split()})]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path / "bert")
    modules = [Transformer(str(tmp_path / "bert"), max_seq_length=32), Pooling(16)]
    library.SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "model"))
    given = [" ".join(words[5 : 6 + at]) for at in range(12)] + ["", "unknown " * 99]
    found = Embed(model=str(tmp_path / "model"), precision="float32")(pa.table({"text": given}))["embed_vector"]
    right = library.SentenceTransformer(str(tmp_path / "model"), device="cpu").encode(given)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    for text, vector, expected in zip(given, found.to_pylist(), right, strict=True):
        assert vector is None if not text else vector == pytest.approx(expected, abs=1e-6)
    alone = [Embed(model=str(tmp_path / "model"), precision="float32")(text)["embed_vector"] for text in given]
    assert alone == found.to_pylist(), "whatever the batch"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("model.onnx", "tokenizer.json"), 'needs onnxruntime and tokenizers: pip install "curate[embed]"'),
        (
            ("modules.json", "model.safetensors"),
            'needs sentence_transformers: pip install "curate[sentence-transformers]"',
        ),
    ],
    ids=["onnx", "torch"],
)
def test_what_runs_a_model_is_named_where_it_is_absent(
    names: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*names, "config.json"):
        (tmp_path / name).write_text('{"hidden_size": 4}')
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PlanError) as error:
        Embed(model=str(tmp_path)).check({})
    assert said in str(error.value)


def test_a_folder_that_is_no_sentence_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    for name in ("tokenizer.json", "config.json", "pytorch_model.bin"):
        (tmp_path / name).write_text('{"hidden_size": 4}')
    with pytest.raises(PlanError, match=r"pytorch_model\.bin is a pickle, which is not read"):
        Embed(model=str(tmp_path)).check({})
    (tmp_path / "model.onnx").write_bytes(b"no network")
    with pytest.raises(PlanError, match="is no ONNX model that can be run"):
        Embed(model=str(tmp_path)).check({})


def test_a_sentence_model_that_is_too_large_is_refused(tmp_path: Path) -> None:
    for name in ("modules.json", "model.safetensors"):
        (tmp_path / name).touch()
    os.truncate(tmp_path / "model.safetensors", LARGEST + 1)  # a file of holes: it takes no room
    with pytest.raises(PlanError, match="sentence models of over 64 GiB are not read"):
        check(tuple(str(path) for path in tmp_path.iterdir()))


def test_topics_are_found_by_vectors_that_are_trained() -> None:
    given, kinds = texts()
    table = pa.table({"id": [f"d{n}" for n in range(60)], "text": given})
    table = TrainEmbed(dim=16, min_count=1, epoch=20)(table)
    for method in ("minibatch", "full"):
        found = Cluster(vector="train_embed_vector", count=3, method=method)(table)["cluster"].to_pylist()
        pairs = {*zip(kinds, found, strict=True)}
        assert len(pairs) == 3 and len({*found}) == 3


def test_one_seed_gives_one_model_whatever_the_order() -> None:
    given, _ = texts()
    train = TrainEmbed(dim=4, min_count=1)
    models = [
        fitted(train, [arrays(train, pa.table({"text": given[::step]}))])["sha256"][0].as_py() for step in (1, -1)
    ]
    assert models[0] == models[1]


def test_semdedup_drops_what_is_near_to_one_before_it() -> None:
    angles = np.radians([0, 5, 10, 80, 81, 200])
    table = pa.table(
        {
            "id": list("abcdef"),
            "v": column(np.stack([np.cos(angles), np.sin(angles)], axis=1)),
            "cluster": pa.array([0, 0, 0, 0, 1, 1], pa.int32()),
            "size": [3.0, 2.0, 1.0, 1.0, 1.0, 1.0],
        }
    )
    found = DedupSemantic(vector="v", keep={"highest": "size"}, threshold=0.99)(table)
    assert found["dedup_semantic_duplicate_of"].to_pylist() == [None, "a", "b", None, None, None]
    assert found["dedup_semantic_twin"].to_pylist() == [None, 0, 1, None, None, None]
    assert found["dedup_semantic_similarity"].to_pylist()[1] == pytest.approx(np.cos(np.radians(5)), abs=1e-6)
    lowest = DedupSemantic(vector="v", keep={"lowest": "size"}, threshold=0.99)(table)
    assert lowest["dedup_semantic_duplicate_of"].to_pylist()[:3] == ["b", "c", None]


def test_hard_keeps_what_is_far_from_the_centroid() -> None:
    table = pa.table(
        {
            "id": ["far", "near"],
            "v": column([[1.0, 0.0], [1.0, 0.0]], pa.float16()),
            "cluster": pa.array([4, 4], pa.int32()),
            "cluster_similarity": [0.2, 0.9],
        }
    )
    for keep, reasons in (("hard", [None, "dedup_semantic"]), ("easy", ["dedup_semantic", None])):
        assert DedupSemantic(vector="v", keep=keep)(table)["dropped_by"].to_pylist() == reasons  # type: ignore[arg-type]


def test_balanced_takes_as_many_of_each_cluster() -> None:
    clusters = [0] * 50 + [1] * 5 + [2] * 45 + [None]
    table = pa.table({"id": [f"d{n}" for n in range(101)], "cluster": pa.array(clusters, pa.int32())})
    kept = table.filter(SelectDiverse(count=25)(table)["dropped_by"].is_null())["cluster"].to_pylist()
    assert [kept.count(c) for c in (0, 1, 2, None)] == [10, 5, 10, 0]


def test_prototypes_keeps_the_least_typical() -> None:
    near = np.linspace(0, 1, 11)
    table = pa.table({"id": [f"d{n}" for n in range(11)], "cluster": [0, 1] * 5 + [0], "cluster_similarity": near})
    dropped = SelectDiverse(share=0.4, method="prototypes")(table)["dropped_by"].is_valid().to_pylist()
    assert dropped == [False] * 4 + [True] * 7


@pytest.mark.parametrize(
    ("operator", "kind", "said"),
    [
        (Cluster(vector="v"), pa.float64(), "cluster needs vectors (lists of a fixed size), but v is double"),
        (Cluster(vector="v"), pa.list_(pa.float32()), "but v is list"),
        (DedupSemantic(vector="v", keep="random"), pa.string(), "dedup_semantic needs vectors"),
    ],
    ids=["number", "list", "string"],
)
def test_what_is_no_vector_is_refused(operator: Any, kind: pa.DataType, said: str) -> None:
    with pytest.raises(PlanError) as error:
        operator.check({"v": kind, "cluster": pa.int32(), "id": pa.string()})
    assert said in str(error.value)


RECIPE = """
name: meanings
sources: {{web: {{path: "web-*.jsonl"}}}}
steps:
  - train_embed: {{dim: 16, min_count: 1, epoch: 20}}
  - cluster: {{vector: train_embed_vector, count: 3, method: full, iterations: 3}}
  - dedup_semantic: {{vector: train_embed_vector, threshold: 0.999}}
  - select_diverse: {{count: 30}}
output: {{path: {path}}}
"""


def test_in_a_recipe_whatever_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given, kinds = texts()
    rows = [{"id": f"d{n}", "text": text, "url": kind} for n, (text, kind) in enumerate(zip(given, kinds, strict=True))]
    rows += [{**row, "id": row["id"] + "-copy"} for row in rows[:10]]
    kept = []
    for shards, workers in ((1, 1), (3, 2)):
        for old in Path().glob("web-*.jsonl"):
            old.unlink()
        for at in range(shards):
            part = rows[at * len(rows) // shards : (at + 1) * len(rows) // shards]
            Path(f"web-{at}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
        result = engine.run(Recipe.parse(RECIPE.format(path=f"out-{shards}")), Config(workers=workers))
        frame = result.polars("annotations").sort("id")
        assert frame["dedup_semantic_is_duplicate"].sum() >= 10
        assert result.polars()["train_embed_vector"].to_numpy().shape == (30, 16)
        kept.append(frame.select("id", "cluster", "cluster_similarity", "dropped_by"))
    assert kept[0].equals(kept[1])
