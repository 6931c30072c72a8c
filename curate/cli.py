"""The command line: each command parses, calls one function, prints.

Exit codes: 0 done and nothing lost; 1 the data or an operator failed; 2 the recipe, plan or arguments are wrong;
130 stopped by Ctrl-C (the same command continues).
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from curate import __version__
from curate.errors import AssetError, CurateError, PlanError, RecipeError

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Turns curate's errors into one message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (RecipeError, PlanError) as error:
            _fail(error, 2)
        except CurateError as error:
            _fail(error, 1)
        except KeyboardInterrupt:
            click.echo("stopped; the same command continues where this one left off", err=True)
            ctx.exit(130)


def _fail(error: CurateError, code: int) -> None:
    click.echo(f"error: {error}", err=True)
    sys.exit(code)


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="curate")
def main() -> None:
    """Turn raw, sharded text into training sets you can explain.

    \b
    Example:
      curate run quickstart

    Exit codes: 0 done, nothing lost; 1 the data or an operator failed; 2 the recipe, plan or arguments are wrong;
    130 stopped by Ctrl-C (the same command continues).
    """
    gc.set_threshold(50_000)  # imports make many objects and no garbage: to look for it takes a tenth of a short run


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that say which recipe, with which changes."""
    command = click.option(
        "--output", metavar="FOLDER", help="Where the result goes (default: the recipe's output.path)."
    )(command)
    command = click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a variable, or a key such as steps.2.keep.rules.x.min.",
    )(command)
    return click.argument("recipe")(command)


@main.command()
@recipe_options
@click.option("--config", "config_file", metavar="FILE", help="Where to run: a config file, or local, ray.")
@click.option("--workers", type=click.IntRange(min=0), help="Parallel tasks; 0 is one per core.")
@click.option("--memory", metavar="SIZE", help="What a process may take for corpus-wide steps, e.g. 2GB.")
@click.option("--executor", type=click.Choice(["local", "ray"]), help="This machine, or a Ray cluster.")
@click.option("--address", help="Address of the Ray cluster.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def run(
    recipe: str, sets: tuple[str, ...], output: str | None, config_file: str | None, quiet: bool, **flags: Any
) -> None:
    """Run a recipe, or continue a run that was stopped.

    \b
    Example:
      curate run quickstart --workers 2
    """
    from curate import engine
    from curate.config import load_config
    from curate.progress import Progress

    progress = Progress("quiet" if quiet else "auto")
    result = engine.run(_recipe(recipe, sets, output), load_config(config_file, **flags), progress)
    if not quiet:
        click.echo("\n" + "\n\n".join(filter(None, [result.funnel, result.groups(), result.choices])) + "\n")
        shown = _shown(result.path)
        quarantined = result.manifest["quarantined"]
        if quarantined:
            click.echo(f"quarantined  {quarantined} records, each with its error: {shown}/quarantine.jsonl")
        click.echo(f"data         {shown}/data ({len(result.manifest['data'])} Parquet files)")
        click.echo(f"annotations  {shown}/annotations")
        click.echo(f"report       {shown}/report.html")
        click.echo(f"card         {shown}/README.md")


@main.command()
@recipe_options
@click.option("--mermaid", is_flag=True, help="Print the graph in Mermaid's language.")
def plan(recipe: str, sets: tuple[str, ...], output: str | None, mermaid: bool) -> None:
    """Say what a run would do: passes, columns, and what an earlier run already did. Touches no data.

    \b
    Example:
      curate plan quickstart --mermaid
    """
    from curate.explain import plan_text
    from curate.flow import mermaid as as_mermaid
    from curate.store import Store

    loaded = _recipe(recipe, sets, output)
    if mermaid:
        click.echo(as_mermaid(loaded))
        return
    from curate.engine import plan_recipe

    click.echo(plan_text(plan_recipe(loaded), Store(str(Path(loaded.path).resolve()))))


@main.command()
@click.argument("name", required=False)
def ops(name: str | None) -> None:
    """List the operators, or show one operator's page.

    \b
    Example:
      curate ops gopher
    """
    from curate.catalogue import list_text, page

    click.echo(page(name) if name else list_text())


