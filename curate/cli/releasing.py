"""Commands that publish what a run kept, and check what was published."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from curate.cli.options import shown


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--to", required=True, metavar="DIR", help="The folder of the release.")
@click.option(
    "--domain", multiple=True, metavar="COLUMN", help="Columns that make the domains (default: source, language)."
)
@click.option(
    "--property", "properties", multiple=True, metavar="COLUMN", help="More columns without nulls, safe in SQL."
)
@click.option("--split", multiple=True, metavar="NAME=SHARE", help="A held-out split, such as validation=0.01.")
@click.option("--split-by", multiple=True, metavar="COLUMN", help="What shares its value shares a split (default: id).")
@click.option("--seed", type=int, help="Of the choice of splits (default: 0).")
@click.option("--shuffle", type=int, metavar="SEED", help="Shuffle each domain (default: the order of the corpus).")
@click.option("--bucket", multiple=True, metavar="COLUMN=CUT,CUT", help="Classes of a number, as COLUMN_bucket.")
@click.option("--require-license", multiple=True, metavar="NAMES", help="Release only these licences; commas between.")
@click.option("--dropped", is_flag=True, help="Release dropped documents too, without text, with reasons.")
@click.option("--file-size", metavar="SIZE", help="Of a Parquet file before compression (default: 256MB).")
@click.option("--row-group-rows", type=click.IntRange(min=1), help="At most (default: 2000).")
@click.option("--compression", type=click.IntRange(1, 22), help="ZSTD level (default: 3).")
@click.option(
    "--card", metavar="FILE", help="What the author says, as `card:` of a recipe: YAML; goes before the recipe's."
)
@click.option("--chunking", is_flag=True, help="Content-defined chunks, for releases that are edited.")
@click.option("--memory", metavar="SIZE", help="For sorting (default: 256MB).")
def export(run_folder: str, to: str, card: str | None, **given: Any) -> None:
    """Write the documents a run kept as a folder that is ready to publish.

    \b
    Example:
      curate export out/quickstart --to release/quickstart --shuffle 1 --split validation=0.01
    """
    from curate.release import export as write
    from curate.release.settings import from_flags

    folder = write(run_folder, to, card, **from_flags(given))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    missing = json.loads((folder / "card.json").read_text(encoding="utf-8"))["missing"]
    click.echo(f"documents  {manifest['total']['rows']:,} in {len(manifest['files'])} Parquet files")
    click.echo(f"domains    {len(manifest['domains']):,}, in {shown(folder)}/mixture.yaml")
    click.echo(f"card       {shown(folder)}/README.md")
    if missing:
        click.echo(f"missing    the recipe does not say: {', '.join(missing[:8])}{' ...' if len(missing) > 8 else ''}")


@click.command()
@click.argument("folder", metavar="DIR")
def mixture(folder: str) -> None:
    """Write the exports of a release anew, after its mixture.yaml was edited.

    \b
    Example:
      curate mixture release/quickstart
    """
    from curate.release.check import open_release
    from curate.release.exports import write_exports
    from curate.release.mixture import read_mixture

    manifest = open_release(folder)
    for name in write_exports(Path(folder), read_mixture(Path(folder), manifest), manifest):
        click.echo(f"{folder}/{name}")


@click.group()
def card() -> None:
    """The Data Card of a release.

    \b
    Example:
      curate card check release/quickstart
    """


@card.command("check")
@click.argument("folder", metavar="DIR")
def card_check(folder: str) -> None:
    """Compare every number of a release's card with its data.

    \b
    Example:
      curate card check release/quickstart
    """
    from curate.release.check import check

    found = check(folder)
    for problem in found.problems:
        click.echo(f"differs  {problem}")
    click.echo(f"{found.compared:,} facts compared with the data, {len(found.problems):,} differ")
    if found.problems:
        sys.exit(1)


@click.command()
@click.argument("folder", metavar="DIR")
@click.option("--sources", multiple=True, metavar="NAME=PATH", help="Where a source of the recipe is on this machine.")
@click.option("--work", metavar="FOLDER", help="Keep the run and the new release here (default: a temporary folder).")
@click.option("--workers", type=click.IntRange(min=0), help="Parallel tasks; 0 is one per core.")
def reproduce(folder: str, sources: tuple[str, ...], work: str | None, workers: int | None) -> None:
    """Run the recipe of a release again and compare the files, byte for byte.

    \b
    Example:
      curate reproduce release/quickstart --sources docs=/data/docs
    """
    from curate.config import load_config
    from curate.release.reproduce import reproduce as again
    from curate.release.settings import pairs

    found = again(folder, pairs(sources, "--sources"), work, load_config(None, workers=workers))
    for name, verdict in found.items():
        click.echo(f"{verdict}  {name}")
    same = sum(verdict == "same" for verdict in found.values())
    click.echo(f"{same} of {len(found)} files are the same")
    if same < len(found):
        sys.exit(1)
