"""Commands that publish what a run kept, and check what was published."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.cli.options import code_option, shown

if TYPE_CHECKING:
    from curate.release.publish import Change


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--to", required=True, metavar="DIR", help="The folder of the release, or a URL (s3://bucket/name).")
@click.option("--push-to-hub", "repo", metavar="USER/NAME", help="Then make this dataset of the Hub be it.")
@click.option("--private", is_flag=True, help="A new dataset on the Hub is private.")
@click.option("--dry-run", is_flag=True, help="Make the folder, and only say what publishing would change.")
@click.option(
    "--domain",
    multiple=True,
    metavar="COLUMN",
    help="Columns that make domains, or all (default: source, language).",
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
@click.option("--lines", multiple=True, metavar="COLUMN", help="Lists with a value for each line (globs): to lines/.")
@click.option("--file-size", metavar="SIZE", help="Of a Parquet file before compression (default: 256MB).")
@click.option("--row-group-rows", type=click.IntRange(min=1), help="At most (default: 2000).")
@click.option("--row-group-size", metavar="SIZE", help="At most, before compression (default: 64MiB).")
@click.option("--compression", type=click.IntRange(1, 22), help="ZSTD level (default: 3).")
@click.option(
    "--card", metavar="FILE", help="What the author says, as `card:` of a recipe: YAML; goes before the recipe's."
)
@click.option("--chunking", is_flag=True, help="Content-defined chunks, for releases that are edited.")
@click.option("--memory", metavar="SIZE", help="For sorting (default: 256MB).")
def export(
    run_folder: str, to: str, card: str | None, repo: str | None, private: bool, dry_run: bool, **given: Any
) -> None:
    """Write the documents a run kept as a folder that is ready to publish.

    \b
    Example:
      curate export out/quickstart --to release/quickstart --shuffle 1 --split validation=0.01
    """
    from curate.release import export as write
    from curate.release.publish import look, push, upload
    from curate.release.settings import from_flags

    with tempfile.TemporaryDirectory() as temporary:
        place = to
        if "://" in to:
            place = str(Path(temporary, "release"))
            look(to, Path(place))
        folder = write(run_folder, place, card, **from_flags(given))
        _summary(folder, to)
        if "://" in to:
            _told(upload(folder, to, dry_run), to, dry_run)
        if repo:
            _told(push(folder, repo, private, dry_run), f"datasets/{repo}", dry_run)


def _summary(folder: Path, to: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    place = to if "://" in to else shown(Path(to))
    missing = json.loads((folder / "card.json").read_text(encoding="utf-8"))["missing"]
    click.echo(f"documents  {manifest['total']['rows']:,} in {len(manifest['files'])} Parquet files")
    click.echo(f"domains    {len(manifest['domains']):,}, in {place}/mixture.yaml")
    click.echo(f"card       {place}/README.md, card.html")
    if missing:
        click.echo(f"missing    the recipe does not say: {', '.join(missing[:8])}{' ...' if len(missing) > 8 else ''}")


def _told(changes: list[Change], to: str, dry_run: bool) -> None:
    """What publishing did, or would do."""
    sent = [change for change in changes if change.what in ("new", "changed")]
    for change in changes if dry_run else []:
        click.echo(f"{change.what:<9}  {change.path}  {change.bytes:,}")
    gone = sum(change.what == "removed" for change in changes)
    verb = "would send" if dry_run else "sent"
    same = len(changes) - len(sent) - gone
    click.echo(
        f"{to}: {verb} {len(sent)} files, {sum(change.bytes for change in sent):,} bytes;"
        f" {same} are there already, {gone} {'would go' if dry_run else 'went'}"
    )


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
@code_option
def card_check(folder: str, allow_code: bool) -> None:
    """Compare every number of a release's card with its data.

    \b
    Example:
      curate card check release/quickstart
    """
    from curate.release.check import check

    found = check(folder, allow_code)
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
@code_option
def reproduce(folder: str, sources: tuple[str, ...], work: str | None, workers: int | None, allow_code: bool) -> None:
    """Run the recipe of a release again and compare the files, byte for byte.

    \b
    Example:
      curate reproduce release/quickstart --sources docs=/data/docs
    """
    from curate.config import load_config
    from curate.release.reproduce import reproduce as again
    from curate.release.settings import pairs

    found = again(folder, pairs(sources, "--sources"), work, load_config(None, workers=workers), allow_code)
    for name, verdict in found.items():
        click.echo(f"{verdict}  {name}")
    same = sum(verdict == "same" for verdict in found.values())
    click.echo(f"{same} of {len(found)} files are the same")
    if same < len(found):
        sys.exit(1)
