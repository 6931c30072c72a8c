"""Whether a release is what it says: the manifest against the files, the card against the manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from curate.errors import DataError
from curate.recipe import Recipe
from curate.release import measure
from curate.release.card import author_text, card_of, rendered
from curate.release.croissant import croissant
from curate.release.manifest import recipe_digest

CLOSED = (["splits"], ["statistics"], ["properties"])  # parts that may tell of nothing that is not found


class Checked(NamedTuple):
    """How many facts were compared, and those that differ, in words."""

    compared: int
    problems: list[str]


def open_release(folder: str | Path) -> dict[str, Any]:
    """The manifest of a release. DataError where there is none."""
    path = Path(folder, "manifest.json")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"no release in {folder}: {error} (curate export makes one)") from error
    if "manifest_version" not in manifest:
        raise DataError(f"{folder} holds a run, not a release: curate export {folder} --to DIR makes one")
    return manifest


def check(folder: str | Path, allow_code: bool = False) -> Checked:
    """Measure the data again and compare: hashes, counts, distributions, and what the card says of them."""
    root, manifest = Path(folder), open_release(folder)
    recipe = Recipe.load(root / "recipe.yaml", allow_code=allow_code)
    missing = [f["path"] for f in _listed(manifest) if not (root / f["path"]).exists()]
    if missing:
        return Checked(len(missing), [f"{path}: the manifest names it, and it is not there" for path in missing])
    told, found = {"manifest": manifest}, {"manifest": measured(root, manifest, recipe)}
    pairs = [*_differing(found, told)]
    problems = [f"{where}: {told_} is told, {found_} is found" for where, told_, found_ in pairs if told_ != found_]
    problems += _sums(manifest)
    problems += _unlisted(root, manifest)
    try:
        problems += _texts(root, manifest, recipe)
    except (KeyError, TypeError, OSError) as error:
        problems.append(f"no card can be made of the manifest, or there is none: {error!r}")
    return Checked(len(pairs), problems)


def measured(root: Path, manifest: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Those parts of the manifest that follow from the files alone."""
    tokens, files = [*manifest["tokenizers"]], []
    for file in manifest["files"]:
        split, domain = _place(file["path"])
        files.append({"split": split, "domain": domain} | measure.measured_file(root, file["path"], tokens))
    dropped = [measure.measured_file(root, file["path"], ()) for file in manifest["dropped"]]
    lines = [measure.measured_file(root, file["path"], ()) for file in manifest["lines"]]
    schema = pq.read_schema(root / files[0]["path"])
    domains = []
    for told in manifest["domains"]:
        part = [file for file in files if (file["split"], file["domain"]) == (told["split"], told["name"])]
        domains.append({"files": [file["path"] for file in part]} | measure.summed(part))
    splits = dict.fromkeys(file["split"] for file in files)
    return {
        "files": files,
        "dropped": dropped,
        "lines": lines,
        "total": measure.summed(files),
        "splits": {name: measure.summed(file for file in files if file["split"] == name) for name in splits},
        "domains": domains,
        "columns": [{"name": f.name, "type": str(f.type), "nullable": f.nullable} for f in schema],
        "statistics": measure.measured_columns(root, files),
        "properties": measure.measured_properties(root, files, manifest["properties"], tokens),
        "dataset": {"recipe_sha256": recipe_digest(recipe)},
    }


def _listed(m: dict[str, Any]) -> list[dict[str, Any]]:
    """Every file that the manifest names."""
    return [*m["files"], *m["dropped"], *m["lines"]]


def _place(path: str) -> tuple[str, str]:
    """Split and domain, as the path says: data/SPLIT/DOMAIN-00000-of-00001.parquet."""
    name = Path(path).stem
    return Path(path).parent.name, name.rsplit("-", 3)[0]


