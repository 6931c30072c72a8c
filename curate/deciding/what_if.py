"""What other bounds would keep: `curate what-if`. Counts are exact at every bound that is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate.deciding.annotated import Annotated, annotated
from curate.deciding.cells import matrix, unreadable
from curate.deciding.curves import GROUPS, Curve, Side, count, first_look, grid, sides
from curate.deciding.decide import Decision
from curate.deciding.policy import Given, Policy, policy, policy_of_run, steps_of, why_not, with_rules
from curate.errors import PlanError, nearest
from curate.funnel import UNITS
from curate.operators.keep import Keep, text
from curate.plan import PlannedStep
from curate.result import Result, table_text


class WhatIf:
    """What rules keep, and would keep at other bounds; every table is a Polars frame.

    rules     for each reason: documents that it applies to (`fails`), that it is the first reason of (`takes`), that
              no other reason would drop (`only_*`), and what would be kept by it alone (`alone_*`)
    curves    documents, words and bytes kept at each `bound` of a rule's `side`, with the other rules and without
              (`alone_*`); for all documents, for each source and each language (`by`, `value`)
    overlap   documents, words and bytes that two rules both apply to; their share of the first; Jaccard similarity
    groups    read and kept, by source and language
    decision  what the rules as they stand give
    """

    def __init__(self, decision: Decision, curves: pl.DataFrame, texts: Mapping[str, str]):
        self.decision, self.curves = decision, curves
        self.rules = _rules(decision, texts)
        self.overlap = _overlap(decision)
        self.groups = _groups(decision)

    def to(self, folder: str | Path) -> list[Path]:
        """Write the tables as Parquet files of their names."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        tables = {"rules": self.rules, "curves": self.curves, "overlap": self.overlap, "groups": self.groups}
        for name, table in tables.items():
            table.write_parquet(Path(folder, f"{name}.parquet"))
        return [Path(folder, f"{name}.parquet") for name in tables]

    def curve(self, rule: str, side: Side | None = None) -> pl.DataFrame:
        """The curve of one rule for all documents."""
        found = self.curves.filter(pl.col("rule") == rule, pl.col("by") == "all")
        return found if side is None else found.filter(pl.col("side") == side)

    def text(self, rule: str | None = None) -> str:
        """Tables for a terminal: the rules, which of them overlap, and curves of one rule."""
        decision = self.decision
        rules = self.rules if rule is None else self.rules.filter(pl.col("rule") == rule)
        parts = [f"{decision.kept:,} of {decision.records:,} documents kept", _rules_text(rules)]
        pairs = self.overlap.filter(pl.col("rule") < pl.col("other"), pl.col("documents") > 0)
        if len(pairs) and rule is None:
            parts.append(_overlap_text(pairs.sort("documents", "rule", "other", descending=[True, False, False])))
        for side in ("min", "max") if rule else ():
            curve = self.curve(str(rule), side)
            parts += [_curve_text(curve)] if len(curve) else []
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        lines = [_drawn(name, self.curve(name)) for name in self.curves["rule"].unique(maintain_order=True)]
        return f"{self.rules._repr_html_()}<div>{''.join(lines)}</div>"


def what_if(
    run: str | Path | Result,
    rules: Given | None = None,
    rule: str | None = None,
    bounds: Mapping[str, Sequence[float]] | None = None,
    words: str | None = None,
    bytes: str | None = None,
    groups: Sequence[str] = GROUPS,
) -> WhatIf:
    """What rules keep and would keep as their bounds move, counted from the columns.

    run     an output folder, or Parquet with columns, as for `decide`
    rules   the rules to look at; None: those that the run was made with
    rule    curves of this rule only
    bounds  rule -> bounds to count at; otherwise all values of the column where these are few, else its percentiles
    words, bytes   columns with the size of each document
    groups  what curves are counted by: `all` documents, each `source`, each `language`

    A curve moves a rule's own bound; where `overrides` give a value other bounds, these stay, but the curve of a
    language moves that language's own. Steps after a rule that saw only what it had kept cannot tell what they would
    do with more.
    """
    data = annotated(run, words, bytes)
    return counted(data, _policy(data, rules), rule, bounds, groups)


