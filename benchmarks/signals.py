"""Quality signals: every family of ours by itself and all in one pass, beside the systems they follow.

    python -m benchmarks.signals [--megabytes 20] [--datatrove PYTHON] [--redpajama CHECKOUT --lists FOLDER]

One core, the same documents for all, ours with memory treated as in a pass, CPU time, the best of a few runs.
`--datatrove` is the Python of an environment with datatrove, `--data-juicer` that of one with py-data-juicer;
`--redpajama` a checkout of RedPajama-Data, run by the Python of datatrove, with `--lists` its folder of artifacts
(bad_urls, bad_words). A peer that is not given is left out.
`--costs FILE` writes what each signal costs, in nanoseconds per byte: that of its family, shared among its columns.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.end_to_end import MIX
from curate import registry
from curate.evaluate import evaluate
from curate.execute import memory
from curate.family import Family
from curate.kernels import lexer
from curate.result import table_text

BATCH = 8_000_000  # bytes of text in a batch, as a recipe has them by default
PEERS = Path(__file__).with_name("peers.py")
LEFT_OUT = ("url_signals", "url_categories")  # they read addresses, not text
WEB, JUICER = ("gopher", "c4_signals", "fineweb_signals"), ("datajuicer_signals",)
SETS = {"gopher + c4 + fineweb": WEB, "redpajama": ("redpajama_signals",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=MIX)
    parser.add_argument("--megabytes", type=float, default=20, help="how much of the documents, evenly taken")
    parser.add_argument("--peer-megabytes", type=float, default=4, help="how much of that peers get: they are slow")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--datatrove", metavar="PYTHON")
    parser.add_argument("--data-juicer", metavar="PYTHON")
    parser.add_argument("--redpajama", metavar="CHECKOUT")
    parser.add_argument("--lists", metavar="FOLDER")
    parser.add_argument("--costs", type=Path)
    given = parser.parse_args()
    if not given.documents.exists():
        sys.exit(f"no documents at {given.documents}: give a .jsonl.zst file with --documents")
    memory.treat(in_batches=True)
    texts = documents(given.documents, given.megabytes * 1e6)
    operators = families()
    seconds = by_family(operators, texts, given.runs)
    print(families_table(seconds, operators, texts))
    print(f"\n{shapes_table(operators, texts, given.runs)}")
    if given.datatrove or given.data_juicer:
        print(f"\n{peers_table(given, operators, texts)}")
    if given.costs:
        given.costs.write_text(json.dumps(costs(seconds, operators, size(texts)), indent=1) + "\n")


def documents(path: Path, wanted: float) -> list[str]:
    """An even sample of the documents."""
    import zstandard

    with path.open("rb") as file:
        lines = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file).read().splitlines()
    texts = [json.loads(line)["text"] for line in lines[:: max(1, int(sum(map(len, lines)) / wanted))]]
    return texts


def size(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def batches(texts: list[str]) -> list[pa.Array]:
    """The texts as Arrow arrays of a few MB."""
    held: list[list[str]] = [[]]
    room = BATCH
    for text in texts:
        if room <= 0:
            held.append([])
            room = BATCH
        held[-1].append(text)
        room -= len(text.encode())
    return [pa.array(part, pa.string()) for part in held]


def families() -> dict[str, Family]:
    """Every family that reads nothing but text, at its defaults."""
    found = {}
    for name, kind in registry.builtin().items():
        if issubclass(kind, Family) and name not in LEFT_OUT and set(kind().reads()) == {"text"}:
            found[name] = kind()
    return found


def once(operators: list[Family], parts: list[pa.Array]) -> float:
    """CPU seconds of the operators over the batches; a batch is lexed once for all of them, as in a pass."""
    began = time.process_time()
    for part in parts:
        fresh = pa.Array.from_buffers(part.type, len(part), part.buffers(), offset=part.offset)  # nothing kept is its
        for operator in operators:
            evaluate(operator, {"text": fresh})
    return time.process_time() - began


def best(work: Callable[[], float], runs: int) -> float:
    work()
    return min(work() for _ in range(runs))


def lexing(parts: list[pa.Array]) -> float:
    began = time.process_time()
    for part in parts:
        lexer.lex_buffers(*lexer.buffers(part))
    return time.process_time() - began


def by_family(operators: dict[str, Family], texts: list[str], runs: int) -> dict[str, float]:
    """Seconds of lexing, of each family with what it lexes, and of all in one pass."""
    parts = batches(texts)
    seconds = {"lexing": best(lambda: lexing(parts), runs)}
    seconds |= {name: best(lambda op=operator: once([op], parts), runs) for name, operator in operators.items()}  # type: ignore[misc]
    for name, members in SETS.items():
        if set(members) <= set(operators):
            seconds[name] = best(lambda m=members: once([operators[x] for x in m], parts), runs)  # type: ignore[misc]
    seconds["all in one pass"] = best(lambda: once([*operators.values()], parts), runs)
    return seconds


def families_table(seconds: dict[str, float], operators: dict[str, Family], texts: list[str]) -> str:
    bytes = size(texts)
    rows = [["family", "signals", "MB/s", "ns per byte", "share of all"]]
    for name, taken in seconds.items():
        signals = str(len(operators[name].writes())) if name in operators else ""
        share = f"{taken / seconds['all in one pass']:.0%}"
        rows.append([name, signals, f"{bytes / taken / 1e6:.0f}", f"{taken / bytes * 1e9:.2f}", share])
    return f"{bytes / 1e6:.1f} MB, {len(texts):,} documents, one core\n\n{table_text(rows, left=1)}"


def shapes_table(operators: dict[str, Family], texts: list[str], runs: int) -> str:
    """All families over short and long documents, and over scripts, at the same total size."""
    whole = "\n".join(texts)[:4_000_000]
    kinds = {f"documents of {n:,} characters": [whole[at : at + n] for at in range(0, len(whole), n)] for n in SIZES}
    kinds |= {name: repeat([text for text in texts if is_it(text)]) for name, is_it in SCRIPTS.items()}
    rows = [["documents", "MB/s"]]
    for name, these in kinds.items():
        if these:
            parts = batches(these)
            taken = best(lambda p=parts: once([*operators.values()], p), runs)  # type: ignore[misc]
            rows.append([name, f"{size(these) / taken / 1e6:.0f}"])
    return table_text(rows, left=1)


SIZES = (200, 2_000, 20_000, 1_000_000)


def _share(text: str, low: str, high: str) -> float:
    return sum(low <= point <= high for point in text[:2000]) / max(1, len(text[:2000]))


SCRIPTS: dict[str, Callable[[str], bool]] = {
    "Latin letters": lambda text: _share(text, "a", "z") > 0.6,
    "Han characters": lambda text: _share(text, "\u4e00", "\u9fff") > 0.5,
    "Arabic letters": lambda text: _share(text, "\u0600", "\u06ff") > 0.5,
    "source code": lambda text: text[:2000].count(";\n") + text[:2000].count("{\n") > 10,
}


def repeat(texts: list[str], wanted: int = 2_000_000) -> list[str]:
    """The texts, over and over until there are enough bytes to time."""
    random.Random(0).shuffle(texts)
    return texts * (1 + wanted // max(1, size(texts))) if texts else []


def peers_table(given: argparse.Namespace, operators: dict[str, Family], texts: list[str]) -> str:
    """Ours and the peers' over the same documents, one after the other."""
    some = texts[:: max(1, round(given.megabytes / given.peer_megabytes))]
    parts, bytes = batches(some), size(some)
    rows = [["peer", "ours", "its MB/s", "ours, MB/s", "ratio"]]
    compared: dict[str, list[tuple[str, ...]]] = {"datatrove": [WEB], "data-juicer": [JUICER, WEB]}
    for peer, sets in (compared | {"redpajama": [SETS["redpajama"]]}).items():
        python = given.data_juicer if peer == "data-juicer" else given.datatrove
        if not python or (peer == "redpajama" and not given.redpajama):
            continue
        found = run_peer(given, python, peer, some)
        for ours in sets:
            taken = best(lambda names=ours: once([operators[name] for name in names], parts), given.runs)  # type: ignore[misc]
            rate, ratio = bytes / found["seconds"] / 1e6, found["seconds"] / taken
            rows.append([found["name"], ", ".join(ours), f"{rate:.2f}", f"{bytes / taken / 1e6:.0f}", f"{ratio:.0f}x"])
    return f"{bytes / 1e6:.1f} MB, {len(some):,} documents\n\n{table_text(rows, left=2)}"


def run_peer(given: argparse.Namespace, python: str, peer: str, texts: list[str]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        # isolated: benchmarks/ray.py is not the ray that a peer imports
        command = [python, "-I", str(PEERS), peer, file.name, given.redpajama or "", given.lists or ""]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def costs(seconds: dict[str, float], operators: dict[str, Family], bytes: int) -> dict[str, float]:
    """Nanoseconds per byte of each signal; lexing, which families share, is not in them."""
    found: dict[str, float] = {}
    for name, operator in operators.items():
        own = max(seconds[name] - seconds["lexing"], 0.05 * seconds[name])
        each = own / bytes * 1e9 / len(operator.writes())
        found |= {column: round(each, 4) for column in operator.writes()}
    return found


if __name__ == "__main__":
    main()
