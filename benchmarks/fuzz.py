"""Readers on broken files: no crash, no hang, no exception but curate's own, and no record lost without a word.

python -m benchmarks.fuzz [--cases N] [--seed S] [--first N] [--only JSONL ...]

A case is a number: with the seed it decides the file, how it is broken and how it is read. Cases run in processes of
their own, a few hundred at a time, so that one that crashes is named and the others go on.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa

from benchmarks.broken_files import FORMATS, Case, make_case
from curate.errors import DataError
from curate.io.source import BadRecord, DamagedFile, Source, discover, read, schema

AT_ONCE = 500
SECONDS = 20  # of processor time
STUCK = 600  # seconds by the clock, for what waits and does not work
MEMORY = 6 << 30  # of address space
BATCHES = (1 << 20, 3_000, 64)


class Wrong(Exception):
    """What a reader may not do."""


class TooLong(BaseException):
    """A case that does not end: no reader may take it for an error of its own."""


class Outcome:
    """What reading a source once has given."""

    def __init__(self, case: Case, batch_bytes: int, corrupt: str = "quarantine", **how: Any) -> None:
        self.bad: list[BadRecord] = []
        self.tables: list[pa.Table] = []
        self.refused = self.damaged = ""
        self.shards = 0
        source = Source(path=str(case.path), format=case.format, **case.options)  # type: ignore[arg-type]
        try:
            self._read(source, batch_bytes, corrupt, how)
        except DamagedFile as error:
            self.damaged = str(error)
        except DataError as error:
            self.refused = str(error)

    def _read(self, source: Source, batch_bytes: int, corrupt: Any, how: dict[str, Any]) -> None:
        shards = discover("web", source)
        self.shards = len(shards)
        columns = schema(source, shards, corrupt)
        for shard in shards:
            for batch in read(shard, source, columns, batch_bytes, self.bad.append, corrupt=corrupt, **how):
                batch.validate(full=True)
                self.tables.append(pa.Table.from_batches([batch]))

    @property
    def table(self) -> pa.Table | None:
        return pa.concat_tables(self.tables).combine_chunks() if self.tables else None

    @property
    def rows(self) -> int:
        return sum(map(len, self.tables))


def check(case: Case) -> str:
    """Read the case in several ways; the outcome in a word. Raises Wrong."""
    first = Outcome(case, BATCHES[0])
    other = Outcome(case, BATCHES[1 + case.number % 2])
    if (first.refused == "") != (other.refused == ""):
        raise Wrong(f"refused with one batch size only: {first.refused or other.refused}")
    if first.refused:
        if "\n" in first.refused or len(first.refused) > 2_000:
            raise Wrong(f"the message is not one line: {first.refused[:200]!r}")
        return "refused"
    _same(first, other)
    _count(case, first)
    _strict(case, first)
    if first.shards == 1 and not first.damaged:
        _again(case, first)
    return "damaged" if any("damage" in bad.error for bad in first.bad) else "quarantined" if first.bad else "read"


def _same(first: Outcome, other: Outcome) -> None:
    if first.bad != other.bad:
        raise Wrong(f"bad records depend on the batch size: {_differ(first.bad, other.bad)}")
    left, right = first.table, other.table
    if (left is None) != (right is None) or (left is not None and not _equal(left, right)):
        raise Wrong(f"rows depend on the batch size: {first.rows} and {other.rows}")


def _equal(left: pa.Table, right: Any) -> bool:
    return left.schema == right.schema and (left.equals(right) or str(left.to_pydict()) == str(right.to_pydict()))


def _differ(left: list[BadRecord], right: list[BadRecord]) -> str:
    pairs = zip(left, right, strict=False)
    return str(next((pair for pair in pairs if pair[0] != pair[1]), (len(left), len(right))))[:300]


def _count(case: Case, first: Outcome) -> None:
    """Good and bad records are what an independent count of the file finds."""
    keys = [(bad.shard, bad.position) for bad in first.bad]
    if len(set(keys)) != len(keys):
        raise Wrong(f"a position is reported twice: {Counter(keys).most_common(1)}")
    found = first.rows + len(first.bad)
    if case.records is not None and not case.records[0] <= found <= case.records[1]:
        raise Wrong(f"{first.rows} rows and {len(first.bad)} bad records of {case.records} records")
    texts = set() if first.table is None else set(first.table["text"].to_pylist())
    lost = [text for text in case.certain if text not in texts]
    if lost:
        raise Wrong(f"{len(lost)} untouched documents are gone, the first {lost[0][:60]!r}; {len(first.bad)} bad")


def _strict(case: Case, first: Outcome) -> None:
    """With `corrupt_archives: error` the rows are the same up to the damage, which then is an error."""
    strict = Outcome(case, BATCHES[0], corrupt="error")
    if strict.refused:
        raise Wrong(f"refused only when damage is an error: {strict.refused}")
    if not strict.damaged:
        _same(first, strict)
    elif strict.rows > first.rows or not first.bad:
        raise Wrong(f"damage that was not quarantined: {strict.damaged}")


def _again(case: Case, first: Outcome) -> None:
    """Bad positions are known from the first read: the second gives the same rows, also of some columns only."""
    import numpy as np

    skip = np.array([bad.position for bad in first.bad], np.int64)
    again = Outcome(case, BATCHES[0], skip=skip)
    if again.bad or again.refused or again.rows != first.rows:
        raise Wrong(f"a second read differs: {again.rows} rows of {first.rows}, {again.refused}")
    some = Outcome(case, BATCHES[0], needed={"text"})
    if some.rows != first.rows or some.bad != first.bad:
        raise Wrong(f"reading the text alone differs: {some.rows} rows of {first.rows}, {some.refused}")
    left, right = first.table, some.table
    if left is not None and right is not None and left["text"].to_pylist() != right["text"].to_pylist():
        raise Wrong("the text alone is another")


# ---------------------------------------------------------------- running many


def run_case(seed: int, number: int, folder: Path, only: list[str]) -> tuple[str, str, str]:
    """A case's format, how it was broken, and its outcome: `WRONG: ...` when it failed."""
    place = folder / str(number)
    case = make_case(random.Random(f"{seed}/{number}"), number, place, only)
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        outcome = check(case)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        what = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
        outcome = f"WRONG: {' '.join(what.split())[:400]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        shutil.rmtree(place, ignore_errors=True)
    return case.name, case.how, outcome


