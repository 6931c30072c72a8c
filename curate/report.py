"""report.html: the run on one self-contained page. Nothing is fetched, nothing depends on the day it is made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

from curate import facts
from curate.flow import svg
from curate.recipe import Recipe
from curate.store import write_text

GROUPS = 30
LONGEST = 200  # characters of one value


def write_report(path: Path, manifest: dict[str, Any], recipe: Recipe, shared: Any = None) -> None:
    """Write the page of a finished run beside its `data` and `annotations`; `shared`: the matrix of its sources.

    The same run gives the same bytes, wherever its folder is.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("curate", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    environment.globals |= {"number": number, "megabytes": megabytes, "share": share}
    steps = manifest["funnel"]["steps"]
    taken = [step["step"] for step in steps[1:-1] if step["documents"]]
    page = environment.get_template("report.html.j2").render(
        manifest=manifest,
        recipe=recipe,
        steps=steps,
        bound_sources=facts.bound_sources(recipe),
        groups=with_rest(manifest["funnel"]["groups"]),
        distributions=[(found, histogram(found)) for found in facts.distributions(path.parent, recipe)],
        examples=facts.examples(path.parent, recipe, taken),
        found=duplicates(manifest["corpus"]),
        clusters=facts.largest_clusters(path.parent),
        shared=shared,
        shade=shade,
        graph=svg(recipe),
    )
    write_text(path, page)


def number(value: Any) -> str:
    """A value as people read it; long text is cut.

    >>> number(1234567), number(0.123456), number(None), number("x")
    ('1,234,567', '0.1235', 'null', 'x')
    """
    if value is None:
        return "null"
    if isinstance(value, float) and isfinite(value):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def share(part: float, whole: float) -> str:
    """A share in per cent; rounding never turns something into nothing, nor nearly all into all.

    >>> share(1, 3), share(1, 10**6), share(999_999, 10**6), share(0, 0)
    ('33.3%', '<0.1%', '>99.9%', '0.0%')
    """
    percent = 100 * part / (whole or 1)
    if 0 < percent < 0.05:
        return "<0.1%"
    return ">99.9%" if 99.95 <= percent < 100 else f"{percent:.1f}%"


def megabytes(size: int) -> str:
    """A size in MB (10**6 bytes).

    >>> megabytes(43_810_000), megabytes(2100), megabytes(0)
    ('43.81', '<0.01', '0.00')
    """
    return "<0.01" if 0 < size < 5000 else f"{size / 1e6:,.2f}"


def shade(part: float) -> str:
    """How dark a share is in a heat map, in per cent; by its square root, so that small shares are seen.

    >>> shade(0.0), shade(0.01), shade(1.0)
    ('0', '8', '80')
    """
    return f"{80 * sqrt(part):.0f}"


def with_rest(groups: list[dict[str, Any]], most: int = GROUPS) -> list[dict[str, Any]]:
    """The largest groups of a funnel, and one that sums all others, so that columns add up to the whole."""
    if len(groups) <= most:
        return groups
    rest = groups[most:]
    steps = [
        {key: value if key == "step" else sum(row[key] for row in same) for key, value in same[0].items()}
        for same in zip(*(group["steps"] for group in rest), strict=True)
    ]
    return [*groups[:most], {"source": f"{len(rest)} smaller groups", "language": "", "steps": steps}]


def duplicates(corpus: dict[str, dict[str, Any] | None]) -> dict[str, dict[str, Any]]:
    """What the corpus-wide steps that look for clusters have found."""
    return {name: found for name, found in corpus.items() if found and "clusters" in found}


def histogram(found: facts.Distribution, width: int = 320, height: int = 84) -> str:
    """An inline SVG: kept and dropped documents one over the other, what bounds refuse in shade.

    Heights are square roots of counts: a tail of a few documents stays visible beside a tall bar.
    """
    if not found.edges:
        return ""
    top = max(*found.kept, *found.dropped, 1)
    low, high = found.edges[0], found.edges[-1]
    shapes = [_refused(side, (value - low) / (high - low), width, height) for side, value in found.bounds]
    for name, counts in (("kept", found.kept), ("dropped", found.dropped)):
        shapes.append(f'<path class="{name}" d="{_outline(counts, top, width, height)}"/>')
    label = escape(f"{found.column}: kept and dropped documents from {number(low)} to {number(high)}")
    head = f'<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
    return "".join([head, *shapes, "</svg>"])


def _outline(counts: Sequence[int], top: int, width: int, height: int) -> str:
    """The steps of a histogram as a path along the ground."""
    path, last = f"M0 {height}", f"{height:.1f}"
    for at, count in enumerate(counts):
        y = f"{height - (height - 2) * sqrt(count / top):.1f}"
        if y != last:
            path += f"V{y}"
        path, last = f"{path}H{(at + 1) * width / len(counts):.1f}", y
    return f"{path}V{height}Z"


def _refused(side: str, spot: float, width: int, height: int) -> str:
    """The side of a bound that its rule does not let pass, and the bound where it is in the picture."""
    x = width * min(max(spot, 0.0), 1.0)
    start, wide = (0.0, x) if side == "min" else (x, width - x)
    shade = f'<rect class="refused" x="{start:.1f}" y="0" width="{wide:.1f}" height="{height}"/>' if wide else ""
    line = f'<line class="bound" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>' if 0 <= spot <= 1 else ""
    return shade + line
