"""The catalogue of operators, for `curate ops` and docs/operators.md: all of it from the code."""

from __future__ import annotations

import inspect
from pathlib import Path

import msgspec

from curate import assets, registry
from curate.operator import KINDS, Operator
from curate.recipe import default
from curate.result import table_text


def summary(cls: type[Operator]) -> str:
    """The first line of an operator's description."""
    return inspect.cleandoc(cls.__doc__ or "").split("\n")[0]


def list_text() -> str:
    """All operators, one line each."""
    rows = [["operator", "kind", "what it does"]]
    rows += [[name, cls.kind, summary(cls)] for name, cls in registry.builtin().items()]
    return table_text(rows, left=3)


def assets_text() -> str:
    """All known assets, one line each, and the folder they are kept in."""
    rows = [["asset", "version", "bytes", "licence", "here", "what it is"]]
    for name, asset in assets.registry().items():
        here = "no" if asset.absent() else asset.package or "yes"
        rows.append([name, asset.version, f"{asset.size:,}", asset.licence, here, asset.about])
    return f"{table_text(rows, left=6)}\n\nfolder  {assets.folder()}"


def signature(cls: type[Operator]) -> list[tuple[str, str, str]]:
    """Parameters: name, type, default."""
    hints = cls.__annotations__ | {
        k: v for base in cls.__mro__ for k, v in vars(base).get("__annotations__", {}).items()
    }
    rows = []
    for field in msgspec.structs.fields(cls):
        kind = hints.get(field.name, field.type)
        text = kind if isinstance(kind, str) else _type_name(field.type)
        rows.append((field.name, text, "required" if field.required else repr(default(field))))
    return rows


def page(name: str) -> str:
    """An operator's page: kind, parameters, columns, description."""
    cls = registry.find(name)
    lines = [f"{name} ({cls.kind}, version {cls.version})", "", inspect.cleandoc(cls.__doc__ or "")]
    parameters = signature(cls)
    if parameters:
        lines += ["", "parameters", *(f"  {field}: {kind} = {default}" for field, kind, default in parameters)]
    lines += ["", f"source  {_source(cls)}"]
    return "\n".join(lines)


def markdown() -> str:
    """docs/operators.md."""
    lines = [
        "# Operators",
        "",
        "Generated from the code by `python docs/generate.py`; `curate ops NAME` prints the same.",
        "",
    ]
    for kind in KINDS:
        found = {name: cls for name, cls in registry.builtin().items() if issubclass(cls, kind)}
        for name, cls in found.items():
            lines += [f"## {name}", "", f"*{kind.kind}, version {cls.version}*", "", "```text"]
            lines += [inspect.cleandoc(cls.__doc__ or ""), "```", ""]
            parameters = signature(cls)
            if parameters:
                lines += ["| parameter | type | default |", "|---|---|---|"]
                lines += [f"| `{f}` | `{k.replace('|', chr(92) + '|')}` | `{d}` |" for f, k, d in parameters] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _type_name(kind: object) -> str:
    text = getattr(kind, "__name__", None) if isinstance(kind, type) else str(kind)
    return (text or str(kind)).replace("typing.", "")


def _source(cls: type[Operator]) -> str:
    path = Path(inspect.getfile(cls))
    line = inspect.getsourcelines(cls)[1]
    return f"{path.parent.name}/{path.name}:{line}"
