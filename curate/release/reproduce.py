"""Makes a release again from its own recipe and the same sources, and compares the files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from curate.config import Config
from curate.errors import RecipeError, nearest
from curate.recipe import Recipe
from curate.release import export
from curate.release.check import open_release


def reproduce(
    folder: str | Path,
    sources: Mapping[str, str],
    work: str | None = None,
    config: Config | None = None,
    allow_code: bool = False,
) -> dict[str, str]:
    """Run the recipe of a release and export it as it was: each file, and whether it is `same`, `differs` or `missing`.

    folder   the release
    sources  source of the recipe -> where it is on this machine
    work     where the run and the new release stay; else they go when it is done
    allow_code  run Python files that the recipe `uses:` from outside the folder

    Raises RecipeError for a source without a place, or a name that the recipe has not.
    """
    told = open_release(folder)
    recipe = placed(Recipe.load(Path(folder, "recipe.yaml"), allow_code=allow_code), sources)
    if work is not None:
        return _compared(told, recipe, Path(work), config)
    with tempfile.TemporaryDirectory() as temporary:
        return _compared(told, recipe, Path(temporary), config)


def placed(recipe: Recipe, sources: Mapping[str, str]) -> Recipe:
    """The recipe with its sources where they are on this machine."""
    for name in sources:
        if name not in recipe.sources:
            raise RecipeError(f"--sources {name}: the recipe has no such source{nearest(name, recipe.sources)}")
    found = {}
    for name, source in recipe.sources.items():
        paths = [source.path] if isinstance(source.path, str) else source.path
        if name not in sources and not all("://" in path for path in paths):
            raise RecipeError(f"where is the source {name!r} on this machine? Add --sources {name}=PATH")
        found[name] = msgspec.structs.replace(source, path=sources.get(name, source.path))
    return msgspec.structs.replace(recipe, sources=found)


def _compared(told: dict[str, Any], recipe: Recipe, work: Path, config: Config | None) -> dict[str, str]:
    from curate.engine import run

    output = msgspec.structs.replace(recipe.output, path=str(work / "run"))
    result = run(msgspec.structs.replace(recipe, output=output), config)
    made = open_release(export(result, work / "release", **told["export"]))
    hashes = {file["path"]: file["sha256"] for file in [*made["files"], *made["dropped"], *made["lines"]]}
    verdicts = {}
    for file in [*told["files"], *told["dropped"], *told["lines"]]:
        here = hashes.pop(file["path"], None)
        verdicts[file["path"]] = "missing" if here is None else "same" if here == file["sha256"] else "differs"
    return verdicts | dict.fromkeys(hashes, "new")
