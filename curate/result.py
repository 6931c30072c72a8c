"""A finished run: its tables in the reader's favourite library, its funnel, and why a document was kept or dropped."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import DataError, RecipeError, nearest
from curate.store import Store

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars as pl
    import pyarrow as pa
    import ray

    from curate.recipe import Recipe
    from curate.report.look import Look
    from curate.report.pieces import Piece


class Result:
    """The output folder of a run. `data` are the kept documents, `annotations` all of them without text."""

    def __init__(self, path: str | Path, manifest: dict[str, Any], recipe: Recipe | None = None):
        self.store, self.manifest = Store(str(path)), manifest
        self.path = self.store.path()
        self._recipe = recipe

    @property
    def recipe(self) -> Recipe:
        """The recipe as it ran; of a run of another process that in the folder."""
        from curate.recipe import Recipe

        return self._recipe or Recipe.load(self.store.path("recipe.yaml"), allow_code=True)

    def scan(self, part: str = "data") -> pl.LazyFrame:
        """The kept documents (`data`) or every document without text (`annotations`), lazily, in Polars."""
        import polars as pl

        return pl.scan_parquet(self._files(part))

    def polars(self, part: str = "data") -> pl.DataFrame:
        return self.scan(part).collect()

    def arrow(self, part: str = "data") -> pa.Table:
        import pyarrow.dataset as ds

        return ds.dataset(self._files(part), format="parquet").to_table()

    def pandas(self, part: str = "data") -> pandas.DataFrame:
        """With Arrow's types, in which a null is no NaN."""
        import pandas

        return self.arrow(part).to_pandas(types_mapper=pandas.ArrowDtype)

    def dataset(self, part: str = "data") -> datasets.Dataset:
        """A Hugging Face dataset."""
        import datasets

        return datasets.Dataset.from_parquet(self._files(part))

    def sketch(self, step: str, ids: Collection[str] | None = None) -> pa.Table:
        """What a deduplicator or selector saw of each document (or of those with some ids): `id` and its sketch.

        Signatures of `dedup_minhash` become datasketch's objects by `curate.lsh.to_datasketch`. Raises DataError when
        no step of that name has a sketch, and when the run's `.work` has been deleted.
        """
        from curate.execute.stored import sketches

        return sketches(self.store, step, ids)

    def ray(self, part: str = "data") -> ray.data.Dataset:
        """A Ray Dataset, read by the nodes of the cluster: of a run on an object store straight from there."""
        import ray

        is_remote = "://" in self.store.root
        root = self.store.root.rstrip("/")
        files = [f"{root}/{file['path']}" for file in self.manifest[part]] if is_remote else self._files(part)
        return ray.data.read_parquet(files)

    @property
    def funnel(self) -> str:
        """What each step took away, as text."""
        return funnel_text(self.manifest["funnel"]["steps"])

    def groups(self, most: int = 12) -> str:
        """The funnel's first and last line for the largest groups of one source and language, as text."""
        rows = [["source", "language", "read", "kept", "share", "MB kept", "words kept"]]
        groups = self.manifest["funnel"]["groups"]
        for group in groups[:most]:
            first, last = group["steps"][0], group["steps"][-1]
            share = f"{last['documents'] / max(first['documents'], 1):.1%}"
            counts = [f"{first['documents']:,}", f"{last['documents']:,}", share]
            rows.append([group["source"], group["language"] or "-", *counts, _mb(last["bytes"]), f"{last['words']:,}"])
        more = f"\n... and {len(groups) - most} smaller groups (manifest.json has all)" if len(groups) > most else ""
        return table_text(rows, left=2) + more

    @property
    def choices(self) -> str:
        """What selectors with groups aimed at and got, as text; empty when there is none."""
        return "\n\n".join(
            choice_text(step, facts) for step, facts in self.manifest["corpus"].items() if (facts or {}).get("groups")
        )

    def row(self, id: str) -> dict[str, Any]:
        """The annotations of one document; DataError when there is none with that id."""
        import polars as pl

        found = self.scan("annotations").filter(pl.col("id") == id).head(1).collect()
        if found.is_empty():
            some = self.scan("annotations").select("id").head(100_000).collect()["id"].to_list()
            raise DataError(f"no document {id!r} in {self.path}{nearest(id, some)}")
        return found.to_dicts()[0]

    def show(self, id: str) -> str:
        """Why one document was kept or dropped: each rule with value, bound and distance, and its duplicate twin."""
        from curate.verdict import verdict_text

        row = self.row(id)
        return verdict_text(row, self._source(row["row"] >> 32), self.recipe)

    # The report's parts, one by one, for notebooks.

    def histogram(self, column: str) -> Piece:
        """Kept and dropped documents by the value of a numeric column, with the bounds of rules on it."""
        from curate.report.pieces import histogram_piece

        return histogram_piece(self._look, column)

    def what_if(self, rule: str | None = None) -> Piece:
        """Sliders for the bounds of all rules, or of one: what would be kept. `curate.what_if` gives it as tables."""
        from curate.report.pieces import rules_piece

        return rules_piece(self._look, rule)

    def examples(self, reason: str | None = None) -> Piece:
        """Documents dropped for a reason (or each), close to a bound, and kept; what a rule counts is marked."""
        from curate.report.pieces import examples_piece

        return examples_piece(self._look, reason)

    def write_report(self, path: str | Path | None = None) -> Path:
        """Write the report again, by default in its place in the folder; its path."""
        from curate.report.pieces import rewrite

        return rewrite(self, Path(path or self.path / "report.html"))

    def report_text(self) -> str:
        """The report as text; controls in the text of documents are shown by name."""
        from curate.report.pieces import clock
        from curate.report.terminal import text

        return text(self._look, clock(self.path))

    @cached_property
    def _look(self) -> Look:
        from curate.report.look import Look

        return Look(self.path, self.manifest, self.recipe)

    def _repr_html_(self) -> str | None:
        """The funnel; None (a notebook then shows the text) where the recipe's operators are not known here."""
        from curate.report.pieces import funnel_piece

        try:
            return funnel_piece(self._look)._repr_html_()
        except RecipeError:
            return None

    def _source(self, shard: int) -> str:
        """The recipe's name of the source that a shard belongs to."""
        for source, shards in self.manifest["shards"]:
            shard -= shards
            if shard < 0:
                return str(source)
        raise DataError(f"{self.path}: manifest.json lists fewer shards than the annotations name")

    def _files(self, part: str) -> list[str]:
        return [str(self.store.path(file["path"])) for file in self.manifest[part]]

    def __repr__(self) -> str:
        return f"{self.path}: {self.manifest['kept']:,} of {self.manifest['records']:,} documents kept\n{self.funnel}"