def _differing(found: Any, told: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every single value that was found, beside what is told of it."""
    if isinstance(found, dict):
        for key, value in found.items():
            inner = told.get(key) if isinstance(told, dict) else None
            yield from _differing(value, inner, f"{where}.{key}" if where else str(key))
        if where.split(".")[1:2] in CLOSED:
            yield from ((f"{where}.{key}", told[key], None) for key in told or () if key not in found)
    elif isinstance(found, list):
        if not isinstance(told, list) or len(told) != len(found):
            yield where, told, found
            return
        for at, (value, inner) in enumerate(zip(found, told, strict=True)):
            yield from _differing(value, inner, f"{where}[{at}]")
    else:
        yield where, told, found


def _sums(m: dict[str, Any]) -> list[str]:
    """What no file shows but must add up: the funnel, from what was read to what is here."""
    steps = m["funnel"]["steps"]
    left = steps[0]["documents"]
    problems = []
    for step in steps[1:-1]:
        left -= step["documents"]
        if left != step["documents_left"]:
            problems.append(f"funnel, {step['step']}: {step['documents_left']} are told to be left, {left} are")
    if steps[0]["documents"] != m["records"] or left != steps[-1]["documents"]:
        problems.append(f"funnel: {steps[0]['documents']} read and {steps[-1]['documents']} kept do not add up")
    licensed = bool(m["export"].get("require_license"))
    if m["total"]["rows"] > left or (m["total"]["rows"] != left and not licensed):
        problems.append(f"funnel: {left} documents were kept, {m['total']['rows']} are in the files")
    here = sum(line["released"] for line in m["inputs"])
    if here != m["total"]["rows"]:
        problems.append(f"inputs: {here} documents of all sources are told to be here, {m['total']['rows']} are")
    if m["dropped"]:
        problems += _reasons(m)
        here = sum(file["rows"] for file in m["dropped"])
        unread = next((s["documents"] for s in steps if s["step"] == "quarantine.read"), 0)
        if here != m["records"] - m["total"]["rows"] - unread:
            problems.append(
                f"dropped: {here} rows, but {m['records'] - m['total']['rows'] - unread} documents were dropped"
            )
    return problems


def _reasons(m: dict[str, Any]) -> list[str]:
    """Each reason of the funnel against the rows in dropped/."""
    here: Counter[str] = Counter()
    for file in m["dropped"]:
        here[file["reason"]] += file["rows"]
    told = {step["step"]: step["documents"] for step in m["funnel"]["steps"] if "failed" in step}
    found = {name: count for name, count in told.items() if name != "quarantine.read" and count != here[name]}
    return [f"dropped, {name}: {count} are told, {here[name]} are in the files" for name, count in found.items()]


def _unlisted(root: Path, m: dict[str, Any]) -> list[str]:
    known = {file["path"] for file in _listed(m)}
    there = {str(path.relative_to(root)) for path in root.rglob("*.parquet")}
    return [f"{path}: is there, and the manifest does not name it" for path in sorted(there - known)]


def _texts(root: Path, m: dict[str, Any], recipe: Recipe) -> list[str]:
    """The card and croissant.json, against what manifest and recipe make of them."""
    problems = []
    author = author_text((root / "README.md").read_text(encoding="utf-8"))
    for name, made in rendered(card_of(m, recipe), m, author).items():
        given, wanted = (root / name).read_text(encoding="utf-8").splitlines(), made.splitlines()
        for at, (line, right) in enumerate(zip(given, wanted, strict=False), 1):
            if line != right:
                problems.append(f"{name}:{at}: {_shown(line)} should be {_shown(right)}")
        if len(given) != len(wanted):
            problems.append(f"{name}: {len(given)} lines, should be {len(wanted)}")
    told = json.loads((root / "croissant.json").read_text(encoding="utf-8"))
    right = json.loads(json.dumps(croissant(m, recipe)))
    problems += [f"croissant.json, {key}: differs from the manifest" for key in right if told.get(key) != right[key]]
    return problems


def _shown(line: str) -> str:
    return repr(line if len(line) < 300 else line[:300] + "…")