@main.command()
@click.option("--config", is_flag=True, help="The schema of config files instead of recipes.")
def schema(config: bool) -> None:
    """Print the JSON Schema of recipes, which editors use for completion and checks.

    \b
    Example:
      curate schema > recipe.schema.json
    """
    from curate.schema import config_schema, recipe_schema

    click.echo(json.dumps(config_schema() if config else recipe_schema(), indent=1))


@main.command()
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


@main.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--id", "id_", required=True, metavar="ID", help="The document's id.")
def show(run_folder: str, id_: str) -> None:
    """Tell why one document was kept or dropped: every rule with value, bound and distance, and its duplicate twin.

    \b
    Example:
      curate show out/quickstart --id numpy/README.md
    """
    from curate.result import open_run

    click.echo(open_run(run_folder).show(id_))


@main.command()
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


@main.command()
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
    from curate.decision import decide as decide_anew

    decision = decide_anew(run_folder, rules, output, words, bytes)
    click.echo(decision.funnel)
    if decision.result is not None:
        click.echo(f"\n{decision.result.groups()}\n\ndata  {_shown(decision.result.path)}/data")


@main.command("what-if")
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
    from curate.thresholds import what_if as look

    if at and not rule:
        raise PlanError("--at goes with --rule: say whose bounds they are")
    try:
        bounds = {rule: [float(bound) for bound in at.split(",")]} if at and rule else None
    except ValueError as error:
        raise PlanError(f"--at {at}: write numbers with commas, as in 10,20,50") from error
    found = look(run_folder, rules, rule, bounds, words, bytes)
    click.echo(found.text(rule))
    for path in found.to(to) if to else ():
        click.echo(f"wrote {_shown(path)}")


@main.command()
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
    from curate.comparison import diff as compare

    found = compare(run_a, run_b, on)
    click.echo(found.json() if as_json else found.text())
    for path in found.to(to) if to else ():
        click.echo(f"wrote {_shown(path)}", err=as_json)


@main.group()
def assets() -> None:
    """Word lists and models that recipes name: list them, get them, check them.

    \b
    They are kept in the folder CURATE_ASSETS (default: a folder of your own),
    which may be shared. CURATE_MIRRORS names addresses to try before upstream.

    \b
    Example:
      curate assets get lid.176.ftz
    """


@assets.command("list")
def assets_list() -> None:
    """List the known assets: version, size, licence, whether they are here, and what uses them.

    \b
    Example:
      curate assets list
    """
    from curate.catalogue import assets_text

    click.echo(assets_text())


@assets.command("get")
@click.argument("names", nargs=-1, required=True)
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="An address to try first; may be repeated.")
def assets_get(names: tuple[str, ...], mirrors: tuple[str, ...]) -> None:
    """Fetch assets, or go on fetching them, and check their bytes.

    \b
    Example:
      curate assets get ldnoobw/en lid.176.ftz
    """
    from curate.assets import find, get

    for name in names:
        asset, files = find(name)
        size = sum(asset.files[file].size for file in files)
        with click.progressbar(length=size, label=name, file=sys.stderr) as bar:
            path = get(name, mirrors, bar.update)
        click.echo(f"{name}  {path}")


@assets.command("verify")
@click.argument("names", nargs=-1)
def assets_verify(names: tuple[str, ...]) -> None:
    """Read assets (default: all that are here) and compare their bytes with the registry.

    \b
    Example:
      curate assets verify ldnoobw
    """
    from curate.assets import registry, verify

    here = [name for name, asset in registry().items() if not asset.absent()]
    wrong = {name: verify(name) for name in names or here}
    for name, problems in wrong.items():
        click.echo(f"{name}  {'; '.join(problems) or 'good'}")
    if any(wrong.values()):
        raise AssetError(f"curate assets get {next(name for name, found in wrong.items() if found)} brings it in order")


def _recipe(name: str, sets: tuple[str, ...], output: str | None) -> Any:
    from curate.recipe import Recipe

    pairs = {}
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals:
            raise RecipeError(f"--set {item}: write --set key=value")
        pairs[key] = value
    # Quoted, because values of --set are YAML: a folder may be called 2024, or hold a colon.
    return Recipe.load(name, sets=pairs | ({"output.path": json.dumps(output)} if output else {}))


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    main()
