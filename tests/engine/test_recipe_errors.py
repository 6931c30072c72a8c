"""Everything that can be wrong with a recipe stops before text is read, and says where and what to do.

Each case is one bad recipe; snapshots/recipe_errors.txt holds the whole messages, to be read like a page.
UPDATE_SNAPSHOTS=1 writes them anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

SNAPSHOT = Path(__file__).parent / "snapshots/recipe_errors.txt"
UPDATE = os.environ.get("UPDATE_SNAPSHOTS") == "1"

HEAD = """\
name: bad
sources:
  docs: {path: docs.jsonl, columns: {score: score, language: language}}
steps:
"""
GOPHER = HEAD + "  - gopher\n"
BROKEN_OPERATORS = {
    "needs_model.py": """
from curate.operator import Signal
import pyarrow as pa

class Needy(Signal, frozen=True):
    model: str
    def files(self): return (self.model,)
    def writes(self): return {"needy": pa.int32()}
    def compute(self, text: pa.StringArray): return {"needy": pa.nulls(len(text), pa.int32())}
""",
    "import_error.py": "import no_such_package_anywhere\n",
    "syntax_error.py": "class Broken(:\n    pass\n",
    "empty.py": "VALUE = 1\n",
    "clash.py": """
from curate.operator import Signal

class Gopher(Signal, frozen=True):
    pass
