"""The report in a terminal: `curate report RUN --text`. No text of a document can reach the terminal's controls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from curate.report.cases import Case, Cases, Piece
from curate.report.look import Look
from curate.report.measure import Distribution
from curate.report.values import number, seconds, share, visible
from curate.result import funnel_text, table_text

BARS = " ▁▂▃▄▅▆▇█"
CELLS = 24
EXCERPT = 160
SHOWN = 2  # examples of each kind


def text(look: Look, clock: dict[str, float] | None = None) -> str:
    """All that the page says, as far as lines of text can."""
    from curate.report.page import timing

    parts = [("", funnel_lines(look)), ("", look.run.groups())]
    if look.laws:
        parts.append(("Rules", look.what_if.text()))
    found = [it for it in look.measured.distributions.values() if it.edges]
    if found:
        parts.append(("Signals", signal_lines(found)))
    if look.related.pairs():
        rows = [["signal", "and", "rank correlation"]]
        rows += [[a, b, f"{value:.2f}"] for a, b, value in look.related.pairs()]
        parts.append(("Which signals say the same", table_text(rows, left=2)))
    parts.append(("Examples", example_lines(look.cases)))
    if clock:
        parts.append(("Time", time_lines(timing(clock, look.manifest))))
    return visible(
        "\n\n".join(f"{title}\n{'=' * len(title)}\n{body}" if title else body for title, body in parts if body)
    )


def funnel_lines(look: Look) -> str:
    """What was kept, and what each step took."""
    about = look.manifest
    kept = (
        f"{number(about['kept'])} of {number(about['records'])} records kept ({share(about['kept'], about['records'])})"
    )
    return visible(f"{look.recipe.name}: {kept}\n\n{funnel_text(look.steps)}")


def signal_lines(found: Iterable[Distribution]) -> str:
    """Quantiles of each column, and the shapes of its kept and its dropped documents."""
    rows = [["signal", "kept", "dropped", "bounds", "first", "5 %", "50 %", "95 %", "last", "null"]]
    for it in found:
        bounds = ", ".join(f"{'>=' if side == 'min' else '<='} {number(value)}" for side, value in it.bounds)
        ends = (
            (number(it.edges[0]), *map(number, it.quantiles.values()), number(it.edges[-1])) if it.edges else ("-",) * 5
        )
        rows.append([it.column, sparkline(it.kept), sparkline(it.dropped), bounds, *ends, number(it.nulls)])
    return table_text(rows, left=4)


def sparkline(counts: list[int]) -> str:
    """Counts as a line of blocks, heights their square roots.

    >>> sparkline([0, 1, 4, 16, 64])
    ' ▁▂▄█'
    """
    if len(counts) > CELLS:
        counts = [int(part.sum()) for part in np.array_split(np.array(counts), CELLS)]
    top = max([*counts, 1])
    return "".join(BARS[max(1, round(8 * (count / top) ** 0.5)) if count else 0] for count in counts)


def example_lines(found: Cases) -> str:
    """Some documents of each kind; what a rule counts stands between brackets."""
    lines = []
    for reason, cases in found.dropped.items():
        lines += [f"dropped by {reason}", *(line for case in cases[:SHOWN] for line in _case(case))]
    if found.kept:
        lines += ["kept", *(line for case in found.kept[:SHOWN] for line in _case(case))]
    return visible("\n".join(lines))


def _case(case: Case) -> list[str]:
    values = [f"{name} = {number(value)}" for name, value in case.values.items()]
    head = ", ".join([*map(_line, map(number, case.labels)), *map(_line, values)])
    return [f"  {head}", *([f"    {_quoted(case.pieces)}"] if case.pieces else [])]


def _quoted(pieces: list[Piece]) -> str:
    """The text on one line."""
    whole = "".join(f"[{piece.text}]" if piece.mark == "span" else piece.text for piece in pieces)
    line = _line(whole)
    return line if len(line) <= EXCERPT else line[:EXCERPT] + "…"


def _line(value: str) -> str:
    return " ".join(value.split())


def time_lines(rows: list[dict[str, Any]]) -> str:
    """Work by part, longest first."""
    lines = [["part", "time", "share", "per 1,000 documents"]]
    lines += [[row["part"], seconds(row["seconds"]), share(row["share"], 1), seconds(row["each"])] for row in rows]
    return table_text(lines, left=1)
