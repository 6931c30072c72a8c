"""What the page's sliders need: exact counts at every bin edge, and some documents for several bounds at once."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one
from curate.deciding.policy import Policy
from curate.deciding.what_if import WhatIf
from curate.report.measure import Law, Measured, as_float

ALWAYS = 255  # for a least bound: passes wherever it stands
CELLS = 400_000  # of the sample: documents times bounds
MOST = 6_000  # documents of the sample
PARTS = 12  # sources, and languages, that have counts of their own
COUNTS = ("documents", "alone_documents", "words", "bytes")  # with the other rules as they are, and without them


class Part(NamedTuple):
    """The documents of one source or of one language."""

    by: str
    value: str | None

    @property
    def label(self) -> str:
        return f"{self.by} {self.value or '–'}"


def parts(found: WhatIf) -> list[Part]:
    """The largest sources and languages, as far as there are several."""
    made = []
    for by in ("source", "language"):
        sizes = found.groups.group_by(by).agg(pl.col("documents").sum())
        values = sizes.sort("documents", by, descending=[True, False])[by].to_list()
        made += [Part(by, value) for value in values[:PARTS]] if len(values) > 1 else []
    return made


def sliders(found: WhatIf, rules: list[Law], measured: Measured, of: list[Part]) -> list[dict[str, Any]]:
    """Of each rule the stops of its sliders, and what is kept at each: of all documents, and of each part."""
    made = []
    of_one = ("rule", "side", "by", "value")
    ascending = found.curves.sort("bound").group_by(of_one, maintain_order=True).agg("bound", *COUNTS)
    curves = {row[:4]: row[4:] for row in ascending.iter_rows()}
    for law in rules:
        stops = measured.distributions[law.column].edges
        sides = {}
        for side, bound in law.bounds.items():
            bounds, *every = curves[law.reason, side, "all", None]
            assert bounds == stops
            some = [curves[law.reason, side, *part][1:3] for part in of]
            sides[side] = {"now": stops.index(bound), "counts": every, "parts": some}
        made.append({"rule": law.reason, "column": law.column, "stops": stops, "sides": sides})
    return made


def sample(policy: Policy, rules: list[Law], measured: Measured) -> dict[str, Any]:
    """Some documents: for each bound the stop from which they fail (or pass) it, and whether anything else drops them.

    `bounds` is a matrix of bytes, one row per side of a rule in the order of `sliders`: a least bound at stop k keeps
    a document if k < byte; a greatest bound if k >= byte.
    """
    table = measured.sample
    sides = [(law, side) for law in rules for side in law.bounds]
    most = min(MOST, CELLS // max(1, len(sides)))
    stride = max(1, -(-len(table) // most))
    table = table.take(pa.array(np.arange(0, len(table), stride)))
    fails = policy.fails(table)
    moving = {law.reason for law, _ in sides}
    fixed = [mask for name, mask in fails.items() if name not in moving]
    lost = np.logical_or.reduce([np.zeros(len(table), bool), *fixed])
    bounds = [
        _passing(law, side, policy, table, fails, measured.distributions[law.column].edges) for law, side in sides
    ]
    words = table["text_words"].to_numpy() if "text_words" in table.column_names else np.zeros(len(table))
    return {
        "documents": len(table),
        "all": measured.rows,
        "lost": _packed(lost.astype(np.uint8)),
        "words": _packed(words.astype("<u4")),
        "bounds": _packed(np.concatenate([np.zeros(0, np.uint8), *bounds])),
    }


def _passing(
    law: Law, side: str, policy: Policy, table: pa.Table, fails: dict[str, np.ndarray], stops: list[float]
) -> np.ndarray:
    """The byte of each document; rows that the bound is not for keep the verdict they have."""
    values = as_float(table[law.column])
    always, never = (ALWAYS, 0) if side == "min" else (0, ALWAYS)
    found = np.searchsorted(stops, values, side="right" if side == "min" else "left").astype(np.int64)
    found[np.isnan(values)] = always if law.rule.nulls == "pass" else never
    found[np.isnan(values) & table[law.column].is_valid().to_numpy()] = never
    fixed = ~policy.scope(law.step, table) | _before(law, policy, fails)
    if law.rule.overrides:
        by = one(table[law.step.inputs[law.rule.by]])
        fixed |= np.asarray(pc.is_in(by, pa.array([*law.rule.by_value()], pa.string())))
    return np.where(fixed, np.where(fails[law.reason], never, always), found).astype(np.uint8)


def _before(law: Law, policy: Policy, fails: dict[str, np.ndarray]) -> np.ndarray:
    """Rows that the rule has not seen, because a step before its own dropped them."""
    rows = np.zeros(len(fails[law.reason]), bool)
    for name, mask in fails.items() if policy.is_kept_only else ():
        if name in law.step.outputs.values():
            break
        rows |= mask
    return rows


def _packed(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()
