"""A run as a folder that is ready to publish: Parquet by split and domain, manifest, mixture, card, Croissant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

import curate
from curate.errors import DataError, PlanError
from curate.recipe import Recipe
from curate.release import describe
from curate.release.author import carded
from curate.release.columns import Layout, layout, parted
from curate.release.exports import write_exports
from curate.release.files import Part, data_keys, dropped_keys, line_schema, write_part
from curate.release.manifest import licences, manifest_of, published, recipe_digest
from curate.release.mixture import natural, write_mixture
from curate.release.routes import Route
from curate.release.settings import Settings
from curate.result import Result, open_run
from curate.store import replace_folder, write_text

MARK = "manifest.json"


def export(
    run: str | Path | Result, to: str | Path, card: str | Path | Mapping[str, Any] | None = None, **settings: Any
) -> Path:
    """Write the documents a run kept as a release: `to` then holds all that a reader or a trainer needs.

    run       the run, or its folder
    to        the folder of the release; an earlier release in it is replaced, another folder refused
    card      what the author says, or a YAML file of it: its keys take the place of those under `card:` in the recipe
    settings  domain, split, shuffle, bucket, require_license, file_size, ...: see `curate.release.settings.Settings`

    Raises PlanError for columns that are not there or make no domains, and DataError where no run has finished.
    """
    chosen = msgspec.convert(settings, Settings)
    result = run if isinstance(run, Result) else open_run(run)
    recipe = published(carded(Recipe.load(result.path / "recipe.yaml", allow_code=True), card))
    to = Path(to)
    _check_place(to, result.path)
    files = {part: [result.path / file["path"] for file in result.manifest[part]] for part in ("data", "annotations")}
    plan = layout(pq.read_schema(files["data"][0]), chosen, licences(recipe))
    plan, lines = parted(plan, chosen.lines) if chosen.lines else (plan, None)
    staging = to.with_name(f".{to.name}.making")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _write(staging, result, recipe, plan, lines, chosen, files, author=_author(to))
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    replace_folder(staging, to)
    return to


def _write(
    root: Path,
    result: Result,
    recipe: Recipe,
    plan: Layout,
    lines: Layout | None,
    settings: Settings,
    files: dict[str, list[Path]],
    author: str | None,
) -> None:
    from curate.release.card import write_card
    from curate.release.croissant import write_croissant

    columns = describe.described(plan.schema, plan, recipe)
    about = _footer(recipe, columns)
    written: dict[str, list[tuple[Route, str]]] = {"data": [], "dropped": [], "lines": []}
    data = Part(files["data"], plan, data_keys(plan, settings), lambda split: f"data/{split}")
    written["data"] = write_part(data, root, settings, about)
    if not written["data"]:
        raise DataError("no document is left to release: none was kept, or none has a licence of --require-license")
    of_lines: list[dict[str, Any]] = []
    if lines is not None:
        part = Part(files["data"], lines, data_keys(plan, settings), lambda split: f"lines/{split}", lines=True)
        of_lines += describe.described(line_schema(lines.schema), lines, recipe)
        written["lines"] = write_part(part, root, settings, _footer(recipe, of_lines))
    if settings.dropped:
        dropped = _dropped(files["annotations"], plan, settings)
        written["dropped"] = write_part(dropped, root, settings, about)
    manifest = manifest_of(root, result.manifest, recipe, plan, columns, settings, written)
    manifest["line_columns"] = of_lines
    write_text(root / "recipe.yaml", recipe.seen_from(root).to_yaml())
    write_mixture(root, natural(manifest), manifest)
    write_exports(root, natural(manifest), manifest)
    write_card(root, manifest, recipe, author)
    write_croissant(root, manifest, recipe)
    write_text(root / MARK, msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode() + "\n")


def _dropped(files: list[Path], plan: Layout, settings: Settings) -> Part:
    """Documents that were dropped: the columns of the others but for the text, and two that say why."""
    given = pq.read_schema(files[0])
    schema = pa.schema([field for field in plan.schema if field.name not in ("text", "domain")])
    schema = schema.append(pa.field("dropped_by", pa.string())).append(given.field("failed_rules"))
    rows = msgspec.structs.replace(plan, schema=schema, domain=("dropped_by",))
    return Part(files, rows, dropped_keys(rows, settings), lambda split: split)


def _footer(recipe: Recipe, columns: list[dict[str, Any]]) -> dict[str, str]:
    """What every Parquet file says of its origin and its columns, under the key `curate`."""
    about = {"version": curate.__version__, "recipe": recipe.name, "recipe_sha256": recipe_digest(recipe)}
    return {"curate": json.dumps({**about, **describe.footer(columns)}, sort_keys=True)}


def _check_place(to: Path, run: Path) -> None:
    if to.resolve() == run.resolve() or to.resolve() in run.resolve().parents:
        raise PlanError(f"{to} holds the run itself: choose another folder")
    if to.exists() and not to.is_dir():
        raise PlanError(f"{to} is a file, not a folder")
    if to.exists() and any(to.iterdir()) and not (to / MARK).exists():
        raise PlanError(f"{to} holds files that are no release: choose another folder, or empty it")
    if (to / MARK).exists() and "manifest_version" not in json.loads((to / MARK).read_text(encoding="utf-8")):
        raise PlanError(f"{to} holds something other than a release, perhaps a run: choose another folder")


def _author(to: Path) -> str | None:
    """What a person wrote into the card of the release that is replaced."""
    from curate.release.card import author_text

    path = to / "README.md"
    return author_text(path.read_text(encoding="utf-8")) if path.exists() else None
