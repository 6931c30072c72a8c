"""Commands that make an index of near-duplicates and ask it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from curate.errors import DataError, PlanError

TABLES = (".jsonl", ".ndjson", ".json", ".parquet", ".gz", ".zst", ".xz")  # files of many documents
MOST_QUERIES = 10_000


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--to", metavar="FOLDER", help="Where the index goes (default: RUN/similar).")
@click.option("--step", metavar="NAME", help="Whose signatures, when the recipe has several such steps.")
@click.option("--memory", metavar="SIZE", default="1GB", show_default=True, help="What sorting may take.")
def index(run_folder: str, to: str | None, step: str | None, memory: str) -> None:
    """Make an index of a run's documents, by which `curate similar` finds near-duplicates of any text.

    \b
    Example:
      curate index out/quickstart --to out/index
    """
    from curate.index.build import build_index

    made = build_index(run_folder, to, step, memory)
    click.echo(f"{made.documents:,} documents in {made.path}")


@click.command()
@click.argument("index_folder", metavar="INDEX")
@click.option("--text", metavar="TEXT", help="The text to look for.")
@click.option("--file", metavar="FILE", help="A file that holds it; of JSON Lines or Parquet, every document.")
@click.option("--threshold", type=float, help="Least similarity (default: that of the run's step).")
@click.option("--most", type=int, default=10, show_default=True, help="How many to show for each text.")
@click.option("--show-text", is_flag=True, help="Show what is found, from the run's data.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
def similar(
    index_folder: str, text: str | None, file: str | None, threshold: float, most: int, show_text: bool, as_json: bool
) -> None:
    """Find the documents of an index that are most like a text: their ids, similarity, and text if asked.

    \b
    Example:
      curate similar out/index --text "The quick brown fox" --threshold 0.7
    """
    from curate.index.similar import open_index

    if (text is None) == (file is None):
        raise PlanError("say what to look for: --text TEXT or --file FILE")
    names, texts = _queries(file) if file is not None else (["-"], [text or ""])
    index = open_index(index_folder)
    index.similar("", most=1)  # so that what is timed is the search, not what is loaded for the first one
    began = time.perf_counter()
    found = index.similar(texts, threshold, most, show_text)
    took = 1000 * (time.perf_counter() - began) / max(1, len(texts))
    if as_json:
        click.echo(found.write_ndjson(), nl=False)
        return
    for row in found.iter_rows(named=True):
        name = f"{names[row['query']]}  " if len(texts) > 1 else ""
        click.echo(f"{name}{row['similarity']:.3f}  {row['id']}{'' if row['is_kept'] else '  (dropped)'}")
        if show_text and row["text"] is not None:
            click.echo(f"{row['text']}\n")
    click.echo(f"{len(found)} found among {index.documents:,} documents, {took:.1f} ms a text", err=True)


def _queries(file: str) -> tuple[list[str], list[str]]:
    """Names and texts of what a file holds."""
    path = Path(file)
    if path.suffix in TABLES:
        from curate.io.source import Source
        from curate.sampling import peek

        table = peek("queries", Source(path=file), MOST_QUERIES)
        return table["id"].to_pylist(), table["text"].to_pylist()
    try:
        return [path.name], [path.read_text(encoding="utf-8")]
    except FileNotFoundError:
        raise PlanError(f"there is no file {file}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not text in UTF-8 (byte {error.start})") from error
