"""report.html, `curate report --text` and the notebook's pictures: what a run did, from its own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curate.recipe import Recipe
from curate.report.values import megabytes, number, share, visible

__all__ = ["megabytes", "number", "share", "visible", "write_report"]


def write_report(
    path: Path,
    manifest: dict[str, Any],
    recipe: Recipe,
    shared: Any = None,
    clock: dict[str, float] | None = None,
    folder: Path | None = None,
) -> None:
    """Write the page of a finished run, by default beside its `data` and `annotations`.

    shared   the matrix of its sources (`curate.overlap.copies`)
    clock    part of the work -> seconds, summed over workers
    folder   where the run is, if the page goes elsewhere

    But for `clock`, the same run gives the same bytes, wherever its folder is.
    """
    from curate.report.page import page
    from curate.store import write_text

    write_text(path, page(folder or path.parent, manifest, recipe, shared, clock))
