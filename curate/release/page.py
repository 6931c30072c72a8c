"""card.html: the Data Card as one page that opens from disk, with plots of what the manifest counts."""

from __future__ import annotations

import re
from html import escape
from importlib import resources
from typing import Any

import jinja2
from markdown_it import MarkdownIt

from curate.release.card import Card, markdown

WIDTH, HEIGHT = 240, 60
BARS = 20


def page(card: Card, manifest: dict[str, Any], author: str | None) -> str:
    """The text of README.md as HTML, each plot below the heading that it belongs to."""
    text = markdown(card, author).split("---\n", 2)[2]
    text = re.sub(r"^<!-- author:\w+ -->|<!-- author:\w+ -->$", "", text, flags=re.MULTILINE)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = body.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    for title, plot in plots(manifest).items():
        head = f"<h2>{escape(title)}</h2>"
        body = body.replace(head, head + plot, 1)
    template = resources.files("curate.release").joinpath("templates", "card.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True)  # what is rendered above is safe: no HTML passes
    return environment.from_string(template).render(title=card.title, body=jinja2.utils.markupsafe.Markup(body))


def plots(m: dict[str, Any]) -> dict[str, str]:
    """Heading -> what is drawn below it."""
    lost = [
        (step["step"], step["documents"]) for step in m["funnel"]["steps"] if "failed" in step and step["documents"]
    ]
    found = {"What was thrown away, and why": bars([*lost, ("kept", m["total"]["rows"])])}
    for name, values in m["properties"].items():
        if name not in ("source", "license"):
            found[f"By {name}"] = bars([(value, part["rows"]) for value, part in values.items()])
    sources = [(line["name"], line["released"]) for line in m["inputs"] if line["released"]]
    found["Where it is from"] = bars(sources)
    licences = m["properties"].get("license", {})
    found["May I use it?"] = bars([(value, part["rows"]) for value, part in licences.items()])
    drawn = [histogram(name, s["histogram"]) for name, s in m["statistics"].items() if "histogram" in s]
    found["Distributions"] = f'<div class="grid">{"".join(drawn)}</div>' if drawn else ""
    return found


def bars(counts: list[tuple[str, int]]) -> str:
    """Documents by a value, a bar each; the largest are drawn, the rest of them in one."""
    if len(counts) < 2:
        return ""
    shown = counts if len(counts) <= BARS + 1 else [*counts[:BARS], ("others", sum(n for _, n in counts[BARS:]))]
    top = max(count for _, count in shown) or 1
    rows = [
        f'<div><span>{escape(name)}</span><i style="width:{100 * count / top:.2f}%"></i><b>{count:,}</b></div>'
        for name, count in shown
    ]
    return f'<div class="bars" role="img" aria-label="documents by value">{"".join(rows)}</div>'


def histogram(name: str, found: dict[str, Any]) -> str:
    """A column's values up to the 95 % quantile; what is above is told below."""
    counts, top = found["counts"], max(found["counts"]) or 1
    wide = WIDTH / len(counts)
    shapes = [
        f'<rect x="{at * wide:.1f}" y="{HEIGHT * (1 - count / top):.1f}" width="{wide - 1:.1f}"'
        f' height="{HEIGHT * count / top:.1f}"/>'
        for at, count in enumerate(counts)
    ]
    label = escape(f"{name}: documents by value, from {found['low']:.4g} to {found['high']:.4g}")
    drawn = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{label}">'
    above = f"<span>{found['above']:,} above</span>" if found["above"] else "<span></span>"
    ends = f"<p><span>{found['low']:.4g}</span>{above}<span>{found['high']:.4g}</span></p>"
    return f"<figure><figcaption>{escape(name)}</figcaption>{drawn}{''.join(shapes)}</svg>{ends}</figure>"
