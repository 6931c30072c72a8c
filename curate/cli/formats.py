"""The command that writes what a run kept in the layouts of other tools."""

from __future__ import annotations

import click

from curate.cli.options import shown


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--to", required=True, metavar="DIR", help="The folder to write; new or empty.")
@click.option("--format", required=True, help="jsonl, dolma, redpajama-v2, webdataset, mds or dataset.")
@click.option("--file-size", default="256MB", show_default=True, metavar="SIZE", help="Text in a file, uncompressed.")
def convert(run_folder: str, to: str, format: str, file_size: str) -> None:
    """Write the documents a run kept as another tool reads them: Dolma, WebDataset, ...

    \b
    Example:
      curate convert out/quickstart --to dolma --format dolma
    """
    from curate.release.formats import write_as

    folder = write_as(run_folder, to, format, file_size)
    files = sum(path.is_file() for path in folder.rglob("*"))
    click.echo(f"wrote {files} files to {shown(folder)}")
