"""What a small release can be asked for: lines, licences of documents, one domain, chunks; and what its card says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import msgspec
import polars as pl
import pyarrow.parquet as pq
import pytest

import curate
from curate import Config, Result, ops, read
from curate.errors import DataError, PlanError, RecipeError
from curate.release.check import check
from curate.release.files import exploded

HOSTILE = "<script>alert(1)</script> ![x](javascript:alert(2)) | `"
SIGNALS = ["rps_doc_word_count", "rps_lines_start", "rps_lines_num_words"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Twelve documents of two sources, some with a licence of their own; three are test items."""
    texts = [f"the first line of {at}\nand the second one\nthird {at}" for at in range(12)]
    table = {"text": texts, "source": ["a", "b"] * 6, "license": ["CC BY 4.0", None, None, "mit"] * 3}
    corpus = read(table, name="made") | ops.Tokens() | ops.RedpajamaSignals(signals=SIGNALS)
    corpus = corpus | ops.Keep(rules={"short": {"column": "rps_doc_word_count", "min": 5}})
    card = {"summary": HOSTILE, "sources": {"b": {"license": {"name": "odd terms", "url": "https://b.example"}}}}
    corpus = msgspec.structs.replace(corpus, recipe=msgspec.structs.replace(corpus.recipe, card=card))
    return corpus.run(str(tmp_path_factory.mktemp("layout") / "run"), Config(workers=1))


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def test_lines_are_a_configuration_of_their_own(run: Result, tmp_path: Path) -> None:
    import datasets

    folder = curate.export(run, tmp_path / "dir", lines=["rps_lines_*"], shuffle=1, split={"validation": 0.3})
    lines = pl.read_parquet(folder / "lines/*/*.parquet").sort("id", "line")
    assert lines.columns == ["id", "line", *SIGNALS[1:]]
    expected = run.polars().sort("id").select("id", *SIGNALS[1:]).explode(SIGNALS[1:])
    assert lines.drop("line").equals(expected, null_equal=True)
    assert lines["line"].to_list() == [0, 1, 2] * 12
    assert not set(SIGNALS[1:]) & set(pl.read_parquet(folder / "data/*/*.parquet").columns)
    loaded = datasets.load_dataset(str(folder), "lines", split="validation", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 3 * told(folder)["splits"]["validation"]["rows"]
    assert check(folder).problems == []
    next(folder.glob("lines/train/*.parquet")).unlink()
    assert "lines/train" in " ".join(check(folder).problems)


@pytest.mark.parametrize(
    ("glob", "message"),
    [("rps_line_*", "no column 'rps_line_"), ("rps_doc_*", "not a list with a value for each line")],
)
def test_only_lists_have_lines(run: Result, tmp_path: Path, glob: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        curate.export(run, tmp_path / "dir", lines=[glob])


def test_lists_of_different_lengths_are_no_lines() -> None:
    import pyarrow as pa

    with pytest.raises(DataError, match="a and b have different numbers of lines"):
        exploded(pa.table({"id": ["x"], "a": [[1, 2]], "b": [[1]]}))


def test_a_document_has_its_own_licence_or_that_of_its_source(run: Result, tmp_path: Path) -> None:
    folder = curate.export(run, tmp_path / "dir")
    rows = pl.read_parquet(folder / "data/*/*.parquet")
    found = dict(rows.group_by("source", "license").len().select(pl.concat_str("source", "license"), "len").iter_rows())
    assert found == {"aCC_BY_4.0": 3, "aunknown": 3, "bodd_terms": 3, "bmit": 3}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "⚠ 3 of 12 documents (25.0%) have no stated licence" in card
    assert "odd terms (https://b.example)" in card


@pytest.mark.parametrize(("wanted", "count"), [("CC BY 4.0", 3), ("MIT,odd terms", 6)])
def test_licences_are_required_by_name(run: Result, tmp_path: Path, wanted: str, count: int) -> None:
    folder = curate.export(run, tmp_path / "dir", require_license=wanted.split(","), dropped=True)
    assert told(folder)["total"]["rows"] == count
    assert sum(line["released"] for line in told(folder)["inputs"]) == count
    dropped = pl.read_parquet(folder / "dropped/*.parquet")
    assert dropped["dropped_by"].to_list() == ["require_license"] * (12 - count)
    assert check(folder).problems == []


def test_all_may_be_one_domain(run: Result, tmp_path: Path) -> None:
    folder = curate.export(run, tmp_path / "dir", domain=["all"])
    assert [file["path"] for file in told(folder)["files"]] == ["data/train/all-00000-of-00001.parquet"]
    assert not (folder / "exports/mixtera_parser.py").exists()
    assert check(folder).problems == []


def test_row_groups_are_bounded_in_bytes_and_chunks_follow_content(run: Result, tmp_path: Path) -> None:
    small = curate.export(run, tmp_path / "small", domain=["all"], row_group_size="1kB")
    chunked = curate.export(run, tmp_path / "chunked", domain=["all"], chunking=True)
    path = "data/train/all-00000-of-00001.parquet"
    assert pq.read_metadata(small / path).num_row_groups > pq.read_metadata(chunked / path).num_row_groups == 1
    assert pq.read_table(small / path).equals(pq.read_table(chunked / path))


def test_the_author_may_say_more_after_the_run(run: Result, tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text("card:\n  license: cc0-1.0\n  summary: Said later.\n", encoding="utf-8")
    folder = curate.export(run, tmp_path / "dir", tmp_path / "card.yaml")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "license: cc0-1.0" in card
    assert "Said later." in card
    assert HOSTILE not in card
    assert "Said later." in (folder / "recipe.yaml").read_text(encoding="utf-8")
    with pytest.raises(RecipeError, match="write what stands under"):
        (tmp_path / "card.yaml").write_text("a list? - no", encoding="utf-8")
        curate.export(run, folder, tmp_path / "card.yaml")


def test_the_page_has_plots_and_lets_no_html_pass(run: Result, tmp_path: Path) -> None:
    folder = curate.export(run, tmp_path / "dir", bucket={"tokens": (10,)})
    page = (folder / "card.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert 'src="javascript' not in page and 'href="javascript' not in page
    assert page.count('class="bars"') >= 2
    assert "http" not in page.split("</style>")[0]
    sections = {part["title"] for part in json.loads((folder / "card.json").read_text(encoding="utf-8"))["sections"]}
    asked = {"May I use it?", "How to load it", "Where it is from", "What was thrown away, and why"}
    assert asked | {"How to make it again", "Missing"} <= sections
    (folder / "card.html").write_text(page.replace(">12<", ">13<", 1), encoding="utf-8")
    assert any(problem.startswith("card.html") for problem in check(folder).problems)


def test_distributions_are_drawn_where_values_differ(run: Result, tmp_path: Path) -> None:
    table = {"text": ["word " * at for at in range(1, 60)]}
    made = (read(table, name="made") | ops.Tokens()).run(str(tmp_path / "run"), Config(workers=1))
    folder = curate.export(made, tmp_path / "dir")
    found = told(folder)["statistics"]["tokens"]["histogram"]
    assert sum(found["counts"]) + found["above"] == 59
    assert "<figcaption>tokens</figcaption>" in (folder / "card.html").read_text(encoding="utf-8")


def test_the_card_tells_of_test_sets_by_what_an_operator_is(tmp_path: Path) -> None:
    quiz = read({"text": ["one two three four five six seven eight nine ten"]}, name="quiz")
    docs = read({"text": ["zero one two three four five six seven eight nine ten", "other words here"]}, name="docs")
    quiz = msgspec.structs.replace(
        quiz,
        recipe=msgspec.structs.replace(
            quiz.recipe, sources={n: msgspec.structs.replace(s, reference=True) for n, s in quiz.recipe.sources.items()}
        ),
    )
    step = ops.Decontaminate(against=("quiz",), ngram=8, min_words=8, action="drop")
    made = ((docs + quiz) | step).run(str(tmp_path / "run"), Config(workers=1))
    card = (curate.export(made, tmp_path / "dir") / "README.md").read_text(encoding="utf-8")
    section = card.split("## Decontamination")[1].split("##")[0]
    assert "| quiz | 1 |" in section
    assert "Not done" not in section
    assert "Personal data was not looked for." in card
