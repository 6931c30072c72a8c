"""report.html: the run on one self-contained page. Nothing is fetched, nothing depends on the day it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curate import facts
from curate.flow import svg
from curate.recipe import Recipe
from curate.store import write_text

GROUPS = 20


def write_report(path: Path, manifest: dict[str, Any], recipe: Recipe) -> None:
    """Write the page of a finished run beside its `data` and `annotations`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("curate", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "mb": lambda size: f"{size / 1e6:,.2f}"}
    steps = manifest["funnel"]["steps"]
    reasons = [step["step"] for step in steps[1:-1] if step["documents"]]
    page = environment.get_template("report.html.j2").render(
        manifest=manifest,
        recipe=recipe,
        steps=steps,
        groups=manifest["funnel"]["groups"][:GROUPS],
        more_groups=max(0, len(manifest["funnel"]["groups"]) - GROUPS),
        distributions=[(found, histogram(found)) for found in facts.distributions(path.parent, recipe)],
        examples=facts.examples(path.parent, recipe, reasons),
        clusters=facts.largest_clusters(path.parent),
        graph=svg(recipe),
    )
    write_text(path, page)


def number(value: Any) -> str:
    """A value as people read it.

    >>> number(1234567), number(0.123456), number(None), number("x")
    ('1,234,567', '0.1235', 'null', 'x')
    """
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def histogram(found: facts.Distribution, width: int = 320, height: int = 84) -> str:
    """An inline SVG: kept documents stand on dropped ones; bounds of rules are lines."""
    if not found.edges:
        return ""
    top = max(kept + dropped for kept, dropped in zip(found.kept, found.dropped, strict=True)) or 1
    bar = width / len(found.kept)
    parts = []
    for at, (kept, dropped) in enumerate(zip(found.kept, found.dropped, strict=True)):
        tall, base = height * kept / top, height * dropped / top
        x, wide = f"{at * bar:.1f}", f"{bar - 0.6:.1f}"
        if dropped:
            parts.append(f'<rect class="dropped" x="{x}" y="{height - base:.1f}" width="{wide}" height="{base:.1f}"/>')
        if kept:
            y = height - base - tall
            parts.append(f'<rect class="kept" x="{x}" y="{y:.1f}" width="{wide}" height="{tall:.1f}"/>')
    low, high = found.edges[0], found.edges[-1]
    for side, value in found.bounds:
        if low <= value <= high:
            x = f"{(value - low) / (high - low) * width:.1f}"
            parts.append(
                f'<line class="bound" x1="{x}" x2="{x}" y1="0" y2="{height}"><title>{side} {value:g}</title></line>'
            )
    label = f"{found.column}: kept and dropped documents from {number(low)} to {number(high)}"
    head = f'<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
    return "".join([head, *parts, "</svg>"])
