"""The page as a whole: everything it says is counted here and laid out in page/*.j2."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from curate.flow import svg
from curate.recipe import Recipe
from curate.report import facts
from curate.report.look import Look
from curate.report.pictures import brief, corrgram, histogram, place, ticks
from curate.report.values import broken, megabytes, number, seconds, shade, share, visible

HERE = Path(__file__).parent / "page"


def page(
    folder: Path, manifest: dict[str, Any], recipe: Recipe, shared: Any = None, clock: dict[str, float] | None = None
) -> str:
    """The page of a run in a folder, as text."""
    look = Look(folder, manifest, recipe)
    more = {"shared": shared, "clock": timing(clock, manifest) if clock else None, "graph": svg(recipe)}
    more |= {"found": duplicates(manifest["corpus"]), "clusters": facts.largest_clusters(folder)}
    found = [look.rules(), look.signals(), look.examples(), look.funnel()]
    return filled("page.html.j2", *found, more)


def filled(template: str, *found: dict[str, Any]) -> str:
    """A template with all that was found; `data` is what the script reads."""
    parts: dict[str, Any] = {"data": {}}
    for each in found:
        parts |= {**each, "data": parts["data"] | each.get("data", {})}
    return str(environment().get_template(template).render(parts))


@cache
def environment() -> Any:
    """Jinja's, with what the templates call."""
    import jinja2

    from curate.kernels.jit import cache_folder

    folder = cache_folder()  # of what is compiled, templates as well as kernels
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        bytecode_cache=jinja2.FileSystemBytecodeCache(str(folder)) if folder else None,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.filters |= {"number": number, "broken": broken}
    made.globals |= {"number": number, "megabytes": megabytes, "share": share, "shade": shade, "seconds": seconds}
    made.globals |= {"histogram": histogram, "place": place, "ticks": ticks, "corrgram": corrgram, "brief": brief}
    style, script = ((HERE / name).read_text(encoding="utf-8").strip() for name in ("style.css", "script.js"))
    made.globals |= {"style": style, "script": script, "script_hash": _hash(script), "as_json": as_json}
    return made


def _hash(script: str) -> str:
    """What a Content Security Policy calls a script by."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def as_json(value: Any) -> str:
    """JSON that can stand in a script element: no text of it can end that."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def duplicates(corpus: dict[str, dict[str, Any] | None]) -> dict[str, dict[str, Any]]:
    """What the corpus-wide steps that look for clusters have found."""
    return {name: found for name, found in corpus.items() if found and "clusters" in found}


def timing(clock: dict[str, float], manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Seconds of work by step and by other parts, longest first; per thousand documents."""
    records = max(1, manifest["records"])
    parts = {part: time for part, time in clock.items() if part != "total"}
    whole = sum(parts.values()) or 1.0
    rows = sorted(parts.items(), key=lambda item: -item[1])
    return [
        {"part": part, "seconds": time, "share": time / whole, "each": time / records * 1000} for part, time in rows
    ]