""",
}


class Case(NamedTuple):
    """A recipe, what else lies beside it, and the command that must refuse it."""

    recipe: str
    files: dict[str, str] = {}
    command: tuple[str, ...] = ("plan", "recipe.yaml")
    exit_code: int = 2


CASES = {
    # ------------------------------------------------------------ names
    "unknown operator": Case(HEAD + "  - gofer\n"),
    "unknown operator, nothing near": Case(HEAD + "  - xylophone: {a: 1}\n"),
    "unknown key of the recipe": Case(GOPHER.replace("name: bad", "nmae: bad")),
    "unknown key of a source": Case(GOPHER.replace("path:", "pth:")),
    "unknown key of a step": Case(HEAD + "  - dedup_minhash:\n      ngram: 5\n      treshold: 0.8\n"),
    "unknown key of a rule": Case(
        GOPHER + "  - keep:\n      rules:\n        words: {column: gopher_word_count, mim: 5}\n"
    ),
    "unknown key of the output": Case(GOPHER + "output:\n  path: out\n  filesize: 1MB\n"),
    "unknown key of an include": Case(HEAD + "  - include: {recipe: rules/gopher, wiht: {}}\n"),
    "unknown column in a rule": Case(
        GOPHER + "  - keep:\n      rules:\n        words: {column: gopher_word_cuont, min: 5}\n"
    ),
    "unknown column in an SQL rule": Case(GOPHER + "  - keep:\n      rules:\n        tongue: \"langauge = 'en'\"\n"),
    "unknown column in where": Case(GOPHER + "  - normalize:\n      where: gopher_wordcount > 3\n"),
    "unknown column in columns": Case(HEAD + "  - gopher:\n      columns: {text: scoer}\n"),
    "columns of what is not read": Case(HEAD + "  - gopher:\n      columns: {txet: language}\n"),
    "unknown column in sample.by": Case(HEAD + "  - sample: {share: 0.5, by: lang}\n"),
    "column written only later": Case(
        HEAD + "  - keep:\n      rules:\n        words: {column: gopher_word_count, min: 5}\n  - gopher\n"
    ),
    "where on a column written later": Case(HEAD + "  - normalize: {where: gopher_word_count > 3}\n  - gopher\n"),
    "unknown source in from": Case(HEAD + "  - gopher: {from: dcos}\n"),
    # ------------------------------------------------------------ types and ranges
    "wrong type of a parameter": Case(HEAD + "  - dedup_minhash:\n      ngram: five\n"),
    "parameter out of range": Case(HEAD + "  - dedup_minhash:\n      seed: 2\n      threshold: 1.5\n"),
    "bad choice": Case(HEAD + "  - normalize: {form: NCF}\n"),
    "bad choice of the recipe": Case(GOPHER + "annotate: al\n"),
    "missing parameter": Case(HEAD + "  - sample: {seed: 3}\n"),
    "parameters that do not fit together": Case(HEAD + "  - dedup_minhash: {bands: 20, rows: 10}\n"),
    "parameters not by name": Case(HEAD + "  - gopher: 5\n"),
    "parameters as a list": Case(HEAD + "  - gopher: []\n"),
    "step of two operators": Case(HEAD + "  - gopher:\n    normalize:\n"),
    "step that is a number": Case(HEAD + "  - 7\n"),
    "step whose name is a number": Case(HEAD + "  - 7: {}\n"),
    "steps that are a mapping": Case(HEAD.rstrip("\n") + " {gopher: {}}\n"),
    "min above max": Case(
        GOPHER + "  - keep:\n      rules:\n        words: {column: gopher_word_count, min: 50, max: 5}\n"
    ),
    "rule with bounds and SQL": Case(GOPHER + "  - keep:\n      rules:\n        words: {sql: score > 1, min: 50}\n"),
    "rule without anything": Case(GOPHER + "  - keep:\n      rules:\n        words: {column: gopher_word_count}\n"),
    "rule with a bound that is text": Case(GOPHER + "  - keep:\n      rules:\n        score: {min: many}\n"),
    "keep without rules": Case(GOPHER + "  - keep: {rules: {}}\n"),
    "bounds on text": Case(GOPHER + "  - keep:\n      rules:\n        tongue: {column: language, min: 5}\n"),
    "operator on a column of another type": Case(HEAD + "  - gopher: {columns: {text: score}}\n"),
    "sample by a number": Case(HEAD + "  - sample: {share: 0.5, by: score}\n"),
    # ------------------------------------------------------------ SQL
    "bad SQL in a rule": Case(GOPHER + '  - keep:\n      rules:\n        words: "gopher_word_count >"\n'),
    "bad SQL in where": Case(GOPHER + '  - normalize: {where: "language in (en"}\n'),
    "SQL that is not yes or no": Case(GOPHER + '  - keep:\n      rules:\n        words: "gopher_word_count + 1"\n'),
    "where that is not yes or no": Case(GOPHER + '  - normalize: {where: "score * 2"}\n'),
    "SQL that does not fit its columns": Case(GOPHER + '  - keep:\n      rules:\n        words: "language > 5"\n'),
    "SQL that looks at other documents": Case(
        GOPHER + '  - keep:\n      rules:\n        words: "gopher_word_count > AVG(gopher_word_count)"\n'
    ),
    "SQL over a window": Case(HEAD + '  - normalize: {where: "ROW_NUMBER() OVER (ORDER BY score) < 5"}\n'),
    "SQL that looks at nothing": Case(HEAD + '  - keep: {rules: {all: "TRUE"}}\n'),
    "SQL with a function that is not there": Case(
        GOPHER + '  - keep:\n      rules:\n        words: "frobnicate(language) = 1"\n'
    ),
    # ------------------------------------------------------------ the graph
    "cycle through from": Case(
        HEAD + "  - gopher: {as: a, from: b}\n  - gopher: {as: b, from: c}\n  - gopher: {as: c, from: a}\n"
    ),
    "step from itself": Case(HEAD + "  - gopher: {as: a, from: a}\n"),
    "from that can mean two steps": Case(
        HEAD + "  - sample: {share: 0.5, as: a}\n  - gopher: {as: a}\n  - normalize: {from: a}\n"
    ),
    "from that can mean a source or a step": Case(HEAD + "  - gopher: {as: docs}\n  - normalize: {from: docs}\n"),
    "two steps write one column": Case(GOPHER + "  - gopher\n"),
    "two steps of one name": Case(HEAD + "  - gopher: {as: a}\n  - gopher: {as: a}\n"),
    "step writes a column of the source": Case(
        HEAD.replace("score: score", "gopher_word_count: score") + "  - gopher\n"
    ),
    "source with a column of the annotations": Case(HEAD.replace("score: score", "row: score") + "  - gopher\n"),
    "two steps give one reason": Case(
        GOPHER + "  - keep: {rules: {score: {min: 1}}}\n  - keep: {rules: {score: {max: 5}}}\n"
    ),
    "rule called kept": Case(GOPHER + "  - keep: {rules: {kept: {column: gopher_word_count, min: 1}}}\n"),
    "sources with different types": Case(
        HEAD.replace("steps:", "  more: {path: more.jsonl, columns: {score: score}}\nsteps:") + "  - gopher\n",
        {"more.jsonl": '{"text": "one", "score": "high"}\n'},
    ),
    # ------------------------------------------------------------ files
    "missing model file": Case(
        HEAD.replace("name: bad", "name: bad\nuses: [needs_model.py]") + "  - needy: {model: models/lid.bin}\n"
    ),
    "no file at the source": Case(GOPHER.replace("docs.jsonl", "dosc.jsonl")),
    "glob without a match": Case(GOPHER.replace("docs.jsonl", "'*.parquet'")),
    "source that is not Parquet": Case(GOPHER.replace("docs.jsonl", "fake.parquet"), {"fake.parquet": "not at all"}),
    "source without text": Case(GOPHER.replace("docs.jsonl", "other.jsonl"), {"other.jsonl": '{"content": "one"}\n'}),
    "no permission": Case(GOPHER.replace("docs.jsonl", "secret.jsonl"), {"secret.jsonl": '{"text": "one"}\n'}),
    "no sources": Case("name: bad\nsteps:\n  - gopher\n"),
    "source without a path": Case("name: bad\nsources:\n  docs: {format: jsonl}\nsteps:\n  - gopher\n"),
    "source that is plain text": Case("name: bad\nsources:\n  docs: docs.jsonl\nsteps:\n  - gopher\n"),
    "uses a missing file": Case(GOPHER.replace("name: bad", "name: bad\nuses:\n  - nowhere.py")),
    "uses a file outside the recipe's folder": Case(
        GOPHER,
        {"deep/recipe.yaml": GOPHER.replace("name: bad", "name: bad\nuses: [../empty.py]")},
        ("plan", "deep/recipe.yaml"),
    ),
    "uses a file with an import error": Case(GOPHER.replace("name: bad", "name: bad\nuses:\n  - import_error.py")),
    "uses a file with a syntax error": Case(GOPHER.replace("name: bad", "name: bad\nuses:\n  - syntax_error.py")),
    "uses a file without operators": Case(GOPHER.replace("name: bad", "name: bad\nuses:\n  - empty.py")),
    "uses a file with an operator of a name that is taken": Case(
        GOPHER.replace("name: bad", "name: bad\nuses:\n  - clash.py")
    ),
    "no such recipe": Case(GOPHER, command=("plan", "quikstart")),
    # ------------------------------------------------------------ YAML
    "duplicate keys": Case(
        GOPHER + "  - keep:\n      rules:\n        a: {column: score, min: 1}\n        a: {column: score, min: 2}\n"
    ),
    "invalid YAML": Case("name: bad\nsteps:\n  - gopher: {a: [1, 2}\n"),
    "a control character": Case("name: bad\nsteps:\n  - gopher \x07\n"),
    "a list instead of a recipe": Case("- gopher\n"),
    "an alias inside what it stands for": Case("name: bad\ncard: &a\n  again: *a\n"),
    "an empty file": Case(""),
    "not UTF-8": Case("\udcff\udcfe"),
    # ------------------------------------------------------------ include and variables
    "include of a missing recipe": Case(HEAD + "  - include: rules/gofer\n"),
    "include that is a number": Case(HEAD + "  - include: {recipe: 5}\n"),
    "include with an unknown variable": Case(
        HEAD + "  - include:\n      recipe: inner.yaml\n      with: {minn: 5}\n",
        {"inner.yaml": "variables: {min: 3}\nsteps:\n  - keep: {rules: {score: {min: '${min}'}}}\n"},
    ),
    "include with a list of variables": Case(HEAD + "  - include: {recipe: rules/gopher, with: [a]}\n"),
    "include with an error inside": Case(
        HEAD + "  - include: inner.yaml\n", {"inner.yaml": "steps:\n  - gopher\n  - dedup_exact: {by: row}\n"}
    ),
    "include of itself": Case(HEAD + "  - include: recipe.yaml\n"),
    "include in a circle": Case(
        HEAD + "  - include: a.yaml\n",
        {"a.yaml": "steps:\n  - include: b.yaml\n", "b.yaml": "steps:\n  - include: a.yaml\n"},
    ),
    "variable without a value": Case(GOPHER.replace("docs.jsonl", "'${folder}/docs.jsonl'")),
    "variable without a value, one like it": Case(
        "variables: {folder: .}\n" + GOPHER.replace("docs.jsonl", "'${flder}/docs.jsonl'")
    ),
    "variable without quotes inside braces": Case(GOPHER.replace("docs.jsonl", "${folder}/docs.jsonl")),
    "variables that are a list": Case("variables: [a, b]\n" + GOPHER),
    "set an unknown variable": Case(
        "variables: {folder: .}\n" + GOPHER.replace("docs.jsonl", "'${folder}/docs.jsonl'"),
        command=("plan", "recipe.yaml", "--set", "foldr=x"),
    ),
    "set an unknown key": Case(
        HEAD + "  - gopher: {as: a}\n", command=("plan", "recipe.yaml", "--set", "steps.0.gofer.as=x")
    ),
    "set below plain text": Case(GOPHER, command=("plan", "recipe.yaml", "--set", "steps.0.gopher.as=x")),
    "set in a section that is not there": Case(GOPHER, command=("plan", "recipe.yaml", "--set", "outptu.path=x")),
    "set into nothing": Case(GOPHER, command=("plan", "recipe.yaml", "--set", "steps.4.gopher.as=x")),
    "set below a value": Case(GOPHER, command=("plan", "recipe.yaml", "--set", "name.first=x")),
    "set a wrong value": Case(
        HEAD + "  - dedup_minhash:\n      ngram: 5\n",
        command=("plan", "recipe.yaml", "--set", "steps.0.dedup_minhash.ngram=many"),
    ),
    "set to invalid YAML": Case(GOPHER, command=("plan", "recipe.yaml", "--set", "name=[1")),
    "set without a value": Case(GOPHER, command=("plan", "recipe.yaml", "--set", "name")),
    # ------------------------------------------------------------ output
    "output size that is none": Case(GOPHER + "output:\n  path: out\n  file_size: large\n"),
    "output of another recipe": Case(
        GOPHER,
        {"out/bad/.work/recipe": "good", "out/bad/manifest.json": "{}"},
        command=("run", "recipe.yaml", "--quiet"),
    ),
    "output folder with other files": Case(
        GOPHER, {"out/bad/thesis.doc": "precious"}, command=("run", "recipe.yaml", "--quiet")
    ),
    "output below a file": Case(GOPHER + "output: {path: docs.jsonl/out}\n", command=("run", "recipe.yaml", "--quiet")),
    "output that is a file": Case(GOPHER, {"out/bad": "precious"}, command=("run", "recipe.yaml", "--quiet")),
    # ------------------------------------------------------------ config
    "unknown key of the config": Case(
        GOPHER, {"c.yaml": "executor: local\nworker: 2\n"}, command=("run", "recipe.yaml", "--config", "c.yaml")
    ),
    "config out of range": Case(
        GOPHER,
        {"c.yaml": "executor: local\nquarantine_share: 3\n"},
        command=("run", "recipe.yaml", "--config", "c.yaml"),
    ),
    "bad choice in the config": Case(
        GOPHER, {"c.yaml": "executor: spark\n"}, command=("run", "recipe.yaml", "--config", "c.yaml")
    ),
    "batch size that is none": Case(
        GOPHER,
        {"c.yaml": "executor: local\nbatch_size: 8 apples\n"},
        command=("run", "recipe.yaml", "--config", "c.yaml"),
    ),
    "batch size of nothing": Case(
        GOPHER, {"c.yaml": "batch_size: 0MB\n"}, command=("run", "recipe.yaml", "--config", "c.yaml")
    ),
    "config that is a list": Case(
        GOPHER, {"c.yaml": "- local\n"}, command=("run", "recipe.yaml", "--config", "c.yaml")
    ),
    "no such config": Case(GOPHER, command=("run", "recipe.yaml", "--config", "locl")),
}
READS_DATA = (
    "no file at the source",
    "glob without a match",
    "source that is not Parquet",
    "source without text",
    "no permission",
)


@pytest.fixture(scope="module")
def snapshots() -> Iterator[dict[str, str]]:
    """The expected messages by case; written anew at the end when asked for."""
    found = dict(_sections(SNAPSHOT.read_text(encoding="utf-8"))) if SNAPSHOT.exists() else {}
    if UPDATE:
        found.clear()
    yield found
    if UPDATE:
        SNAPSHOT.write_text(
            "\n".join(f"=== {name}\n{found[name]}\n" for name in CASES if name in found), encoding="utf-8"
        )


def _sections(text: str) -> Iterator[tuple[str, str]]:
    for section in text.split("=== ")[1:]:
        name, _, message = section.partition("\n")
        yield name, message.strip("\n")


def refusal(case: Case, folder: Path) -> tuple[int, str]:
    """Exit code and message of the command, run in the folder."""
    from curate.cli import main

    documents = [{"id": f"d{n}", "text": "one two", "language": "en", "score": n} for n in range(3)]
    lines = "".join(json.dumps(document) + "\n" for document in documents)
    for name, text in {**BROKEN_OPERATORS, "docs.jsonl": lines, "recipe.yaml": case.recipe, **case.files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    if "secret.jsonl" in case.files:
        (folder / "secret.jsonl").chmod(0)
    result = CliRunner().invoke(main, list(case.command))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    message = result.stderr.strip().replace(str(folder), "FOLDER")
    return result.exit_code, re.sub(r"_[0-9a-f]{12}\b", "_HASH", message)


@pytest.mark.parametrize("name", CASES)
def test_message(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshots: dict[str, str]) -> None:
    if name == "no permission" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    monkeypatch.chdir(tmp_path)
    code, message = refusal(CASES[name], tmp_path)
    if UPDATE:
        snapshots[name] = message
    assert message == snapshots.get(name)
    assert message.startswith("error: ")
    assert code == (1 if name in READS_DATA else CASES[name].exit_code)
    work = [path for path in tmp_path.rglob(".work/*") if path.name != "recipe"]
    assert not work, "something was done before the recipe was refused"


def test_every_snapshot_belongs_to_a_case() -> None:
    assert set(dict(_sections(SNAPSHOT.read_text(encoding="utf-8")))) <= set(CASES)
