"""Commands that run recipes and say what they are made of."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from curate.cli.options import harmless, load_recipe, recipe_options, shown
from curate.errors import RecipeError


def few_threads() -> None:
    """On two cores the threads of libraries, which spin while they wait, take a tenth of a short run from its work.

    Libraries ask for it when they are imported. What the user has set stays as it is.
    """
    if (os.cpu_count() or 1) <= 2:
        for name in ("POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")


@click.command()
@recipe_options
@click.option("--config", "config_file", metavar="FILE", help="Where to run: a config file, or local, ray.")
@click.option("--workers", type=click.IntRange(min=0), help="Parallel tasks; 0 is one per core.")
@click.option("--memory", metavar="SIZE", help="What a process may take for corpus-wide steps, e.g. 2GB.")
@click.option("--executor", type=click.Choice(["local", "ray"]), help="This machine, or a Ray cluster.")
@click.option("--address", help="Address of the Ray cluster.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def run(
    recipe: str,
    sets: tuple[str, ...],
    output: str | None,
    allow_code: bool,
    config_file: str | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Run a recipe, or continue a run that was stopped.

    \b
    Example:
      curate run quickstart --workers 2
    """
    few_threads()
    from curate import engine
    from curate.config import load_config
    from curate.execute.local import dismiss
    from curate.execute.warm import postpone_pandas
    from curate.progress import Progress

    progress, loaded = Progress("quiet" if quiet else "auto"), load_recipe(recipe, sets, output, allow_code)
    postpone_pandas(step.operator for step in loaded.steps)
    result = engine.run(loaded, load_config(config_file, **flags), progress)
    dismiss()
    if not quiet:
        click.echo("\n" + "\n\n".join(filter(None, [result.funnel, result.groups(), result.choices])) + "\n")
        where = shown(result.path)
        quarantined = result.manifest["quarantined"]
        if quarantined:
            click.echo(f"quarantined  {quarantined} records, each with its error: {where}/quarantine.jsonl")
        click.echo(f"data         {where}/data ({len(result.manifest['data'])} Parquet files)")
        click.echo(f"annotations  {where}/annotations")
        click.echo(f"report       {where}/report.html")
        click.echo(f"card         {where}/README.md")


@click.command()
@recipe_options
@click.option("--mermaid", is_flag=True, help="Print the graph in Mermaid's language.")
@click.option("--nodes", type=click.IntRange(min=1), help="Say what a run costs on so many machines.")
@click.option("--cores", type=click.IntRange(min=1), help="Of each machine (default: those of this one).")
@click.option("--documents", type=click.IntRange(min=1), help="Documents (default: 5 kB of text each).")
@click.option(
    "--bytes", "text_size", metavar="SIZE", help="Text, e.g. 30TB (default: what the sources hold, unpacked)."
)
@click.option("--kept", type=click.FloatRange(0, 1), default=1.0, help="Share of the text that is written at the end.")
def plan(recipe: str, sets: tuple[str, ...], output: str | None, allow_code: bool, mermaid: bool, **sizes: Any) -> None:
    """Say what a run would do: passes, columns, and what an earlier run already did. Touches no data.

    With --nodes, --documents or --bytes also what it costs: CPU and wall time, memory, shuffle, storage.

    \b
    Example:
      curate plan quickstart --nodes 10 --cores 64 --documents 2000000000 --bytes 10TB
    """
    from curate.engine import plan_recipe
    from curate.explain import plan_text
    from curate.flow import mermaid as as_mermaid
    from curate.store import Store, located

    loaded = load_recipe(recipe, sets, output, allow_code)
    if mermaid:
        click.echo(as_mermaid(loaded))
        return
    planned = plan_recipe(loaded)
    click.echo(plan_text(planned, Store(located(loaded.path))))
    if sizes["nodes"] or sizes["documents"] or sizes["text_size"]:
        click.echo("\n" + _cost(planned, **sizes))


def _cost(
    planned: Any, nodes: int | None, cores: int | None, documents: int | None, text_size: str | None, kept: float
) -> str:
    """What a plan costs, in words."""
    import os

    from curate import sizing
    from curate.convert import size

    stored = sum(shard.bytes for shard in planned.shards)
    volume = size(text_size) if text_size else (documents * 5_000 if documents else 3 * stored)
    count = documents or max(1, volume // 5_000)
    cluster = sizing.Cluster(nodes or 1, cores or os.cpu_count() or 1)
    return sizing.text(sizing.estimate(planned, cluster, count, volume, kept), cluster, count, volume)


@click.command()
@click.argument("name", required=False)
def ops(name: str | None) -> None:
    """List the operators, or show one operator's page.

    \b
    Example:
      curate ops gopher
    """
    from curate.catalogue import list_text, page

    click.echo(page(name) if name else list_text())


@click.command()
@click.option("--config", is_flag=True, help="The schema of config files instead of recipes.")
def schema(config: bool) -> None:
    """Print the JSON Schema of recipes, which editors use for completion and checks.

    \b
    Example:
      curate schema > recipe.schema.json
    """
    from curate.schema import config_schema, recipe_schema

    click.echo(json.dumps(config_schema() if config else recipe_schema(), indent=1))


@click.command()
@click.argument("path")
@click.option("--save", metavar="FILE", help="Write the recipe to a file instead of the screen.")
def init(path: str, save: str | None) -> None:
    """Write a commented starter recipe from a look at your files.

    \b
    Example:
      curate init 'crawl/*.jsonl.zst' --save my-recipe.yaml
    """
    from curate.starter import starter

    text = starter(path)
    if save is None:
        click.echo(text, nl=False)
        return
    if Path(save).exists():
        raise RecipeError(f"{save} is already there: choose another name")
    Path(save).write_text(text, encoding="utf-8")
    click.echo(f"wrote {save}; next: curate plan {save}")


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--id", "id_", required=True, metavar="ID", help="The document's id.")
def show(run_folder: str, id_: str) -> None:
    """Tell why one document was kept or dropped: every rule with value, bound and distance, and its duplicate twin.

    \b
    Example:
      curate show out/quickstart --id numpy/README.md
    """
    from curate.result import open_run

    click.echo(harmless(open_run(run_folder).show(id_)))


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--text", is_flag=True, help="Print it here instead of writing a page.")
@click.option("--to", metavar="FILE", help="Where the page goes (default: RUN/report.html).")
def report(run_folder: str, text: bool, to: str | None) -> None:
    """Write the report of a finished run again, or print it.

    \b
    Example:
      curate report out/quickstart --text
    """
    from curate.result import open_run

    result = open_run(run_folder)
    if text:
        click.echo(result.report_text())
    else:
        click.echo(f"report  {shown(result.write_report(to))}")


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--repair", is_flag=True, help="Take damaged files out: the next run of the recipe makes them anew.")
def verify(run_folder: str, repair: bool) -> None:
    """Read every file of a run and compare it with what was written: rows, checksums, columns.

    \b
    Example:
      curate verify out/quickstart
    """
    from curate.verify import verify as look

    files, found = look(run_folder, repair)
    for item in found:
        click.echo(f"{'taken out' if repair else 'damaged'}  {item.path}  {item.why}")
    click.echo(f"{files:,} files compared with what was written, {len(found):,} damaged")
    if found:
        sys.exit(1)
