"""Rules on annotated documents, decided anew without measuring anything again: `curate decide`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import polars as pl

from curate.deciding.annotated import Annotated, annotated
from curate.deciding.cells import count, facts, unreadable
from curate.deciding.output import NoText, finish, refuse_full, write
from curate.deciding.policy import Given, Policy, policy, policy_of_run, steps_of, why_not, with_rules
from curate.errors import PlanError
from curate.funnel import Funnel
from curate.io.source import Source
from curate.recipe import Recipe
from curate.result import Result, funnel_text


class Decision:
    """What rules make of annotated documents: `funnel`, `kept`, `records`, `manifest`, and counts to look deeper.

    cells   documents, bytes and words by source, language and the set of reasons that apply (bits of `fails_0`, ...)
    result  the output folder, if one was written
    """

    def __init__(self, rules: Policy, cells: pl.DataFrame, bad: Mapping[str, int]):
        self.rules, self.cells, self.result = rules, cells, None
        self.order = Funnel([*rules.reasons], facts(rules, cells, bad))
        self.order.check()

    result: Result | None

    @property
    def records(self) -> int:
        return self.order.rows + self.order.bad

    @property
    def kept(self) -> int:
        return self.order.total(None)["documents"]

    @property
    def funnel(self) -> str:
        return funnel_text(self.order.steps())

    def __repr__(self) -> str:
        return f"{self.kept:,} of {self.records:,} documents kept\n{self.funnel}"


def decide(
    run: str | Path | Result,
    rules: Given,
    output: str | Path | None = None,
    words: str | None = None,
    bytes: str | None = None,
) -> Decision:
    """Decide anew on annotated documents by other rules; nothing is measured again.

    run     an output folder, or Parquet with columns: a file, a folder, a glob (also RedPajama-V2's signals)
    rules   what `keep` takes, as a YAML file, the name of a rule set, a dict, or a `Keep`. Of a run they stand in the
            place of its own `keep` steps, and give what a full run of that recipe would
    output  a folder for the kept documents, all annotations and the manifest; None: only count
    words, bytes   columns with the size of each document (default: `text_words` and `text_bytes`, if they are there)

    Raises PlanError when a rule does not fit the columns, or when the columns of a run cannot answer: without
    `annotate: all`, steps after a rule saw only what it had kept. With an `output` the engine then goes on from what
    the run has stored.
    """
    data = annotated(run, words, bytes)
    steps = steps_of(rules)
    if data.result is None:
        sources = {"documents": Source(path=data.title)}
        name = Path(data.title).stem.strip("*") or "decided"
        recipe = Recipe(name=name, sources=sources, steps=tuple(steps), annotate="all")
        return _decided(data, policy(data, steps), recipe, output)
    old = Recipe.load(data.result.path / "recipe.yaml", allow_code=True)
    new = with_rules(old, steps)
    reason = why_not(data, old, new)
    if not reason:
        try:
            return _decided(data, policy_of_run(data, new), new, output)
        except NoText:
            reason = "documents are kept now that `data` does not have"
    if not data.result.manifest["shards"]:
        raise PlanError(f"{data.title}: {reason}: decide on {data.result.manifest['decided_from']}")
    if output is None:
        raise PlanError(f"{data.title}: the columns alone do not say what these rules give: {reason}; give an output")
    return _continued(data.result, new, Path(output))


def _decided(data: Annotated, rules: Policy, recipe: Recipe, output: str | Path | None) -> Decision:
    """By the columns alone."""
    if output is None:
        return Decision(rules, count(data, rules), unreadable(data))
    files, cells = write(data, rules, recipe.output, Path(output))
    decision = Decision(rules, cells, unreadable(data))
    decision.result = finish(data, decision, recipe, files, Path(output))
    return decision


def _continued(run: Result, recipe: Recipe, output: Path) -> Decision:
    """A full run of the changed recipe that begins with all that the old one has stored."""
    from curate.engine import run as run_recipe

    refuse_full(output)
    for name in ("values", "index", "bad", "members", "pieces", "corpus", "done"):
        if (run.path / ".work" / name).is_dir():
            shutil.copytree(run.path / ".work" / name, output / ".work" / name, copy_function=_linked)
    shape = msgspec.structs.replace(recipe.output, path=str(output))
    result = run_recipe(msgspec.structs.replace(recipe, output=shape))
    data = annotated(result)
    rules = policy_of_run(data, recipe)
    decision = Decision(rules, count(data, rules), unreadable(data))
    decision.result = result
    return decision


def _linked(old: str, new: str) -> None:
    """The same file under another name, or a copy where the disk cannot."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copy(old, new)