def open_run(path: str | Path, recipe: Recipe | None = None) -> Result:
    """The result in an output folder; DataError when no run has finished there."""
    manifest = Store(str(path)).manifest()
    if manifest is None:
        raise DataError(f"no finished run in {path}: there is no manifest.json (curate run makes one)")
    return Result(path, manifest, recipe)


def funnel_text(steps: list[dict[str, Any]]) -> str:
    """Funnel rows as an aligned table."""
    total = max(steps[0]["documents"], 1)
    rows = [["step", "documents", "share", "MB", "words", "left"]]
    for step in steps:
        sign = "" if step["step"] in ("read", "kept") or not step["documents"] else "-"
        lost = [f"{sign}{step['documents']:,}", f"{sign}{step['documents'] / total:.1%}", sign + _mb(step["bytes"])]
        rows.append([step["step"], *lost, f"{sign}{step['words']:,}", f"{step['documents_left']:,}"])
    return table_text(rows, left=1)


def choice_text(step: str, facts: dict[str, Any], most: int = 12) -> str:
    """What a selector found, and its largest groups as a table."""
    groups = facts["groups"]
    told = ", ".join(f"{name.replace('_', ' ')}: {_told(fact)}" for name, fact in facts.items() if name != "groups")
    shown = sorted(groups, key=lambda row: -row.get("available", 0))[:most]
    rows = [[*groups[0]], *([_told(value) for value in row.values()] for row in shown)]
    more = f"\n... and {len(groups) - most} smaller groups (manifest.json has all)" if len(groups) > most else ""
    return f"{step}: {told}\n{table_text(rows, left=1)}{more}"


def table_text(rows: list[list[str]], left: int) -> str:
    """Aligned columns; the first `left` of them flush left, numbers flush right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.2f}"
