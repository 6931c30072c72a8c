"""How a release was made, for its Data Card: steps, what was thrown away, rules, copies, test sets, models, columns."""

from __future__ import annotations

import inspect
from typing import Any

from curate import assets
from curate.card import cell, code
from curate.operator import Deduplicator
from curate.recipe import Recipe, Step, changed
from curate.release.author import Said, worded
from curate.release.sections import Part, share


def processing(m: dict[str, Any], recipe: Recipe) -> list[Part]:
    """What was done, and what was thrown away for which reason."""
    steps = [f"`{step.name}`: {_what(step)}{_parameters(step)}" for step in recipe.steps]
    funnel: list[list[Any]] = [["reason", "documents lost", "bytes lost", "documents left"]]
    for step in m["funnel"]["steps"]:
        is_end = "failed" not in step
        lost = [None, None] if is_end else [step["documents"], step["bytes"]]
        funnel.append([f"`{step['step']}`", *lost, step["documents_left"]])
    left_out = m["funnel"]["steps"][-1]["documents"] - m["total"]["rows"]
    if left_out:
        funnel.append(["`require_license`", left_out, None, m["total"]["rows"]])
    rules: list[list[Any]] = [["rule", "a document stays if", "bound is from", "fail", "dropped first by it"]]
    rules += [
        [f"`{r['rule']}`", f"`{r['asks']}`", r.get("source", "this recipe"), r["fail"], r["dropped"]]
        for r in m["rules"]
    ]
    words = "Bytes are those of the text as it was read; a document is counted at the first reason that took it."
    found = [
        Part("How it was made", [steps]),
        Part("What was thrown away, and why", [words, {"rows": funnel}]),
        Part(
            "Rules",
            ["`fail` counts every document that a rule speaks against, as far as it was asked.", {"rows": rules}],
        ),
    ]
    return found if m["rules"] else found[:2]


def measured(m: dict[str, Any], recipe: Recipe, said: Said) -> list[Part]:
    """Deduplication, decontamination, personal data, models, columns, distributions."""
    dedup = [_found(step, m) for step in recipe.steps if isinstance(step.operator, Deduplicator)]
    tests = [_found(step, m) for step in recipe.steps if "contaminat" in step.operator.name()]
    private = [_found(step, m) for step in recipe.steps if "pii" in step.operator.name()]
    models = [line for step in recipe.steps for line in _models(step)]
    private_words = [said("sensitive.human_attributes", "people"), said("sensitive.risks", "risks")]
    columns: list[list[Any]] = [["column", "type", "role", "meaning", "by", "empty"]]
    for c in m["columns"]:
        by = f"{c['operator']} {c['version']}" if "operator" in c else None
        empty = m["statistics"].get(c["name"], {}).get("nulls")
        columns.append([f"`{c['name']}`", c["type"], c["role"], c.get("definition", "not described"), by, empty])
    points = ("min", "5%", "25%", "50%", "75%", "95%", "max")
    spread = [["column", *points, "mean"]]
    for name, found in m["statistics"].items():
        if "mean" in found:
            spread.append([f"`{name}`", *(found[point] for point in (*points, "mean"))])
    return [
        Part("Deduplication", [dedup or "Not done."]),
        Part("Decontamination", [tests or "Not done: whether it holds test sets was not measured."]),
        Part(
            "Personal data", [private or "Not treated: whether it holds personal data was not measured.", private_words]
        ),
        Part("Models and lists", [models or "None."]),
        Part("Columns", [{"rows": columns}]),
        Part("Distributions", ["Of the released documents.", {"rows": spread}]),
    ]


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
    numbers = [f"{name.replace('_', ' ')} {_count(value)}" for name, value in facts.items()]
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
    return [f"`{step.name}` (version {type(step.operator).version}): {', '.join(about)}."] if about else []


def _asset(name: Any) -> str:
    """What is known of a model or list by its name; training data and scores only where they are stated."""
    found = assets.registry().get(name.split("/")[0]) if isinstance(name, str) else None
    unstated = "its training data and scores are not stated" if isinstance(name, str) and name != "whitespace" else ""
    if found is None:
        return f" ({unstated})" if unstated else ""
    return f" ({cell(found.about)}, version {cell(found.version)}, licence {cell(found.licence)})"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else cell(worded(value) if value is not None else "none")
