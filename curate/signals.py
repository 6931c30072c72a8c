"""The catalogue of signals, for docs/signals.md: what each column is, in what unit and range, and what it costs."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from curate import registry
from curate.operator import Operator, Signal

COSTS = Path(__file__).resolve().parents[1] / "benchmarks" / "costs.json"  # column -> nanoseconds per byte of text
RANGE = re.compile(r"\b0\.\.\d[\d.]*|\b0 and more")
LADDER = re.compile(r"(.*_)(\d+)(gram\w*)")
PER_UNIT = re.compile(r"\bper (word|byte|character)\b|_top_\dgram_|^dolma_duplicate_\d+gram_|above 1")

UNBOUNDED = re.compile("dsir_importance|llm_score$")
# Unit by the end of the name, or by words of the definition; the first that fits.
UNITS = (
    ("^dsir_importance", "nats"),
    ("^llm_score_tokens ", "tokens"),
    ("^llm_score", "points"),
    ("^pii_(start|end) ", "bytes"),
    (r"\bin bits\b", "bits"),
    (r"\bin nats\b", "nats"),
    (r"probability", "probability"),
    (r"\bid 0\.\.", "id"),
    (r"_bucket ", "bucket"),
    (r"^\w+_ratio .*\bper (raw )?word", "per word"),
    (r"^\w+(_ratio|_fraction|_frac_\w+|_curly_bracket|_lorem_ipsum) ", "share"),
    (r"^\w+(_count|_counts|_depth|_words|_num_\w+|_nlines|_mark|_bulletpoint) ", "count"),
    (r"^rps_lines_(start|end) ", "characters"),
    (r"^\w+(_length|_longest\w*) ", "characters"),
    (r"^tokens ", "tokens"),
)


class Entry(NamedTuple):
    """A row of the catalogue."""

    name: str
    definition: str
    unit: str
    range: str
    level: str  # document, or line: a value for each line
    cost: float | None


def families() -> dict[str, type[Signal]]:
    """Operators that measure, by name."""
    return {name: cls for name, cls in registry.builtin().items() if issubclass(cls, Signal)}


def entries(cls: type[Signal]) -> list[Entry]:
    """All columns that an operator can write. Raises KeyError for one that its description leaves out.

    >>> from curate.operators.gopher import Gopher
    >>> entries(Gopher)[0][:5]
    ('gopher_word_count', 'words', 'count', '0 and more', 'document')
    """
    said, costs = definitions(cls), _costs()
    columns = msgspec.convert(getattr(cls, "example", {}), cls).writes()
    return [
        Entry(
            name=name,
            definition=said[name],
            unit=_unit(name, kind, said[name]),
            range=_range(name, kind, said[name]),
            level="line" if pa.types.is_list(kind) and kind.value_type != pa.string() else "document",
            cost=costs.get(name),
        )
        for name, kind in columns.items()
    ]


def definitions(cls: type[Operator]) -> dict[str, str]:
    """What the operator's description says of each column, with what it takes from the line before filled in."""
    found: dict[str, str] = {}
    name = before = ""
    for line in inspect.cleandoc(cls.__doc__ or "").split("\n"):
        match = re.match(r"([a-z]\w+)  +(\S.*)", line)
        if match:
            before, name = found.get(name, ""), match[1]
            found[name] = match[2].replace("characters in them", f"characters in {_bare(before)}")
        elif name and line.startswith("   "):
            found[name] += f" {line.strip()}"
        else:
            name = ""
    return {name: _bare(_rung(name, found)) for name in found}


def _rung(name: str, found: dict[str, str]) -> str:
    """In a ladder of n-grams only the first has the whole definition."""
    here = LADDER.fullmatch(name)
    if not here:
        return found[name]
    first = next(other for other in found if (at := LADDER.fullmatch(other)) and at[1] == here[1])
    least = LADDER.fullmatch(first)[2]  # type: ignore[index]
    return found[first].replace(f"{least}-gram", f"{here[2]}-gram")


def _bare(text: str) -> str:
    return text.rstrip(" ;,")


def _unit(name: str, kind: pa.DataType, definition: str) -> str:
    if pa.types.is_list(kind) and kind.value_type != pa.string():
        return _unit(name, kind.value_type, definition)
    if pa.types.is_nested(kind):
        return "names" if kind == pa.list_(pa.string()) else "table"
    if pa.types.is_string(kind) or pa.types.is_boolean(kind):
        return "text" if pa.types.is_string(kind) else "yes or no"
    return next((unit for pattern, unit in UNITS if re.search(pattern, f"{name} {definition}")), "number")


def _range(name: str, kind: pa.DataType, definition: str) -> str:
    if UNBOUNDED.match(name):
        return ""
    if pa.types.is_list(kind):
        return _range(name, kind.value_type, definition)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return "true, false" if pa.types.is_boolean(kind) else ""
    stated = RANGE.search(definition)
    if stated:
        return stated[0]
    bounded = name.endswith("_ratio") and not PER_UNIT.search(f"{name} {definition}")
    return "0..1" if bounded else "0 and more"


def _costs() -> dict[str, float]:
    return json.loads(COSTS.read_text(encoding="utf-8")) if COSTS.exists() else {}


def markdown() -> str:
    """docs/signals.md."""
    all_entries = {name: entries(cls) for name, cls in families().items()}
    has_costs = any(entry.cost is not None for rows in all_entries.values() for entry in rows)
    total = sum(map(len, all_entries.values()))
    lines = ["# Signals", "", "Generated from the code by `python docs/generate.py`.", ""]
    lines += [
        f"{total} columns of {len(all_entries)} operators; [operators.md](operators.md) has their parameters and",
        "",
    ]
    lines[-2] += (
        " conventions. `signals:` of a family names those wanted; `keep: {rules: ...}` asks for those it reads."
    )
    for name, cls in families().items():
        lines += [f"## {name}", "", origin(cls), ""]
        head = ["signal", "definition", "unit", "range", "level", *(["ns/byte"] if has_costs else [])]
        lines += [_row(head), _row(["---"] * len(head))]
        lines += [_row([f"`{e.name}`", *e[1:5], *([_cost(e.cost)] if has_costs else [])]) for e in all_entries[name]]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def origin(cls: type[Operator]) -> str:
    """The system or paper a family is from, as its file says."""
    return re.split(r"\n\n", inspect.cleandoc(inspect.getmodule(cls).__doc__ or ""))[0].replace("\n", " ")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _cost(cost: float | None) -> str:
    return "" if cost is None else f"{cost:.2f}"
