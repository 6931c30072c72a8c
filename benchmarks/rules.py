"""What the published rule sets keep of the documents, each by itself: the table in docs/rules.md.

python -m benchmarks.rules [--documents mix_150mb.jsonl.zst] [NAME ...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import curate
from benchmarks.end_to_end import MIX
from curate.config import Config
from curate.recipe_file import shipped

LEFT_OUT = ("redpajama-v1", "code")  # they need columns that these documents do not have
FIRST = {"language": ("fineweb-2", "refinedweb", "dclm-heuristics", "data-juicer-refine", "redpajama-v2-gopher")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=MIX)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    if not given.documents.exists():
        sys.exit(f"no documents at {given.documents}: give a .jsonl.zst file with --documents")
    sets = [name.removeprefix("rules/") for name in shipped() if name.startswith("rules/")]
    print("| rule set | documents kept | text kept | rules that fail most documents |\n|---|--:|--:|---|")
    for name in given.names or [name for name in sets if name not in LEFT_OUT]:
        with tempfile.TemporaryDirectory() as folder:
            print(line(name, funnel(name, given.documents, folder)), flush=True)


def funnel(name: str, documents: Path, folder: str) -> dict[str, Any]:
    """The manifest of a run of one rule set."""
    first = [operator for operator, sets in FIRST.items() if name in sets]
    steps = [*first, f"keep: {{rules: {name}}}"]
    recipe = "\n".join(
        [
            f"name: {name}",
            f"sources: {{mix: {{path: {documents}, columns: {{url: url, stated: lang}}}}}}",
            "steps:",
            *(f"- {step}" for step in steps),
            f"output: {{path: {folder}/out}}",
        ]
    )
    manifest: dict[str, Any] = curate.run(curate.Recipe.parse(recipe), Config()).manifest
    return manifest


def line(name: str, manifest: dict[str, Any]) -> str:
    first, last = manifest["funnel"]["steps"][0], manifest["funnel"]["steps"][-1]
    worst = sorted(manifest["rules"].items(), key=lambda rule: -rule[1])[:3]
    rules = ", ".join(f"{rule.partition('.')[2]} {count / first['documents']:.0%}" for rule, count in worst)
    kept = [f"{last[unit] / first[unit]:.1%}" for unit in ("documents", "bytes")]
    return f"| `{name}` | {kept[0]} | {kept[1]} | {rules} |"


if __name__ == "__main__":
    main()