def _too_long(signal: int, frame: FrameType | None) -> None:
    raise TooLong(f"took more than {SECONDS} seconds")


def work(seed: int, first: int, cases: int, only: list[str]) -> None:
    """The cases of one process, a line each: `begin` before it, so that one that crashes is known."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + cases):
            print(f"begin\t{number}", flush=True)
            faulthandler.dump_traceback_later(STUCK, exit=True)
            print("\t".join(["done", str(number), *run_case(seed, number, Path(folder), only)]), flush=True)


def results(seed: int, first: int, cases: int, only: list[str]) -> Iterator[tuple[int, str, str, str]]:
    """Number, format, way of breaking and outcome of each case."""
    at, end = first, first + cases
    while at < end:
        count = min(AT_ONCE, end - at)
        command = [sys.executable, "-m", "benchmarks.fuzz", "--work", "--seed", str(seed), "--first", str(at)]
        command += ["--cases", str(count), *(["--only", *only] if only else [])]
        done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", check=False)
        begun = at - 1
        for line in done.stdout.splitlines():
            kind, number, *rest = line.split("\t")
            begun = int(number)
            if kind == "done":
                yield begun, rest[0], rest[1], rest[2]
                at = begun + 1
        if at == begun:
            yield begun, "?", "?", f"WRONG: the process ended ({done.returncode}): {_head(done.stderr)}"
            at = begun + 1
        elif begun < at - 1 or (done.returncode and not done.stdout):
            raise SystemExit(f"cases from {at} on could not run: {done.stderr[-2000:]}")


def _head(trace: str) -> str:
    """Where a process was when it ended, in a line."""
    at = max(trace.find("Current thread"), 0)
    return " ".join(trace[at:].split())[:600]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to see one again")
    parser.add_argument("--only", nargs="*", choices=[*FORMATS], default=[], help="formats")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.seed, given.first, given.cases, given.only)
        return 0
    began = time.perf_counter()
    total: Counter[tuple[str, str]] = Counter()
    wrong = 0
    for number, name, how, outcome in results(given.seed, given.first, given.cases, given.only):
        total[name, outcome.split(":")[0]] += 1
        if outcome.startswith("WRONG"):
            wrong += 1
            print(f"case {number} ({name}, {how}): {outcome}", flush=True)
    for (name, outcome), count in sorted(total.items()):
        print(f"{name:14} {outcome:12} {count:>8,}")
    seconds = time.perf_counter() - began
    print(f"seed {given.seed}: {sum(total.values()):,} cases in {seconds:,.0f} s, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
