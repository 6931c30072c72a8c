"""What `curate plan` says a run costs beside what it does cost: CPU time, memory, storage, of recipes of three kinds.

    python -m benchmarks.cost [--documents mix_150mb.jsonl.zst] [--workers 1]

Each run is a `curate run` of its own, on kernels that are compiled. The estimate is told what `curate plan` would be:
documents, bytes of text and the share that is kept. Wall times are worth comparing on a quiet machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.end_to_end import MIX, cut
from curate import sizing
from curate.engine import plan_recipe
from curate.recipe import Recipe
from curate.result import open_run, table_text

KEEP = "keep: {rules: {words: {column: gopher_word_count, min: 50}}}"
RECIPES = {
    "gopher, keep": ["gopher", KEEP],
    "gopher, keep, dedup_minhash": ["gopher", KEEP, "dedup_minhash"],
    "eight families, keep, dedup_exact": [
        *("gopher", "c4_signals", "fineweb_signals", "dolma_signals", "refinedweb_signals", "text_statistics"),
        *("fineweb2_signals", "redpajama_signals", KEEP, "dedup_exact"),
    ],
}
UNITS = {"CPU s": 1.0, "wall s": 1.0, "peak MB": 1e6, "work MB": 1e6, "output MB": 1e6}


def measured(folder: Path, part: str, steps: list[str], workers: int) -> tuple[Recipe, dict[str, float]]:
    """Run the steps on a part of the corpus in a process of its own; what that took."""
    out = folder / f"out-{part}"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    listed = "".join(f"  - {step}\n" for step in steps)
    text = f"name: {part}\nsources: {{mix: {{path: {folder / part}}}}}\nsteps:\n{listed}output: {{path: {out}}}\n"
    (folder / "recipe.yaml").write_text(text)
    command = [sys.executable, "-m", "curate.cli", "run", str(folder / "recipe.yaml"), "--workers", str(workers)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    found = {"CPU s": used.ru_utime + used.ru_stime, "wall s": time.perf_counter() - began}
    found |= {"peak MB": used.ru_maxrss * 1e3, "work MB": _bytes(out / ".work")}
    found["output MB"] = _bytes(out / "data") + _bytes(out / "annotations")
    return Recipe.parse(text), found


def predicted(recipe: Recipe, workers: int) -> dict[str, float]:
    """What the model says of the same run."""
    manifest: dict[str, Any] = open_run(recipe.path).manifest
    read, *_, kept = manifest["funnel"]["steps"]
    plan = plan_recipe(recipe)
    shard = max(1, read["bytes"] // len(plan.shards))
    cluster = sizing.Cluster(1, workers)
    share = kept["bytes"] / read["bytes"]
    found = sizing.estimate(plan, cluster, read["documents"], read["bytes"], share, shard=shard)
    memory = found.task_bytes
    return {
        "CPU s": found.cpu_hours * 3600,
        "wall s": found.hours * 3600,
        "peak MB": memory,
        "work MB": found.work,
        "output MB": found.output,
    }


def _bytes(folder: Path) -> float:
    return float(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=MIX)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    rows = [["recipe", "", "predicted", "measured", "off by"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cut(given.documents, folder, 1)
        for title, steps in RECIPES.items():
            measured(folder, "warm", steps, 1)
            recipe, found = measured(folder, "mix", steps, given.workers)
            said = predicted(recipe, given.workers)
            print(json.dumps({"recipe": title, "predicted": said, "measured": found}), file=sys.stderr, flush=True)
            for unit, by in UNITS.items():
                off = f"{said[unit] / found[unit] - 1:+.0%}"
                rows.append([title, unit, f"{said[unit] / by:,.1f}", f"{found[unit] / by:,.1f}", off])
    print(table_text(rows, left=2))


if __name__ == "__main__":
    main()
