"""A recipe as a drawn graph: sources, steps, and where branches part and join."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from curate.errors import RecipeError
from curate.operator import Trainer
from curate.planner import in_order
from curate.recipe import Recipe, Step


class Edge(NamedTuple):
    start: str
    end: str
    label: str


class Flow(NamedTuple):
    """Nodes (key -> label) in order, and edges between them."""

    nodes: dict[str, str]
    edges: list[Edge]


def flow(recipe: Recipe) -> Flow:
    """The graph of a recipe. A step hangs on the last step of each corpus it works on."""
    nodes = {f"source:{name}": name for name in recipe.sources}
    exported = [name for name, source in recipe.sources.items() if not source.reference]
    tips = {name: f"source:{name}" for name in recipe.sources}
    reach: dict[str, tuple[str, ...]] = {}
    edges: list[Edge] = []
    for number, step in enumerate(in_order(recipe)):
        key = f"step:{number}"
        nodes[key] = step.name if not step.as_ else f"{step.as_} ({step.operator.name()})"
        sources = _reached(step, exported, reach, recipe)
        reach[step.name] = sources
        parents = list(dict.fromkeys(tips[name] for name in sources))
        edges += [Edge(parent, key, step.where or "") for parent in parents]
        fitted_on = step.operator.fitted_on() if isinstance(step.operator, Trainer) else ()
        edges += [Edge(tips[name], key, "fitted on") for name in fitted_on if name in tips]
        tips.update(dict.fromkeys(sources, key))
    nodes["out"] = "kept documents"
    edges += [Edge(tip, "out", "") for tip in dict.fromkeys(tips[name] for name in exported)]
    return Flow(nodes, edges)


def mermaid(recipe: Recipe) -> str:
    """The graph in Mermaid's language, which code hosts and notebooks draw."""
    nodes, edges = flow(recipe)
    short = {key: f"n{at}" for at, key in enumerate(nodes)}
    lines = ["flowchart TD"]
    for key, label in nodes.items():
        text = label.replace('"', "'")
        lines.append(f'  {short[key]}["{text}"]' if key.startswith("step") else f'  {short[key]}[("{text}")]')
    for edge in edges:
        arrow = f'-->|"{edge.label.replace(chr(34), chr(39))}"|' if edge.label else "-->"
        lines.append(f"  {short[edge.start]} {arrow} {short[edge.end]}")
    return "\n".join(lines)


def svg(recipe: Recipe) -> str:
    """The graph as a picture: one row per depth, sources at the top."""
    nodes, edges = flow(recipe)
    depth: dict[str, int] = {}
    for key in nodes:
        depth[key] = 1 + max((depth[edge.start] for edge in edges if edge.end == key), default=-1)
    rows: dict[int, list[str]] = {}
    for key in nodes:
        rows.setdefault(depth[key], []).append(key)
    wide, high, gap = 190, 34, 26
    width = max(map(len, rows.values())) * (wide + 20) + 20
    spot = {
        key: ((at + 0.5) * width / len(row), level * (high + gap) + 8)
        for level, row in rows.items()
        for at, key in enumerate(row)
    }
    lines = [_line(spot[edge.start], spot[edge.end], high, edge.label) for edge in edges]
    boxes = [_box(spot[key], wide, high, label, key.startswith("step")) for key, label in nodes.items()]
    height = len(rows) * (high + gap)
    style = "font:12px sans-serif;text-anchor:middle"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" style="{style}">'
    return "".join([head, *lines, *boxes, "</svg>"])


def _reached(step: Step, exported: list[str], reach: dict[str, tuple[str, ...]], recipe: Recipe) -> tuple[str, ...]:
    if not step.from_:
        return tuple(exported)
    names: list[str] = []
    for name in step.from_:
        if name not in recipe.sources and name not in reach:
            raise RecipeError(f"{step.place}: from: nothing is called {name!r}")
        names += [name] if name in recipe.sources else reach[name]
    return tuple(dict.fromkeys(names))


def _line(start: tuple[float, float], end: tuple[float, float], high: int, label: str) -> str:
    (x1, y1), (x2, y2) = start, end
    text = f'<text x="{(x1 + x2) / 2 + 4:.0f}" y="{(y1 + high + y2) / 2 + 4:.0f}" fill="#777">{escape(label)}</text>'
    path = f'<line x1="{x1:.0f}" y1="{y1 + high:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#999"/>'
    return path + (text if label else "")


def _box(spot: tuple[float, float], wide: int, high: int, label: str, is_step: bool) -> str:
    x, y = spot
    fill, round_ = ("#eef3fb", 4) if is_step else ("#f3f0e8", 16)
    shape = f'x="{x - wide / 2:.0f}" y="{y:.0f}" width="{wide}" height="{high}" rx="{round_}"'
    box = f'<rect {shape} fill="{fill}" stroke="#8aa"/>'
    return box + f'<text x="{x:.0f}" y="{y + high / 2 + 4:.0f}" fill="#222">{escape(label)}</text>'
