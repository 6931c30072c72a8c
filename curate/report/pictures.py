"""Pictures as SVG text: drawn once, coloured by the page's style, so that they follow light, dark and print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import sqrt

from curate.report.measure import Distribution
from curate.report.related import Related
from curate.report.values import number

CELL = 15


def histogram(found: Distribution, width: int = 320, height: int = 84) -> str:
    """Kept documents above the ground, dropped ones below it; bins of equal width on the page.

    Heights are square roots of counts: a tail of a few documents stays visible beside a tall bar.
    """
    if not found.edges:
        return ""
    top, ground = max(*found.kept, *found.dropped, 1), height / 2
    shapes = [
        f'<path class="{name}" d="{_outline([sign * (ground - 1) * sqrt(n / top) for n in counts], ground, width)}"/>'
        for name, counts, sign in (("kept", found.kept, -1), ("dropped", found.dropped, 1))
    ]
    label = f"{found.column}: kept and dropped documents from {number(found.edges[0])} to {number(found.edges[-1])}"
    head = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
    return "".join([head, *shapes, "</svg>"])


def _outline(heights: Sequence[float], ground: float, width: int) -> str:
    """The steps of a histogram as a path along the ground."""
    path, last = f"M0 {ground:g}", f"{ground:.1f}"
    for at, height in enumerate(heights):
        y = f"{ground + height:.1f}"
        if y != last:
            path += f"V{y}"
        path, last = f"{path}H{(at + 1) * width / len(heights):.1f}", y
    return f"{path}V{ground:g}Z"


def place(found: Distribution, value: float) -> float:
    """Where a value stands on the axis of a histogram, in per cent of its width."""
    bins = len(found.edges) - 1
    for at, edge in enumerate(found.edges):
        if value <= edge:
            low = found.edges[at - 1] if at else edge
            inside = (value - low) / (edge - low) if edge > low else 1.0
            return 100 * max(0.0, at - 1 + inside) / bins if at else 0.0
    return 100.0


def ticks(found: Distribution, most: int = 5) -> list[tuple[float, str]]:
    """Some edges and their places in per cent, the first and the last among them."""
    bins = len(found.edges) - 1
    some = sorted({round(at * bins / (most - 1)) for at in range(most)}) if bins >= most else range(bins + 1)
    return [(100 * at / bins, brief(found.edges[at])) for at in some]


def brief(value: float) -> str:
    """A number for an axis.

    >>> brief(0.025), brief(1250.0), brief(100000.0), brief(3.0), brief(2500000.0)
    ('0.025', '1,250', '100k', '3', '2.5M')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"


def corrgram(found: Related) -> str:
    """The lower half of a matrix of correlations; names run along the diagonal."""
    cells = []
    for row, name in enumerate(found.names):
        for column in range(row):
            value = float(found.values[row, column])
            kind = "none" if value != value else "plus" if value > 0 else "minus"
            faint = 0.0 if value != value else abs(value)
            x, y = column * CELL, row * CELL
            cells.append(f'<rect class="{kind}" x="{x}" y="{y}" fill-opacity="{faint:.2f}" data-at="{row} {column}"/>')
        label = f'<text x="{row * CELL + 4}" y="{row * CELL + 11}">{escape(name)}</text>'
        cells.append(label)
    size = len(found.names) * CELL
    wide = size + 8 * max(map(len, found.names), default=0)
    label = f"Rank correlation of {len(found.names)} signals"
    head = f'<svg role="img" aria-label="{label}" viewBox="0 0 {wide} {size}" width="{wide}" height="{size}">'
    return "".join([head, *cells, "</svg>"])
