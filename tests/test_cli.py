"""The command line: help, exit codes, and what each command prints."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from curate.cli import main

SHARDS = Path(__file__).resolve().parent / "data/shards"
CORPUS = Path(__file__).resolve().parent / "data/corpus"
RECIPE = """\
name: probe
variables: {words: 20}
sources:
  all:
    path: SHARDS
    columns: {url: url, language: language}
steps:
  - gopher
  - keep:
      rules:
        words: {column: gopher_word_count, min: "${words}"}
        tongue: "language <> 'zxx'"
  - dedup_exact
  - dedup_minhash
output: {path: out}
""".replace("SHARDS", str(SHARDS))


def curate(*arguments: str) -> Result:
    """`curate ...` in this process; anything but an exit is a bug."""
    result = CliRunner().invoke(main, list(arguments), prog_name="curate")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a recipe and its finished run, which is also the current one."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    with chdir(folder):
        assert curate("run", "recipe.yaml", "--workers", "1", "--quiet").exit_code == 0
        yield folder


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """An empty current folder."""
    with chdir(tmp_path):
        yield tmp_path


# ---------------------------------------------------------------- help and exit codes


@pytest.mark.parametrize("name", [*sorted(main.commands), "assets list", "assets get", "assets verify"])
def test_help_has_a_sentence_and_an_example_that_parses(name: str) -> None:
    text = curate(*name.split(), "--help").stdout
    assert re.search(r"^  [A-Z][^\n]*(\n  [^\n]+)*\.$", text, re.MULTILINE)
    example = re.search(r"Example:\n\s+curate (.+)\n", text)
    assert example, text
    command, *arguments = shlex.split(example[1].split(" > ")[0])
    assert name.startswith(command)
    main.commands[command].make_context(name, arguments)


def test_the_first_page_names_every_command_and_exit_code() -> None:
    text = curate("--help").stdout
    assert {"run", "plan", "ops", "schema", "init", "show", "assets"} <= set(main.commands)
    for name in main.commands:
        assert re.search(rf"^  {name} ", text, re.MULTILINE)
    for code in ("0 done", "1 the data", "2 the", "130 stopped"):
        assert code in re.sub(r"\s+", " ", text)


def test_version() -> None:
    import curate as package

    assert curate("--version").stdout == f"curate, version {package.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"), [("RecipeError", 2), ("PlanError", 2), ("DataError", 1), ("OperatorError", 1)]
)
def test_exit_codes_of_errors(error: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate import engine, errors

    def fail(*_: Any) -> None:
        raise getattr(errors, error)("what is wrong, where, what to do")

    monkeypatch.setattr(engine, "run", fail)
    result = curate("run", "recipe.yaml")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == "error: what is wrong, where, what to do\n"


def test_ctrl_c_is_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate import engine

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run", stop)
    result = curate("run", "recipe.yaml")
    assert result.exit_code == 130
    assert result.stderr == "stopped; the same command continues where this one left off\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["run"],
        ["run", "recipe.yaml", "--wrokers", "2"],
        ["run", "recipe.yaml", "--workers", "-1"],
        ["run", "recipe.yaml", "--executor", "spark"],
        ["run", "no-such-recipe"],
        ["plan", "recipe.yaml", "--set", "wrds=3"],
        ["show", "out"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_2(arguments: list[str], folder: Path) -> None:
    result = curate(*arguments)
    assert result.exit_code == 2
    assert result.stderr


# ---------------------------------------------------------------- run and plan


def test_run_prints_the_funnel_and_where_things_are(folder: Path) -> None:
    result = curate("run", "recipe.yaml", "--workers", "1", "--output", "again", "--set", "words=30")
    assert result.exit_code == 0
    assert re.search(r"^read +379 ", result.stdout, re.MULTILINE)
    assert re.search(r"^words +-\d+ ", result.stdout, re.MULTILINE)
    assert re.search(r"^kept +\d+ ", result.stdout, re.MULTILINE)
    assert re.search(r"^web +en ", result.stdout, re.MULTILINE)
    for part in ("again/data", "again/annotations", "again/report.html", "again/README.md"):
        assert part in result.stdout
        assert Path(part).exists()
    assert "pass 1 of 3: 379 documents" in result.stderr


def test_a_second_run_says_that_there_is_nothing_to_do(folder: Path) -> None:
    result = curate("run", "recipe.yaml", "--workers", "1")
    assert result.exit_code == 0
    assert "nothing to do" in result.stderr
    assert re.search(r"^kept ", result.stdout, re.MULTILINE)


def test_quiet_prints_nothing(folder: Path) -> None:
    result = curate("run", "recipe.yaml", "--workers", "1", "--output", "quiet", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["2024", "a: b", "out #1", "no"])
def test_the_output_folder_may_have_any_name(name: str, folder: Path) -> None:
    assert curate("run", "recipe.yaml", "--workers", "1", "--output", f"named/{name}", "--quiet").exit_code == 0
    assert Path("named", name, "manifest.json").exists()
    assert curate("run", "recipe.yaml", "--workers", "1", "--output", name, "--quiet").exit_code == 0
    assert Path(name, "manifest.json").exists()


def test_plan_names_passes_and_columns(empty: Path) -> None:
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
    text = curate("plan", "recipe.yaml").stdout
    assert re.search(r"pass 1.*\n.*gopher .*text -> gopher_word_count", text)
    assert "reason words" in text
    assert "corpus-wide: dedup_exact" in text
    assert "reused" not in text


def test_plan_says_what_is_reused(folder: Path) -> None:
    text = curate("plan", "recipe.yaml").stdout
    assert text.count("6 of 6 shards reused") == 3
    text = curate("plan", "recipe.yaml", "--set", "words=30").stdout
    assert "6 of 6 shards reused" not in text


@pytest.mark.parametrize("options", [[], ["--mermaid"]])
def test_plan_touches_no_data(options: list[str], empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.execute import walk

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("plan has read a shard")

    monkeypatch.setattr(walk, "read", fail)
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
    assert curate("plan", "recipe.yaml", *options).exit_code == 0
    assert [path.name for path in empty.iterdir()] == ["recipe.yaml"]


def test_plan_as_mermaid(folder: Path) -> None:
    text = curate("plan", "recipe.yaml", "--mermaid").stdout
    assert re.match(r"(graph|flowchart) (TD|LR)\n", text)
    for name in ("all", "gopher", "keep", "dedup_exact", "dedup_minhash"):
        assert name in text
    assert text.count("-->") >= 5


def test_mermaid_needs_no_files(empty: Path) -> None:
    Path("recipe.yaml").write_text(RECIPE.replace(str(SHARDS), "not/there"), encoding="utf-8")
    assert curate("plan", "recipe.yaml", "--mermaid").exit_code == 0


# ---------------------------------------------------------------- ops and schema


def test_ops_lists_every_operator_with_its_sentence() -> None:
    from curate import registry

    lines = curate("ops").stdout.splitlines()
    for name, operator in registry.builtin().items():
        (line,) = [line for line in lines if line.split()[0] == name]
        assert operator.kind in line
        assert line.rstrip().endswith(".")


@pytest.mark.parametrize("name", ["gopher", "dedup_minhash", "keep", "language"])
def test_ops_shows_an_operator_page(name: str) -> None:
    from curate import registry

    text = curate("ops", name).stdout
    operator = registry.builtin()[name]
    assert text.startswith(f"{name} ({operator.kind}")
    for parameter in operator.__struct_fields__:
        assert parameter in text


def test_ops_of_an_unknown_operator_gives_the_nearest() -> None:
    result = curate("ops", "gofer")
    assert result.exit_code == 2
    assert "did you mean 'gopher'?" in result.stderr


def test_schema_is_valid_and_accepts_the_shipped_recipes() -> None:
    import yaml

    from curate.document import Loader
    from curate.recipe_file import shipped

    schema = json.loads(curate("schema").stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in shipped().values():
        errors = [error.message for error in validator.iter_errors(yaml.load(path.read_text(encoding="utf-8"), Loader))]
        assert not errors, path


@pytest.mark.parametrize(
    "change",
    [
        ("name:", "nmae:"),
        ("  - gopher\n", "  - gofer\n"),
        ("min:", "mim:"),
        ("  - dedup_minhash\n", "  - dedup_minhash: {threshold: 2}\n"),
        ("  - dedup_minhash\n", "  - dedup_minhash: {treshold: 0.5}\n"),
    ],
    ids=lambda change: change[1].strip(),
)
def test_schema_refuses_what_is_wrong(change: tuple[str, str]) -> None:
    import yaml

    validator = Draft202012Validator(json.loads(curate("schema").stdout))
    assert validator.is_valid(yaml.safe_load(RECIPE.replace('"${words}"', "20")))
    assert change[0] in RECIPE
    assert not validator.is_valid(yaml.safe_load(RECIPE.replace('"${words}"', "20").replace(*change)))


def test_schema_of_configs() -> None:
    import yaml

    validator = Draft202012Validator(json.loads(curate("schema", "--config").stdout))
    for path in (Path(__file__).resolve().parents[1] / "configs").glob("*.yaml"):
        assert validator.is_valid(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert not validator.is_valid({"wrokers": 2})


# ---------------------------------------------------------------- init


def lines(path: Path, name: str = "text", **more: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    words = "the quick words of a document that is long enough to stay " * 8
    path.write_text("".join(json.dumps({name: f"{words}{n}", **more}) + "\n" for n in range(5)), encoding="utf-8")


def documents(path: Path) -> None:
    path.mkdir(parents=True)
    for source in sorted((CORPUS / "en").glob("*.txt"))[:4]:
        shutil.copy(source, path / source.name)


INPUTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "a glob of shards": (str(SHARDS / "*.jsonl.gz"), lambda: None),
    "Parquet": (str(SHARDS / "code-000.parquet"), lambda: None),
    "a folder of shards": (str(SHARDS), lambda: None),
    "a folder of texts": ("notes", lambda: documents(Path("notes"))),
    "a folder that is a number": ("2024", lambda: lines(Path("2024/a.jsonl"))),
    "a name that YAML takes for a boolean": ("no", lambda: lines(Path("no/a.jsonl"))),
    "a glob that begins with a star": ("*.jsonl", lambda: lines(Path("a.jsonl"))),
    "a path with signs of YAML": ("a: b #1", lambda: lines(Path("a: b #1/a.jsonl"))),
    "text under another name": ("d", lambda: lines(Path("d/a.jsonl"), name="content")),
    "fields with signs of YAML": (
        "d",
        lambda: lines(Path("d/a.jsonl"), **{"a: b": "x", "# c": "y", "uri": "http://x"}),
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_init_writes_a_recipe_that_plans_and_runs(name: str, empty: Path) -> None:
    path, prepare = INPUTS[name]
    prepare()
    result = curate("init", path)
    assert result.exit_code == 0, result.stderr
    saved = curate("init", path, "--save", "mine.yaml")
    assert saved.exit_code == 0
    assert Path("mine.yaml").read_text(encoding="utf-8") == result.stdout
    assert "curate plan mine.yaml" in saved.stdout
    planned = curate("plan", "mine.yaml")
    assert planned.exit_code == 0, planned.stderr
    done = curate("run", "mine.yaml", "--workers", "1", "--output", "result", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert json.loads(Path("result/manifest.json").read_text())["records"] > 0


def test_init_does_not_write_over_a_file(empty: Path) -> None:
    Path("mine.yaml").write_text("precious")
    result = curate("init", str(SHARDS), "--save", "mine.yaml")
    assert result.exit_code == 2
    assert Path("mine.yaml").read_text() == "precious"


@pytest.mark.parametrize(
    ("content", "message"),
    [({"title": "x", "price": 3}, "title"), (None, "nothing")],
    ids=["no field of text", "nothing there"],
)
def test_init_says_what_it_cannot_use(content: dict[str, Any] | None, message: str, empty: Path) -> None:
    if content:
        Path("a.jsonl").write_text(json.dumps(content) + "\n")
    result = curate("init", "a.jsonl")
    assert result.exit_code in (1, 2)
    assert message in result.stderr


# ---------------------------------------------------------------- show


@pytest.fixture(scope="module")
def by_fate(folder: Path) -> dict[str | None, str]:
    """For each fate the id of one document."""
    from curate.result import open_run

    rows = open_run("out").arrow("annotations").select(["id", "dropped_by"]).to_pylist()
    return {row["dropped_by"]: row["id"] for row in rows}


def test_show_a_kept_document(by_fate: dict[str | None, str]) -> None:
    result = curate("show", "out", "--id", by_fate[None])
    first, fate, *rest = result.stdout.splitlines()
    assert first.startswith(by_fate[None] or "")
    assert fate == "kept"
    assert any(
        re.match(r"  passes words: gopher_word_count = \d+ \(gopher_word_count >= 20, \d+ inside\)", line)
        for line in rest
    )
    assert "dedup_minhash: no copy found" in rest


def test_show_a_document_dropped_by_a_rule(by_fate: dict[str | None, str]) -> None:
    text = curate("show", "out", "--id", by_fate["words"]).stdout
    assert "\ndropped by words\n" in text
    assert re.search(r"  FAILS  words: gopher_word_count = \d+ \(gopher_word_count >= 20, \d+ outside\)", text)
    assert re.search(r"  (passes|FAILS ) tongue: language = '\w+' \(language <> 'zxx'\)", text)
    assert "later steps did not see it" in text


def test_show_a_duplicate(by_fate: dict[str | None, str]) -> None:
    text = curate("show", "out", "--id", by_fate["dedup_exact"]).stdout
    twin = re.search(r"dedup_exact: a copy of (\S+) \(similarity 1\), the one that stays", text)
    assert twin
    assert "dedup_exact: the one that stays of " in curate("show", "out", "--id", twin[1]).stdout


def test_show_an_unknown_id_gives_the_nearest(by_fate: dict[str | None, str]) -> None:
    known = by_fate["words"]
    result = curate("show", "out", "--id", known[:-1] + "x")
    assert result.exit_code == 1
    assert "did you mean" in result.stderr
    assert known[:-3] in result.stderr


def test_show_of_a_folder_without_a_run(empty: Path) -> None:
    result = curate("show", "nowhere", "--id", "x")
    assert result.exit_code == 1
    assert "no finished run in nowhere" in result.stderr
