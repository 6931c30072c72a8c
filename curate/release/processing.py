"""How a release was made, for its Data Card: steps, what was thrown away, rules, copies, test sets, models, columns."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

from curate import assets
from curate.card import cell, code
from curate.operator import Deduplicator, Selector
from curate.recipe import Recipe, Step, changed
from curate.release.author import Said, worded
from curate.release.sections import LARGEST, MOST, Part, share


def processing(m: dict[str, Any], recipe: Recipe) -> list[Part]:
    """What was done, and what was thrown away for which reason."""
    steps = [f"`{step.name}`: {_what(step)}{_parameters(step)}" for step in recipe.steps]
    dropped = m["records"] - m["total"]["rows"]
    words = (
        f"Of {m['records']:,} records {dropped:,} were left out ({share(dropped, m['records'])}). A document is counted"
        " at the first reason that took it; bytes are those of the text as it was read."
    )
    where = "The configuration `dropped` has each of them, with every reason but without text." if m["dropped"] else ""
    lost = [words, {"rows": _funnel(m, recipe)}, *([where] if where else [])]
    for name in ("language", "source"):
        rows = _by(name, m)
        lost += [f"By {name}, with the reason that took most:", {"rows": rows}] if len(rows) > 2 else []
    rules: list[list[Any]] = [["rule", "bound is from", "fail", "only as the first reason"]]
    rules += [[f"`{r['rule']}`", r.get("source", "this recipe"), r["fail"], r["dropped"]] for r in m["rules"]]
    about = "`fail` counts every document that a rule speaks against, as far as it was asked."
    found = [Part("How it was made", [steps]), Part("What was thrown away, and why", lost)]
    return [*found, Part("Rules", [about, {"rows": rules}])] if m["rules"] else found


def _funnel(m: dict[str, Any], recipe: Recipe) -> list[list[Any]]:
    """A line for each reason: what it means, what it took, what it left."""
    meaning = {rule["rule"]: f"`{rule['asks']}`" for rule in m["rules"]}
    for step in recipe.steps:
        meaning = {**dict.fromkeys(step.reasons_given().values(), _what(step)), **meaning}
    rows: list[list[Any]] = [
        ["reason", "what stays", "documents lost", "share of all read", "bytes lost", "documents left"]
    ]
    for step in m["funnel"]["steps"]:
        lost: list[Any] = [None, None, None]
        if "failed" in step:
            lost = [step["documents"], share(step["documents"], m["records"]), step["bytes"]]
        rows.append([f"`{step['step']}`", meaning.get(step["step"], ""), *lost, step["documents_left"]])
    left_out = m["funnel"]["steps"][-1]["documents"] - m["total"]["rows"]
    if left_out:
        why = f"what has the licence {' or '.join(m['export'].get('require_license', []))}"
        rows.append(["`require_license`", why, left_out, share(left_out, m["records"]), None, m["total"]["rows"]])
    return rows


def _by(name: str, m: dict[str, Any]) -> list[list[Any]]:
    """Documents read and kept by language or source, and what took most of the others."""
    read: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    taken: dict[str, Counter[str]] = {}
    for group in m["funnel"]["groups"]:
        value, (first, *steps, last) = group[name] or "unknown", group["steps"]
        read[value] += first["documents"]
        kept[value] += last["documents"]
        taken.setdefault(value, Counter()).update({step["step"]: step["documents"] for step in steps})
    rows: list[list[Any]] = [[name, "read", "kept", "share", "most were dropped by"]]
    for value, count in sorted(read.items(), key=lambda item: (-item[1], item[0]))[:LARGEST]:
        reason, most = max(taken[value].items(), key=lambda item: item[1], default=("", 0))
        rows.append([value, count, kept[value], share(kept[value], count), f"`{reason}`" if most else ""])
    return rows


def measured(m: dict[str, Any], recipe: Recipe, said: Said) -> list[Part]:
    """Copies, selection, test sets, personal data, models; then columns and their distributions."""
    dedup = [_found(step, m) for step in recipe.steps if isinstance(step.operator, Deduplicator)]
    tests = [_found(step, m) for step in recipe.steps if step.operator.card_section == "Decontamination"]
    private = [_found(step, m) for step in recipe.steps if step.operator.card_section == "Personal data"]
    models = [line for step in recipe.steps for line in _models(step)]
    words = [("residual_pii", "left in it"), ("human_attributes", "about people"), ("risks", "risks")]
    about = [said(f"sensitive.{key}", label) for key, label in words]
    return [
        Part("Deduplication", [dedup or "Not done."]),
        *_selection(m, recipe),
        Part("Decontamination", [tests or "Not done: whether it holds test sets was not measured.", *_test_sets(m)]),
        Part("Personal data", [private or "Not treated: whether it holds personal data was not measured.", about]),
        Part("Models and lists", [models or "None."]),
        Part("Columns", [{"rows": _columns(m["columns"], m["statistics"])}]),
        *([Part("Columns of lines", [{"rows": _columns(m["line_columns"], {})}])] if m["lines"] else []),
        Part("Distributions", ["Of the released documents.", {"rows": _distributions(m)}]),
    ]


def _selection(m: dict[str, Any], recipe: Recipe) -> list[Part]:
    """What selectors aimed at and got."""
    steps = [step for step in recipe.steps if isinstance(step.operator, Selector) and step.name in m["corpus"]]
    blocks: list[Any] = []
    for step in steps:
        blocks.append([_found(step, m)])
        groups = m["corpus"][step.name].get("groups", [])
        if groups:
            blocks.append({"rows": [[*groups[0]], *([*row.values()] for row in groups[:MOST])]})
    return [Part("Selection", blocks)] if blocks else []


def _test_sets(m: dict[str, Any]) -> list[Any]:
    """Test items that were looked for, and how many were found before documents were dropped or cut."""
    head = ["test set", "items", "not compared", "found in part", "more than half found", "by"]
    keys = ("source", "items", "not_compared", "found", "mostly_found", "step")
    rows = [[row[key] for key in keys] for row in m["contamination"]]
    return [{"rows": [head, *rows]}] if rows else []


def _columns(columns: list[dict[str, Any]], statistics: dict[str, Any]) -> list[list[Any]]:
    rows: list[list[Any]] = [["column", "type", "role", "meaning", "by", "empty"]]
    for c in columns:
        by = f"{c['operator']} {c['version']}" if "operator" in c else None
        empty = statistics.get(c["name"], {}).get("nulls")
        rows.append([f"`{c['name']}`", c["type"], c["role"], c.get("definition", "not described"), by, empty])
    return rows


def _distributions(m: dict[str, Any]) -> list[list[Any]]:
    points = ("min", "5%", "25%", "50%", "75%", "95%", "max", "mean")
    rows: list[list[Any]] = [["column", *points]]
    for name, found in m["statistics"].items():
        if "mean" in found:
            rows.append([f"`{name}`", *(found[point] for point in points)])
    return rows


def _what(step: Step) -> str:
    return inspect.cleandoc(type(step.operator).__doc__ or "").split("\n")[0]


def _parameters(step: Step) -> str:
    """Parameters that are short; rules have a table of their own."""
    given = {k: changed(getattr(step.operator, k)) for k in step.operator.__struct_fields__ if k != "rules"}
    given = {name: value for name, value in given.items() if value not in (None, (), [], {}, "")}
    if not given:
        return ""
    return f" ({', '.join(f'{name} {_value(value)}' for name, value in given.items())})"


def _value(value: Any) -> str:
    text = worded(value) if value is not None else "none"
    return code(text if len(text) < 200 else text[:200] + "…")


def _found(step: Step, m: dict[str, Any]) -> str:
    """What a corpus-wide step was asked and what it found."""
    facts = m["corpus"].get(step.name, {})
    taken = sum(row["documents"] for row in m["funnel"]["steps"] if row["step"] in step.reasons_given().values())
    numbers = [f"{name.replace('_', ' ')} {_count(value)}" for name, value in facts.items() if name != "groups"]
    rate = f"{taken:,} documents dropped ({share(taken, m['records'])} of all read)"
    return f"`{step.name}`: {_what(step)}{_parameters(step)}: {'; '.join([rate, *numbers])}"


def _models(step: Step) -> list[str]:
    """The models and lists a step was given, with what the catalogue of assets knows of them."""
    keys = [
        key
        for key in ("model", "models", "words", "flagged_words", "tokenizer", "lists")
        if hasattr(step.operator, key)
    ]
    named = {key: changed(getattr(step.operator, key)) for key in keys}
    about = [f"{key} {_value(value)}{_asset(value)}" for key, value in named.items() if value not in (None, (), [], "")]
    usual = {"name", "version", "parameters", "files"}
    made = [f"{name} {cell(str(value))}" for name, value in step.operator.identity().items() if name not in usual]
    return [f"`{step.name}` (version {type(step.operator).version}): {', '.join([*about, *made])}."] if about else []


def _asset(name: Any) -> str:
    """What is known of a model or list by its name; training data and scores only where they are stated."""
    found = assets.registry().get(name.split("/")[0]) if isinstance(name, str) else None
    unstated = "its training data and scores are not stated" if isinstance(name, str) and name != "whitespace" else ""
    if found is None:
        return f" ({unstated})" if unstated else ""
    return f" ({cell(found.about)}, version {cell(found.version)}, licence {cell(found.licence)})"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else cell(worded(value) if value is not None else "none")
