"""decontaminate on real documents with test items planted in some: speed, and which of them are found.

python -m benchmarks.contamination [--megabytes 60] [--documents mix_150mb.jsonl.zst] [--items gsm8k.jsonl]

`--items`: JSON Lines with a field `question`, or the archive they are in. Every fiftieth document gets an item in the
middle, in capitals and with other white space; of its words every twentieth, tenth or fifth is replaced, or none.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from benchmarks.end_to_end import MIX
from curate.kernels import lexer
from curate.operators.decontaminate import PRESETS, Decontaminate

ITEMS = MIX.parent / "raw/eval_gsm8k.tar.zst"
MEMBER = "eval_gsm8k/grade_school_math/data/test.jsonl"
EVERY, CHANGES, BATCH = 50, (0, 20, 10, 5), 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=MIX)
    parser.add_argument("--items", type=Path, default=ITEMS)
    parser.add_argument("--megabytes", type=int, default=60)
    given = parser.parse_args()
    for path in (given.documents, given.items):
        if not path.exists():
            sys.exit(f"nothing at {path}: see --help")
    questions = [json.loads(line)["question"] for line in lines(given.items)]
    texts = documents(given.documents, given.megabytes * 10**6)
    where = {row: 7 * row % len(questions) for row in range(0, len(texts), EVERY)}
    print(f"{len(texts):,} documents, {len(questions):,} items, {len(where)} planted\n")
    print("| preset | MB/s of one core | lexing alone | " + " | ".join(map(title, CHANGES)) + " | elsewhere |")
    print("|---|" + "--:|" * (3 + len(CHANGES)))
    for preset in PRESETS:
        print(line(preset, questions, texts, where), flush=True)


def lines(path: Path) -> list[bytes]:
    if not path.name.endswith(".tar.zst"):
        return path.read_bytes().splitlines()
    with zstandard.open(path, "rb") as packed, tarfile.open(fileobj=io.BytesIO(packed.read())) as archive:
        member = archive.extractfile(MEMBER)
        return member.read().splitlines() if member else []


def documents(path: Path, size: int) -> list[str]:
    texts, held = [], 0
    with zstandard.open(path, "rt") as records:
        for record in records:
            texts.append(json.loads(record)["text"])
            held += len(texts[-1].encode())
            if held > size:
                break
    return texts


def title(every: int) -> str:
    return f"found, a word in {every} replaced" if every else "found as they are"


def line(preset: Any, questions: list[str], texts: list[str], where: dict[int, int]) -> str:
    operator = Decontaminate(against=("items",), preset=preset, action="drop")
    ids = pa.array([f"{at:06d}" for at in range(len(questions))])
    model = operator.fit(operator.sketch(pa.array(questions), ids))
    batches = [batch for _, batch in rows(texts)]
    size = sum(len(text.encode()) for text in texts) / 1e6
    speeds = [size / seconds(batches, work) for work in (lambda text: operator.apply(text, text, model), lexer.lex)]
    found = []
    for every in CHANGES:
        hits = matched(operator, model, planted(texts, questions, where, every))
        found.append(sum(hits.get(at) == item for at, item in enumerate(where.values())) / len(where))
    clean = matched(operator, model, texts)
    rates = " | ".join(f"{rate:.1%}" for rate in found)
    return f"| `{preset}` | {speeds[0]:.0f} | {speeds[1]:.0f} | {rates} | {len(clean)} |"


def seconds(batches: list[pa.Array], work: Callable[[pa.Array], Any]) -> float:
    """The least CPU time of three rounds, with nothing kept from the one before."""
    times = []
    for _ in range(3):
        began = time.process_time()
        for batch in batches:
            work(pa.concat_arrays([batch]))  # a new array: the lexer knows those it has seen
        times.append(time.process_time() - began)
    return min(times)


def planted(texts: list[str], questions: list[str], where: dict[int, int], every: int) -> list[str]:
    """The documents with an item in them, and no others."""
    made = []
    for row, item in where.items():
        words = questions[item].upper().split()
        changed = ["other" if every and at % every == every - 1 else word for at, word in enumerate(words)]
        middle = len(texts[row]) // 2
        made.append(f"{texts[row][:middle]}\n{'  '.join(changed)}\n{texts[row][middle:]}")
    return made


def matched(operator: Decontaminate, model: pa.Table, texts: list[str]) -> dict[int, int]:
    """Documents that are contaminated, with their best item."""
    found: dict[int, int] = {}
    for start, text in rows(texts):
        made = operator.apply(text, text, model)
        drops = operator.decide(made)[operator.name()].to_pylist()
        items = made["decontaminate_item"].to_pylist()
        found |= {start + at: int(items[at]) for at, drop in enumerate(drops) if drop}
    return found


def rows(texts: list[str]) -> Iterator[tuple[int, pa.Array]]:
    return ((at, pa.array(texts[at : at + BATCH])) for at in range(0, len(texts), BATCH))


if __name__ == "__main__":
    main()
