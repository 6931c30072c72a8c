"""Parts of the report for notebooks: each is a small page in a frame of its own, with the sliders at work."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from curate.errors import PlanError, nearest
from curate.report.look import Look
from curate.report.page import filled
from curate.store import Store

if TYPE_CHECKING:
    from curate.result import Result


class Piece:
    """A part of the report: `html` is a page of its own, `text` the same for a terminal."""

    def __init__(self, html: str, text: str):
        self.html, self.text = html, text

    def _repr_html_(self) -> str:
        """In a frame, so that neither the page's style nor its script meets the notebook's."""
        style = "width:100%;height:24rem;border:0"
        return f'<iframe srcdoc="{escape(self.html)}" style="{style}" title="curate"></iframe>'

    def __repr__(self) -> str:
        return self.text


def funnel_piece(look: Look) -> Piece:
    """The funnel as a flow."""
    from curate.report.terminal import funnel_lines

    return _piece("funnel", look, look.funnel(), funnel_lines(look))


def histogram_piece(look: Look, column: str) -> Piece:
    """One column; PlanError when there is no such numeric column."""
    from curate.report.terminal import signal_lines

    found = look.measured.distributions
    if column not in found:
        raise PlanError(f"no numeric column {column!r} in the annotations{nearest(column, found)}")
    return _piece("funnel", look, {"it": found[column]}, signal_lines([found[column]]))


def rules_piece(look: Look, rule: str | None = None) -> Piece:
    """Rules with their sliders; PlanError when there is no such rule with bounds."""
    names = [law.reason for law in look.laws]
    if not names or rule not in (None, *names):
        there = f"{nearest(rule or '', names)}; there are: {', '.join(names)}" if names else ""
        raise PlanError(f"no rule {rule!r} with bounds{there}" if rule else "no rule of this run has bounds to move")
    found = look.rules()
    shown = [each for each in found["rules"] if rule in (None, each["name"])]
    return _piece("rules", look, {**found, "rules": shown}, look.what_if.text(rule))


def examples_piece(look: Look, reason: str | None = None) -> Piece:
    """Documents; PlanError when no document was dropped for that reason."""
    from curate.report.terminal import example_lines

    found = look.cases
    if reason is not None and reason not in found.dropped:
        raise PlanError(f"no document was dropped by {reason!r}{nearest(reason, found.dropped)}")
    if reason is not None:
        near = {kind: cases for kind, cases in found.borderline.items() if kind.rsplit(" ", 1)[0] == reason}
        found = found._replace(kept=[], dropped={reason: found.dropped[reason]}, borderline=near)
    return _piece("examples", look, {"cases": found}, example_lines(found))


def _piece(part: str, look: Look, found: dict[str, Any], text: str) -> Piece:
    more = {"part": f"{part}.html.j2", "title": f"{look.recipe.name}: {part}"}
    return Piece(filled("piece.html.j2", found, more), text)


def rewrite(run: Result, path: Path) -> Path:
    """The report of a finished run, made again from what is there."""
    from curate.report import write_report

    write_report(path, run.manifest, run.recipe, shared(run), clock(run.path), run.path)
    return path


def shared(run: Result) -> Any:
    """What the sources share, where the run has kept what that is told by."""
    from curate.operator import Deduplicator

    if not Store(str(run.path)).work("stored.json").exists():
        return None
    if not any(isinstance(step.operator, Deduplicator) for step in run.recipe.steps):
        return None
    from curate.overlap import copies

    return copies(run, run.recipe)


def clock(folder: Path) -> dict[str, float] | None:
    """Seconds by part of the last run that did any work, as its log tells."""
    try:
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    found = [event["clock"] for event in map(json.loads, lines) if event["event"] == "run"]
    return msgspec.convert(found[-1], dict[str, float]) if found else None