def counted(
    data: Annotated,
    applied: Policy,
    rule: str | None = None,
    bounds: Mapping[str, Sequence[float]] | None = None,
    groups: Sequence[str] = GROUPS,
) -> WhatIf:
    """The same for a policy at hand."""
    named = {name: step for step in applied.rules for name in step.outputs.values() if isinstance(step.operator, Keep)}
    for name in [*([rule] if rule else []), *(bounds or {})]:
        if name not in named:
            raise PlanError(f"there is no rule {name!r}{nearest(name, named) or '; there are ' + ', '.join(named)}")
    found = [(name, *place) for name, step in named.items() if rule in (None, name) for place in sides(name, step)]
    cells, values = first_look(data, applied, [(step, own) for _, step, own, _ in found])
    curves = []
    for name, step, own, side in found:
        law = step.operator.rule(own)  # type: ignore[attr-defined]
        at = np.array((bounds or {}).get(name) or grid(values[step.inputs[law.column]], getattr(law, side)), float)
        curves.append(Curve(name, step, own, side, np.unique(at)))
    decision = Decision(applied, cells, unreadable(data))
    texts = {name: text(named[name].operator.rule(own)) for name, own in _own(named).items()}  # type: ignore[attr-defined]
    return WhatIf(decision, count(data, applied, curves, groups), texts)


def _own(named: Mapping[str, PlannedStep]) -> dict[str, str]:
    """The operator's own name of each rule."""
    return {name: own for step in named.values() for own, name in step.outputs.items()}


def _policy(data: Annotated, rules: Given | None) -> Policy:
    if data.result is None:
        if rules is None:
            raise PlanError(f"{data.title} is no run: say which rules to look at (--rules)")
        return policy(data, steps_of(rules))
    recipe = data.result.recipe
    if rules is None:
        return policy_of_run(data, recipe, is_own=True)
    new = with_rules(recipe, steps_of(rules))
    reason = why_not(data, recipe, new)
    if reason:
        raise PlanError(f"{data.title}: the columns do not say what these rules give: {reason}")
    return policy_of_run(data, new)


# ---------------------------------------------------------------- tables


def _rules(decision: Decision, texts: Mapping[str, str]) -> pl.DataFrame:
    """One row per reason, in the order of the recipe."""
    cells = decision.cells
    fails = matrix(decision.rules, cells)
    units = {unit: cells[unit].to_numpy() for unit in UNITS}
    others = fails.sum(axis=1)[:, None] - fails
    first = np.where(fails.any(axis=1), fails.argmax(axis=1), -1) if fails.shape[1] else np.zeros(0, int)
    rows = []
    for at, name in enumerate(decision.rules.reasons):
        mine = fails[:, at]
        row: dict[str, Any] = {"rule": name, "condition": texts.get(name)}
        row |= {"fails": int(units["documents"][mine].sum()), "takes": int(units["documents"][first == at].sum())}
        row |= {f"only_{unit}": int(count[mine & (others[:, at] == 0)].sum()) for unit, count in units.items()}
        row |= {f"alone_{unit}": int(count[~mine].sum()) for unit, count in units.items()}
        rows.append(row)
    names = ["fails", "takes", *(f"{kind}_{unit}" for kind in ("only", "alone") for unit in UNITS)]
    return pl.DataFrame(rows, schema={"rule": pl.String, "condition": pl.String, **dict.fromkeys(names, pl.Int64)})


