"""Commands that look at finished runs and decide anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from curate.cli.options import shown
from curate.errors import PlanError


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.argument("other", metavar="RUN_B", required=False)
@click.option("--save", multiple=True, metavar="FILE", help="Write all pairs as .parquet or .json; may be repeated.")
def overlap(run_folder: str, other: str | None, save: tuple[str, ...]) -> None:
    """Tell what share of each source has copies in each other one, of one run or of two.

    \b
    Example:
      curate overlap out/quickstart --save overlap.parquet
    """
    from curate.overlap import overlap as compare

    found = compare(run_folder, other)
    for path in save:
        found.save(path)
    click.echo(str(found))


def size_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Columns with the sizes of documents, for Parquet that is not of curate's making."""
    command = click.option("--words", metavar="COLUMN", help="Column with the words of a document, if not text_words.")(
        command
    )
    return click.option("--bytes", metavar="COLUMN", help="Column with its bytes, if not text_bytes.")(command)


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--rules", required=True, metavar="FILE", help="What `keep` takes: a YAML file, or a rule set's name.")
@click.option("--output", metavar="FOLDER", help="Where the result goes; without it, documents are only counted.")
@size_options
def decide(run_folder: str, rules: str, output: str | None, words: str | None, bytes: str | None) -> None:
    """Apply other rules to documents that are annotated already: a run, or any Parquet with columns.

    \b
    Example:
      curate decide out/quickstart --rules stricter.yaml --output out/stricter
    """
    from curate.deciding.decide import decide as decide_anew

    decision = decide_anew(run_folder, rules, output, words, bytes)
    click.echo(decision.funnel)
    if decision.result is not None:
        click.echo(f"\n{decision.result.groups()}\n\ndata  {shown(decision.result.path)}/data")


@click.command("what-if")
@click.argument("run_folder", metavar="RUN")
@click.option("--rules", metavar="FILE", help="Rules to look at; default: those that the run was made with.")
@click.option("--rule", metavar="NAME", help="Show what this rule keeps as its bound moves.")
@click.option("--at", metavar="BOUNDS", help="With --rule: the bounds to count at, such as 10,20,50.")
@click.option("--to", metavar="FOLDER", help="Write all tables as Parquet files.")
@size_options
def what_if(
    run_folder: str, rules: str | None, rule: str | None, at: str | None, to: str | None, words: str, bytes: str
) -> None:
    """Tell what each rule drops that no other does, and what other bounds would keep.

    \b
    Example:
      curate what-if out/quickstart --rule words --at 10,20,50
    """
    from curate.deciding.what_if import what_if as look

    if at and not rule:
        raise PlanError("--at goes with --rule: say whose bounds they are")
    try:
        bounds = {rule: [float(bound) for bound in at.split(",")]} if at and rule else None
    except ValueError as error:
        raise PlanError(f"--at {at}: write numbers with commas, as in 10,20,50") from error
    found = look(run_folder, rules, rule, bounds, words, bytes)
    click.echo(found.text(rule))
    for path in found.to(to) if to else ():
        click.echo(f"wrote {shown(path)}")


@click.command()
@click.argument("run_a")
@click.argument("run_b")
@click.option("--on", default="id", show_default=True, metavar="COLUMN", help="What tells which document is which.")
@click.option("--json", "as_json", is_flag=True, help="Print counts and distributions as JSON.")
@click.option("--to", metavar="FOLDER", help="Write all tables, with the documents that changed, as Parquet files.")
def diff(run_a: str, run_b: str, on: str, as_json: bool, to: str | None) -> None:
    """Compare two runs: which documents changed status and why, both funnels, shifts of distributions.

    \b
    Example:
      curate diff out/quickstart out/stricter --to changes
    """
    from curate.deciding.diff import diff as compare

    found = compare(run_a, run_b, on)
    click.echo(found.json() if as_json else found.text())
    for path in found.to(to) if to else ():
        click.echo(f"wrote {shown(path)}", err=as_json)
