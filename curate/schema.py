"""JSON Schema of recipes and configs, for completion and checks in editors."""

from __future__ import annotations

from typing import Any

import msgspec

from curate import registry
from curate.config import Config
from curate.io.source import Source
from curate.operator import Operator
from curate.recipe import Output


def recipe_schema() -> dict[str, Any]:
    """The schema of a recipe file, with every operator this installation knows."""
    catalogue, text = registry.builtin(), {"type": "string"}
    _, components = msgspec.json.schema_components([Source, Output, *catalogue.values()], ref_template="#/$defs/{name}")
    definitions = {name: _with_variables(_no_titles(part)) for name, part in components.items()}
    for cls in catalogue.values():
        definitions[cls.__name__]["properties"] |= STEP_PROPERTIES
        definitions[cls.__name__]["description"] = (cls.__doc__ or "").split("\n\n")[0]
    keep = definitions["Keep"]["properties"]
    keep["rules"] = {"anyOf": [keep["rules"], text], "description": "rules, or the name of a rule set"}
    keep["with"] = {"type": "object", "description": "of a rule set: rule -> what differs in it, or null"}
    steps = [{"enum": [name for name, cls in catalogue.items() if not _required(cls)]}]
    steps += [_one_step(name, {"$ref": f"#/$defs/{cls.__name__}"}) for name, cls in catalogue.items()]
    steps.append(_one_step("include", INCLUDE))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "curate recipe",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": text,
            "description": text,
            "variables": {"type": "object", "description": "defaults of ${variables} in this file"},
            "uses": {"type": "array", "items": text, "description": "Python files with operators of your own"},
            "sources": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Source"}},
            "steps": {"type": "array"},
            "annotate": {"enum": ["kept", "all"], "description": "later steps see kept documents only, or all"},
            "output": {"$ref": "#/$defs/Output"},
            "card": {"type": "object", "description": "what only the author can say, for the Data Card"},
        },
        # Operators of `uses:` files are not known here.
        "if": {"not": {"required": ["uses"]}},
        "then": {"properties": {"steps": {"items": {"anyOf": steps}}}},
        "$defs": definitions,
    }


def config_schema() -> dict[str, Any]:
    """The schema of a config file."""
    return msgspec.json.schema(Config)


STEP_PROPERTIES: dict[str, Any] = {
    "as": {"type": "string", "description": "name of this instance; prefixes what it writes"},
    "from": {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "sources or steps whose rows it works on",
    },
    "where": {"type": "string", "description": "SQL condition; other rows pass untouched"},
    "columns": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "which column to read for one of the operator's own",
    },
}
VARIABLE = {"type": "string", "pattern": r"^\$\{.+\}$"}
INCLUDE: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["recipe"],
            "properties": {"recipe": {"type": "string"}, "with": {"type": "object"}},
        },
    ],
    "description": "steps of another recipe or rule set",
}


def _one_step(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": [name], "properties": {name: body}}


def _required(cls: type[Operator]) -> bool:
    return any(field.required for field in msgspec.structs.fields(cls))


def _no_titles(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "title"}


def _with_variables(part: Any) -> Any:
    """Numbers, booleans and strings of a pattern may also be a ${variable}."""
    if isinstance(part, list):
        return [_with_variables(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") in ("integer", "number", "boolean") or "pattern" in part:
        return {"anyOf": [part, VARIABLE], **({"default": part["default"]} if "default" in part else {})}
    return {key: _with_variables(inner) for key, inner in part.items()}