def _overlap(decision: Decision) -> pl.DataFrame:
    """Every pair of reasons; a reason with itself is all that it applies to."""
    names, cells = [*decision.rules.reasons], decision.cells
    fails = matrix(decision.rules, cells).astype(np.int64)
    both = {unit: fails.T @ (fails * cells[unit].to_numpy()[:, None]) for unit in UNITS}
    size = both["documents"].diagonal()
    union = size[:, None] + size[None, :] - both["documents"]
    table: dict[str, Any] = {"rule": np.repeat(names, len(names)), "other": names * len(names)}
    table |= {unit: counts.ravel() for unit, counts in both.items()}
    table["share"] = (both["documents"] / np.maximum(size, 1)[:, None]).ravel()
    table["jaccard"] = (both["documents"] / np.maximum(union, 1)).ravel()
    return pl.DataFrame(table, schema_overrides={"rule": pl.String, "other": pl.String})


def _groups(decision: Decision) -> pl.DataFrame:
    """Read and kept, by source and language."""
    kept = pl.Series("kept", ~matrix(decision.rules, decision.cells).any(axis=1))
    sums = [pl.col(unit).sum() for unit in UNITS]
    sums += [pl.col(unit).filter(pl.col("kept")).sum().alias(f"kept_{unit}") for unit in UNITS]
    table = decision.cells.with_columns(kept).group_by("source", "language").agg(sums)
    return table.sort("documents", "source", "language", descending=[True, False, False])


def _rules_text(rules: pl.DataFrame) -> str:
    head = ["rule", "condition", "fail", "drops", "only it drops", "its words", "kept by it alone"]
    lines = [[row["rule"], row["condition"] or "", *(f"{row[name]:,}" for name in SHOWN)] for row in rules.to_dicts()]
    return table_text([head, *lines], left=2)


SHOWN = ("fails", "takes", "only_documents", "only_words", "alone_documents")


def _overlap_text(pairs: pl.DataFrame, most: int = 12) -> str:
    lines = [
        [row["rule"], row["other"], f"{row['documents']:,}", f"{row['share']:.0%}", f"{row['jaccard']:.2f}"]
        for row in pairs.head(most).to_dicts()
    ]
    return table_text([["rule", "and", "both fail", "of the first", "Jaccard"], *lines], left=2)


def _curve_text(curve: pl.DataFrame, most: int = 21) -> str:
    """Some points of a curve, the bound as it is among them."""
    at = np.unique(np.linspace(0, len(curve) - 1, most).round().astype(int))
    shown = curve.with_row_index().filter(pl.col("index").is_in(at.tolist()) | pl.col("now")).to_dicts()
    sign = ">=" if curve["side"][0] == "min" else "<="
    head = [f"{curve['column'][0]} {sign}", "documents", "words", "MB", "without the others", "words", "MB"]
    lines = []
    for row in shown:
        counts = [
            cell
            for kind in ("", "alone_")
            for cell in (
                f"{row[kind + 'documents']:,}",
                f"{row[kind + 'words']:,}",
                f"{row[kind + 'bytes'] / 1e6:,.2f}",
            )
        ]
        lines.append([f"{row['bound']:.6g}{' (now)' if row['now'] else ''}", *counts])
    return table_text([head, *lines], left=1)


def _drawn(rule: str, curve: pl.DataFrame, width: int = 220, height: int = 60) -> str:
    """A small picture of what a rule keeps as its bound moves; the bound as it is stands as a line."""
    shapes = []
    for (_side,), part in curve.group_by("side", maintain_order=True):
        low, high = float(part["bound"].min() or 0.0), float(part["bound"].max() or 0.0)  # type: ignore[arg-type]
        x = (part["bound"].to_numpy() - low) / ((high - low) or 1) * width
        top = max(1, *curve["alone_documents"].to_list())
        for column, colour in (("alone_documents", "#bbb"), ("documents", "#36c")):
            y = height - part[column].to_numpy() / top * (height - 2)
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
            shapes.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        shapes += [
            f'<line x1="{a:.1f}" x2="{a:.1f}" y1="0" y2="{height}" stroke="#c33"/>' for a in x[part["now"].to_numpy()]
        ]
    label = f"<figcaption>{escape(rule)}: {escape(str(curve['column'][0]))}</figcaption>"
    svg = f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">{"".join(shapes)}</svg>'
    return f'<figure style="display:inline-block;margin:4px">{svg}{label}</figure>'
