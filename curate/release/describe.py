"""What each column of a release is: definition, source and version, for footers, manifest and card."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from curate.operator import Deduplicator, Signal
from curate.recipe import Recipe
from curate.release.columns import Layout
from curate.signals import definitions, origin

OWN = {
    "id": "the document's id",
    "text": "the document",
    "source": "where it is from",
    "license": "licence of the document, else of its source as the author says",
    "domain": "the domain that mixtures weigh: its properties, joined by dots",
    "metadata": "further fields of the record, as JSON",
    "dropped_by": "the reason it was dropped for",
    "failed_rules": "every reason that applies to it",
    "line": "number of the line in its document, from 0",
    "row": "its address in the corpus: number of the shard times 2**32, plus its row",
}


def described(schema: pa.Schema, layout: Layout, recipe: Recipe) -> list[dict[str, Any]]:
    """A line for each column: name, type, role, definition, and the operator and publication it is from."""
    made = _made(recipe)
    lines = []
    for field in schema:
        line = {"name": field.name, "type": str(field.type), "nullable": field.nullable}
        line |= {"role": _role(field.name, layout, made)} | _said(field.name, layout, made)
        lines.append(line)
    return lines


def footer(columns: list[dict[str, Any]]) -> dict[str, Any]:
    """The same for the footer of every Parquet file, what columns share said once."""
    found: dict[str, Any] = {"columns": {}, "operators": {}}
    for line in columns:
        found["columns"][line["name"]] = {key: line[key] for key in ("definition", "operator") if key in line}
        if "operator" in line:
            found["operators"][line["operator"]] = {key: line[key] for key in ("version", "source") if key in line}
    return found


def tokenizers(recipe: Recipe) -> dict[str, str]:
    """Columns that count tokens, and by which tokenizer."""
    found = {}
    for step in recipe.steps:
        if step.operator.name() == "tokens":
            found[step.columns_written()["tokens"]] = str(getattr(step.operator, "tokenizer", ""))
    return found


def _made(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """What the operators of a recipe say of the columns that they write."""
    made: dict[str, dict[str, Any]] = {}
    for step in recipe.steps:
        cls = type(step.operator)
        said = definitions(cls)
        about = {"operator": step.operator.name(), "version": cls.version, "source": origin(cls)}
        role = "signal" if issubclass(cls, Signal) else "dedup" if issubclass(cls, Deduplicator) else "made"
        for own, name in step.columns_written().items():
            if name != "text":
                made[name] = {"definition": said.get(own), **about, "role": role}
    return made


def _role(name: str, layout: Layout, made: dict[str, dict[str, Any]]) -> str:
    if name in ("id", "text"):
        return name
    if name in layout.properties or name == "domain":
        return "property"
    return str(made[name]["role"]) if name in made else "source"


def _said(name: str, layout: Layout, made: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if name in layout.buckets:
        column, edges, labels = layout.buckets[name]
        return {"definition": f"{column} in classes: {', '.join(labels)}, cut at {json.dumps(list(edges))}"}
    if name in made:
        return {key: value for key, value in made[name].items() if key != "role" and value is not None}
    return {"definition": OWN.get(name, "as the source gives it")}
