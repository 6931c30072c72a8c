"""What a run says of its deduplications, so that a later one can go on from them (`against:`) without reading text.

RUN/.work/deduplicated/<operator>-<digest of its parameters>.json
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.errors import PlanError

POLICY = ("keep", "link", "verify", "against", "remember", "bloom")  # may differ between the two runs
FOLDER = ".work/deduplicated"


def described(operator: str, version: int, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree between two runs."""
    plain = json.loads(json.dumps({name: value for name, value in parameters.items() if name not in POLICY}))
    return {"operator": operator, "version": version, "parameters": plain}


def file_name(about: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
    return f"{about['operator']}-{digest}.json"


def find(run: str, about: Mapping[str, Any], keep: Any) -> Path:
    """The file in which a run tells of a deduplication with these parameters.

    Raises PlanError when there is none, with what differs.
    """
    folder = Path(run, FOLDER)
    path = folder / file_name(about)
    if not path.is_file():
        raise PlanError(f"against: {_why_not(run, folder, about)}")
    earlier = json.loads(path.read_text(encoding="utf-8"))["keep"]
    if keep not in ("first", "all", earlier):
        raise PlanError(f"against: {run} was made with keep: {earlier!r}, and says nothing about keep: {keep!r}")
    return path


def _why_not(run: str, folder: Path, about: Mapping[str, Any]) -> str:
    if not Path(run).is_dir():
        return f"there is no folder {run}: name that of an earlier run"
    others = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    same = [other for other in others if other["operator"] == about["operator"]]
    if not same:
        known = ", ".join(sorted({other["operator"] for other in others})) or "no deduplication that has finished"
        return f"{run} has {known}, but not {about['operator']} (or its folder .work was deleted)"
    here, there = about["parameters"], same[0]["parameters"]
    differ = [f"{name} {there.get(name)!r}, not {here[name]!r}" for name in here if here[name] != there.get(name)]
    return f"{about['operator']} of {run} was made with {', '.join(differ) or 'another version of curate'}"
