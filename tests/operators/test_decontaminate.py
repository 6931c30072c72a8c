"""What decontaminate says of documents, drops and cuts: presets, short items, both directions, real test sets."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from curate import Config, Recipe, engine, read
from curate.operators.decontaminate import PRESETS, Decontaminate
from curate.result import Result

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
ITEM = "A baker sells nine loaves before noon and twice as many after it. How many loaves does she sell in a day?"
SHORT = "Which river runs through the town of Ulm?"
PROSE = "Nothing of this is in any test, it is only here to be kept. " * 20


def found(text: str, **parameters: Any) -> dict[str, Any]:
    """What the operator makes of one text, fitted on ITEM and SHORT."""
    operator = Decontaminate(against=("quiz",), **parameters)
    items = operator.sketch(pa.array([ITEM, SHORT]), pa.array(["q1", "q2"]))
    model = operator.fit(items.append_column("source", pa.array(["quiz", "quiz"])))
    made = operator.apply(pa.array([text]), pa.array(["d"]), model)
    drops = operator.decide(made)
    return {name: array[0].as_py() for name, array in {**made, **drops}.items()}


def test_the_best_match_is_named_and_all_are_listed() -> None:
    row = found(f"{SHORT.upper()} {PROSE} {ITEM[:65]}", preset="tulu-3")
    assert (row["decontaminate_item"], row["decontaminate_source"], row["decontaminate_item_coverage"]) == (
        "q2",
        "quiz",
        1,
    )
    assert [(match["item"], match["coverage"]) for match in row["decontaminate_items"]] == [
        ("q2", 1.0),
        ("q1", 13 / 22),
    ]
    assert row["decontaminate_coverage"] == 21 / (8 + 280 + 13)


def test_spans_are_bytes_of_the_text() -> None:
    text = f"Größe: {ITEM} Straße."
    row = found(text)
    ((begin, end),) = zip(row["decontaminate_start"], row["decontaminate_end"], strict=True)
    assert text.encode()[begin:end].decode() == ITEM


def test_nothing_in_common_is_zero_and_null() -> None:
    row = found(PROSE, action="drop")
    assert [row[f"decontaminate_{name}"] for name in ("coverage", "item_coverage", "item", "source")] == [
        0,
        0,
        None,
        None,
    ]
    assert row["decontaminate_items"] == row["decontaminate_start"] == row["decontaminate_end"] == []
    assert not row["decontaminate"]


@pytest.mark.parametrize(
    ("preset", "text", "drops"),
    [
        ("gpt-3", PROSE + " ".join(ITEM.split()[:13]), True),
        ("gpt-3", PROSE + " ".join(ITEM.split()[:12]), False),
        ("gpt-3", PROSE + SHORT, True),  # eight words: compared as a whole
        ("dolma", PROSE + SHORT, False),  # fewer than thirteen: not compared
        ("dolma", PROSE + " ".join(ITEM.split()[:13]), True),
        ("tulu-3", PROSE + " ".join(ITEM.split()[:11]), False),  # half of the item
        ("tulu-3", PROSE + " ".join(ITEM.split()[:12]), True),
        ("tulu-3", PROSE + " ".join(SHORT.split()[:7]), False),
    ],
)
def test_presets(preset: Any, text: str, drops: bool) -> None:
    assert found(text, preset=preset, action="drop")["decontaminate"] is drops


def test_parameters_go_before_the_preset() -> None:
    operator = Decontaminate(against=("quiz",), preset="gpt-3", ngram=5, max_coverage=0.25)
    assert operator.settings == PRESETS["gpt-3"]._replace(ngram=5, max_coverage=0.25)


def test_cut_takes_a_margin_and_drops_small_pieces() -> None:
    row = found(f"{PROSE}{ITEM} {PROSE}short", action="cut")
    head, tail = row["text"].split("\n")
    assert row["decontaminate_pieces"] == 2
    assert PROSE.startswith(head) and len(PROSE) - 201 <= len(head) <= len(PROSE) - 199
    assert f"{PROSE}short".endswith(tail) and len(tail) > len(PROSE) - 201
    row = found(f"{PROSE}{ITEM} {PROSE[:390]}", action="cut")
    assert (row["decontaminate_pieces"], row["decontaminate"]) == (1, False)


def test_cut_leaves_clean_texts_byte_for_byte() -> None:
    text = f"\n {PROSE}\t\r\n"
    row = found(text, action="cut")
    assert (row["text"], row["decontaminate_pieces"], row["decontaminate"]) == (text, 1, False)


def test_cut_drops_what_is_in_too_many_pieces_or_gone() -> None:
    assert found(ITEM, action="cut")["decontaminate"]
    many = found(f"{PROSE}{ITEM} " * 11 + PROSE, action="cut")
    assert (many["decontaminate_pieces"], many["decontaminate"]) == (12, True)
    assert not found(f"{PROSE}{ITEM} " * 9 + PROSE, action="cut")["decontaminate"]


def test_policy_is_no_part_of_what_is_stored() -> None:
    """Another threshold or action reads no text again, unless the text is cut by it."""
    one, other = (Decontaminate(against=("q",), action="drop", max_coverage=share) for share in (0.1, 0.5))
    assert one.value_identity() == other.value_identity() == Decontaminate(against=("q",)).value_identity()
    assert one.identity() != other.identity()
    cut, less = (Decontaminate(against=("q",), action="cut", margin=margin) for margin in (0, 9))
    assert cut.value_identity() != less.value_identity() != one.value_identity()


# ---------------------------------------------------------------- whole runs


def planted(folder: Path, step: dict[str, Any]) -> Result:
    """A run over documents, some with an item in them, against two test sets."""
    documents = [f"{PROSE} {n}" for n in range(40)]
    documents[3] += ITEM
    documents[7] = f"{ITEM.lower()} {documents[7]}"
    documents[9] += f" {SHORT}"
    sets = {
        "corpus": documents,
        "quiz": [ITEM, "Too short."],
        "rivers": [SHORT, "A question that nobody has asked so far at all?"],
    }
    for name, texts in sets.items():
        lines = [json.dumps({"id": f"{name}-{n}", "text": text}) for n, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    sources = {name: {"path": str(folder / f"{name}.jsonl"), "reference": name != "corpus"} for name in sets}
    plain = {"name": "clean", "sources": sources, "steps": [{"decontaminate": {"against": ["quiz", "rivers"], **step}}]}
    return engine.run(Recipe.parse(json.dumps({**plain, "output": {"path": str(folder / "out")}})), Config(workers=1))


def test_both_directions_of_a_run(tmp_path: Path) -> None:
    result = planted(tmp_path, {"action": "drop"})
    gone = result.polars("annotations").filter(pl.col("dropped_by") == "decontaminate")
    assert gone["id"].to_list() == ["corpus-3", "corpus-7", "corpus-9"]
    assert gone["decontaminate_source"].to_list() == ["quiz", "quiz", "rivers"]
    assert result.manifest["kept"] == 37
    items = pl.read_parquet(tmp_path / "out/contamination.parquet").to_dicts()
    assert [(row["source"], row["item"], row["documents"], row["kept"], row["ids"]) for row in items] == [
        ("quiz", "quiz-0", 2, 0, ["corpus-3", "corpus-7"]),
        ("quiz", "quiz-1", 0, 0, []),
        ("rivers", "rivers-0", 1, 0, ["corpus-9"]),
        ("rivers", "rivers-1", 0, 0, []),
    ]
    assert [row["ngrams"] for row in items] == [10, 0, 1, 1]
    assert result.manifest["contamination"][0] == {
        "step": "decontaminate",
        "source": "quiz",
        "items": 2,
        "not_compared": 1,
        "found": 1,
        "mostly_found": 1,
    }
    assert "| quiz | 2 | 1 | 1 | 1 |" in (tmp_path / "out/README.md").read_text()
    assert "holds 100% of item rivers-0 of rivers" in result.show("corpus-9")
    assert 'id="tests"' in (tmp_path / "out/report.html").read_text()


def test_a_run_that_cuts_keeps_the_rest(tmp_path: Path) -> None:
    result = planted(tmp_path, {"action": "cut"})
    kept = dict(zip(*result.polars().select("id", "text").to_dict(as_series=False).values(), strict=True))
    assert len(kept) == 40
    assert not [text for text in kept.values() if "loaves" in text or "Ulm" in text]
    assert kept["corpus-0"] == f"{PROSE} 0"
    assert pl.read_parquet(tmp_path / "out/contamination.parquet")["kept"].to_list() == [2, 0, 1, 0]


@pytest.mark.skipif(not (SHARED / "raw/eval_gsm8k.tar.zst").exists(), reason="no shared data")
def test_planted_items_of_gsm8k_are_found_in_real_pages() -> None:
    import zstandard

    packed = zstandard.open(SHARED / "raw/eval_gsm8k.tar.zst", "rb").read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        lines = archive.extractfile("eval_gsm8k/grade_school_math/data/test.jsonl")
        questions = [json.loads(line)["question"] for line in lines or []]
    pages = [json.loads(line)["text"] for line in zstandard.open(SHARED / "mix_5mb.jsonl.zst", "rt")]
    at = {page: 7 * page % len(questions) for page in range(0, len(pages), 50)}
    for page, item in at.items():
        middle = len(pages[page]) // 2
        pages[page] = f"{pages[page][:middle]} {questions[item].upper()} {pages[page][middle:]}"
    for preset in PRESETS:
        operator = Decontaminate(against=("gsm8k",), preset=preset)  # type: ignore[arg-type]
        model = operator.fit(operator.sketch(pa.array(questions), pa.array([str(n) for n in range(len(questions))])))
        made = operator.apply(pa.array(pages), pa.array(pages), model)
        hit = {n: int(item) for n, item in enumerate(made["decontaminate_item"].to_pylist()) if item}
        assert {page: hit.get(page) for page in at} == at, preset
        assert len(hit) <= len(at) + (1 if preset == "tulu-3" else 0)


def test_in_a_notebook_a_reference_that_joins_is_there_to_be_fitted_on() -> None:
    quiz = read({"id": ["q1"], "text": [ITEM]}, name="quiz", reference=True)
    pages = read({"id": ["a", "b"], "text": [PROSE, f"{PROSE}{ITEM}"]}, name="pages")
    corpus = (pages + quiz) | Decontaminate(against=("quiz",), action="drop")
    assert corpus.sample(10)["dropped_by"].to_pylist() == [None, "decontaminate"]
    assert corpus.everything().on == ("pages",)
