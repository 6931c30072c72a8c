"""manifest.json of a release: files, domains, columns and the run they are from; a trainer needs no scan."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

import curate
from curate.operators.keep import Keep, text
from curate.recipe import Recipe, changed
from curate.release import describe, measure
from curate.release.columns import UNKNOWN, UNSAFE, Layout, licence_of
from curate.release.routes import Route
from curate.release.settings import Settings

VERSION = "1"


def manifest_of(
    root: Path,
    run: dict[str, Any],
    recipe: Recipe,
    layout: Layout,
    columns: list[dict[str, Any]],
    settings: Settings,
    written: dict[str, list[tuple[Route, str]]],
) -> dict[str, Any]:
    """All that is known of a release; `written` are the files of `data` and `dropped`, below `root`."""
    tokens = describe.tokenizers(recipe)
    files = [_file(root, route, path, tokens) for route, path in written["data"]]
    dropped = [{**measure.measured_file(root, path, ()), "reason": route.domain} for route, path in written["dropped"]]
    lines = [measure.measured_file(root, path, ()) for _, path in written["lines"]]
    names = [name for name in layout.properties if name in layout.schema.names]
    properties = measure.measured_properties(root, files, names, tokens) if files else {}
    made = {
        "manifest_version": VERSION,
        "dataset": _dataset(recipe, run, files),
        "inputs": inputs(recipe, run, properties.get("source", {})),
        "total": measure.summed(files),
        "splits": {name: measure.summed(_of(files, split=name)) for name in _distinct(files, "split")},
        "domain_columns": list(layout.domain),
        "domains": domains(files, written["data"]),
        "files": files,
        "dropped": dropped,
        "lines": lines,
        "columns": columns,
        "schema_sha256": schema_digest(layout.schema),
        "statistics": measure.measured_columns(root, files) if files else {},
        "properties": properties,
        "tokenizers": {name: {"name": tokenizer} for name, tokenizer in tokens.items()},
        "buckets": {
            name: {"from": column, "edges": list(edges), "labels": list(labels)}
            for name, (column, edges, labels) in layout.buckets.items()
        },
        "records": run["records"],
        "quarantined": run["quarantined"],
        "funnel": run["funnel"],
        "rules": rules(recipe, run),
        "corpus": {name: found for name, found in run["corpus"].items() if found},
        "contamination": run.get("contamination", []),
        "export": settings.identity(),
        "environment": {"curate": curate.__version__, "pyarrow": pa.__version__, "python": platform.python_version()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(made))  # as it will be read again
    return plain


def _dataset(recipe: Recipe, run: dict[str, Any], files: list[dict[str, Any]]) -> dict[str, Any]:
    about = {"name": recipe.name, "run": run["key"], "recipe_sha256": recipe_digest(recipe)}
    listing = "".join(f"{file['sha256']}  {file['path']}\n" for file in files)
    return {**about, "files_sha256": hashlib.sha256(listing.encode()).hexdigest()}


def inputs(recipe: Recipe, run: dict[str, Any], here: dict[str, Any]) -> list[dict[str, Any]]:
    """What was read, kept and released of each value of `source`, with what the author says of it."""
    said = recipe.card.get("sources")
    said = {glob: about for glob, about in said.items() if isinstance(about, dict)} if isinstance(said, dict) else {}
    licences = {glob: glob for glob in said}
    found: dict[str, dict[str, Any]] = {}
    for group in run["funnel"]["groups"]:
        line = found.setdefault(group["source"], {"name": group["source"], "read": 0, "kept": 0})
        line["read"] += group["steps"][0]["documents"]
        line["kept"] += group["steps"][-1]["documents"]
    for name, line in found.items():
        line |= said.get(licence_of(name, licences) or "", {})
        line["released"] = here.get(UNSAFE.sub("_", name) or UNKNOWN, {}).get("rows", 0)
    return sorted(found.values(), key=lambda line: (-line["released"], -line["kept"], line["name"]))


def licences(recipe: Recipe) -> dict[str, str]:
    """Source (a glob) -> licence, as card.sources of the recipe says."""
    said = recipe.card.get("sources")
    if not isinstance(said, dict):
        return {}
    stated = {glob: about.get("license") for glob, about in said.items() if isinstance(about, dict)}
    named = {
        glob: (one.get("spdx") or one.get("name")) if isinstance(one, dict) else one for glob, one in stated.items()
    }
    return {glob: str(name) for glob, name in named.items() if name}


def rules(recipe: Recipe, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Every rule of the recipe: what it asks, where that is from, how many documents fail it, how many it took."""
    taken = {step["step"]: step["documents"] for step in run["funnel"]["steps"][1:-1]}
    found = []
    for step in recipe.steps:
        if not isinstance(step.operator, Keep):
            continue
        for own, name in step.reasons_given().items():
            rule = step.operator.rule(own)
            line = {"rule": name, "asks": text(rule), "fail": run["rules"].get(name, 0), "dropped": taken.get(name, 0)}
            found.append(line | ({"source": rule.source} if rule.source else {}))
    return found


def domains(files: list[dict[str, Any]], written: list[tuple[Route, str]]) -> list[dict[str, Any]]:
    """Each split's part of each domain: its properties, its files, and how much it holds."""
    routes = {(route.split, route.domain): route for route, _ in written}
    found = []
    for (split, name), route in routes.items():
        part = _of(files, split=split, domain=name)
        found.append({"name": name, "split": split, "values": list(route.values), "files": [f["path"] for f in part]})
        found[-1] |= measure.summed(part)
    return found


def schema_digest(schema: pa.Schema) -> str:
    """SHA-256 of names, types and nullability."""
    lines = "".join(f"{field.name} {field.type} {field.nullable}\n" for field in schema)
    return hashlib.sha256(lines.encode()).hexdigest()


def published(recipe: Recipe) -> Recipe:
    """The recipe without what only this machine knows: folders become the names at their ends."""
    sources = {}
    for name, source in recipe.anywhere().sources.items():
        paths = [source.path] if isinstance(source.path, str) else source.path
        ends = [path if "://" in path else Path(path).name for path in paths]
        sources[name] = msgspec.structs.replace(source, path=ends[0] if isinstance(source.path, str) else ends)
    return msgspec.structs.replace(recipe.anywhere(), sources=sources)


def recipe_digest(recipe: Recipe) -> str:
    """SHA-256 of the recipe but for where its sources lie, which is another place on every machine."""
    plain = recipe.anywhere().to_plain()
    plain["sources"] = {name: {**changed(s), "path": name} for name, s in recipe.sources.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _file(root: Path, route: Route, path: str, tokens: dict[str, str]) -> dict[str, Any]:
    facts = measure.measured_file(root, path, tokens)
    return {"path": facts.pop("path"), "split": route.split, "domain": route.domain, **facts}


def _of(files: list[dict[str, Any]], **values: str) -> list[dict[str, Any]]:
    return [file for file in files if all(file[key] == value for key, value in values.items())]


def _distinct(files: list[dict[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(file[key] for file in files))
