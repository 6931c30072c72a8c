"""A selection. Where all rows fit into the memory that the config allows, one task has them; else, in tasks:

    look     some shards     -> counts of their rows in bins, for the question that is open
    merge    some of these   -> the same, as one
    ask      all counts      -> the answer; or narrower bins, to be looked at next
    decide   some shards     -> their decisions

The selector is asked anew after each look, with the answers there are, until it has no more questions (`Ranking`).
Every task leaves a file and a receipt; how many tasks there are changes nothing.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from curate.convert import size
from curate.evaluate import selection
from curate.execute.batch import blamed
from curate.execute.batches import BatchFile, read_table, write_table
from curate.execute.grouping import room
from curate.execute.tasks import Task, address
from curate.operator import Selection, Selector
from curate.plan import Pass, Plan, PlannedStep, stored
from curate.ranking import (
    Cut,
    Question,
    Ranking,
    Rows,
    Search,
    begun,
    combined,
    counted,
    in_memory,
    narrowed,
    rows_of,
    totals,
    words_of,
)
from curate.store import Store, whole

KIND = "select."
ROW = 160  # bytes that a row takes where all are at hand
ROWS = 1_000_000  # of a shard that are looked at together
AT_ONCE = 32  # files of counts that are merged at a time; the square of it is how many tasks look

Map = Callable[[Iterable[Task]], Iterable[tuple[Task, dict[str, Any]]]]


class Unanswered(Exception):
    """A selector has asked what nobody has looked at yet."""

    def __init__(self, question: Question):
        self.question = question


class State(NamedTuple):
    """What is known after a look: sums of groups, answers so far, and the search for the next one; or the facts."""

    totals: pa.Table
    answers: list[Cut]
    search: Search | None = None
    facts: dict[str, Any] | None = None


class Selecting:
    """A selection as its tasks see it."""

    def __init__(self, plan: Plan, store: Store, this: Pass):
        self.store, self.this, self.step = store, this, plan.steps[this.end or 0]
        assert isinstance(self.step.operator, Selector)
        self.operator: Selector = self.step.operator
        self.numbers = plan.taking_part(this)
        self.shards = [plan.shards[number] for number in self.numbers]
        self.types = stored(self.step)

    def key(self, round: int) -> str:
        """Of the receipts."""
        return f"{self.step.corpus_key}/ranking/{round}"

    @property
    def parts(self) -> int:
        """How many tasks look at shards."""
        return min(len(self.shards), AT_ONCE**2)

    def file(self, round: int, name: str) -> Path:
        return self.store.work("corpus", self.step.corpus_key, "ranking", str(round), name)

    def mine(self, part: int, parts: int) -> range:
        """The shards of a task, by their place among those that take part."""
        first, stop = (len(self.shards) * at // parts for at in (part, part + 1))
        return range(first, stop)

    def sketches(self, at: int) -> Iterator[tuple[np.ndarray, pa.Table]]:
        """The rows of a shard that take part, and what is kept of them: some at a time, and at least once."""
        key = self.shards[at].key
        rows = read_table(self.store.members(self.this.key, key))["row"].to_numpy().astype(np.int64)
        if not len(rows):
            yield rows, pa.schema([*self.types.items()]).empty_table()
            return
        values = BatchFile(self.store.values(self.step.value_key, key))
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            yield some, values.rows(some, [*self.types])

    def rows(self, at: int, ranking: Ranking) -> Iterator[tuple[np.ndarray, Rows]]:
        """The same as the ranking has them."""
        for rows, sketch in self.sketches(at):
            yield rows, rows_of(sketch, ranking.names, address(self.numbers[at], rows))

    def state(self, round: int) -> State:
        found: State = pickle.loads(self.file(round, "state.pickle").read_bytes())
        return found

    def decide(self, at: int, decided: Iterable[tuple[np.ndarray, Selection]]) -> int:
        """Write the decisions of a shard; how many rows are kept."""
        tables, kept = [], 0
        for rows, found in decided:
            keep = np.ones(len(rows), bool) if found.keep is None else found.keep
            told = np.ones(len(rows), bool) if found.columns else ~keep
            columns = {own: array.filter(pa.array(told)) for own, array in found.columns.items()}
            columns |= {"row": pa.array(rows[told].astype(np.uint32)), "drop": pa.array(~keep[told])}
            tables.append(pa.table(columns))
            kept += int(keep.sum())
        write_table(self.store.decisions(self.step.corpus_key, self.shards[at].key), pa.concat_tables(tables))
        return kept


def select(plan: Plan, this: Pass, task: Task, run: Map) -> dict[str, Any]:
    """All stages; what the manifest says of them."""
    selecting = Selecting(plan, task.store, this)
    receipts = task.store.receipts(this.key, (shard.key for shard in selecting.shards))
    if sum(facts["rows"] for facts in receipts) * ROW <= room(size(task.config.memory)):
        ((_, facts),) = run([msgspec.structs.replace(task, kind=f"{KIND}all", at=this.index)])
        return facts

    def stage(name: str, round: int, parts: int) -> None:
        work = ((part, parts, round) for part in range(parts))
        tasks = [msgspec.structs.replace(task, kind=KIND + name, at=this.index, shards=shards) for shards in work]
        done = task.store.receipts(selecting.key(round), map(_name, tasks))
        for _ in run([one for one, facts in zip(tasks, done, strict=True) if not facts]):
            pass

    for round in itertools.count():
        stage("look", round, selecting.parts)
        stage("merge", round, -(-selecting.parts // AT_ONCE))
        stage("ask", round, 1)
        asked = task.store.receipt(selecting.key(round), "ask-0") or {}
        if "facts" in asked:
            break
    stage("decide", round, selecting.parts)
    names = (f"decide-{part}" for part in range(selecting.parts))
    kept = sum(facts["kept"] for facts in task.store.receipts(selecting.key(round), names))
    return {"rows": asked["rows"], "kept": kept, **asked["facts"]}


def clear(store: Store, step: PlannedStep) -> None:
    """Take away what only the tasks needed."""
    for folder in ("corpus", "done"):
        store.remove(".work", folder, step.corpus_key, "ranking")


def _name(task: Task) -> str:
    return f"{task.kind.removeprefix(KIND)}-{task.shards[0]}"


def select_task(task: Task, plan: Plan) -> dict[str, Any]:
    """One task of a selection; `task.kind` says of which stage."""
    selecting, stage = Selecting(plan, task.store, plan.passes[task.at]), task.kind.removeprefix(KIND)
    if stage == "all":
        return all_task(selecting)
    stages = {"look": look_task, "merge": merge_task, "ask": ask_task, "decide": decide_task}
    facts = stages[stage](selecting, *task.shards)
    task.store.sign(selecting.key(task.shards[2]), _name(task), facts)
    return facts


def all_task(selecting: Selecting) -> dict[str, Any]:
    """The selection of a corpus of which one task has all rows."""
    shards = [[*selecting.sketches(at)] for at in range(len(selecting.shards))]
    with blamed(selecting.step, "corpus-wide"):
        ranking, (corpus,) = in_memory(pa.concat_tables([sketch for shard in shards for _, sketch in shard]))
        found = selection(selecting.operator, corpus, ranking)
    kept = start = 0
    for at, shard in enumerate(shards):
        rows = np.concatenate([rows for rows, _ in shard])
        columns = {own: array.slice(start, len(rows)) for own, array in found.columns.items()}
        keep = None if found.keep is None else found.keep[start : start + len(rows)]
        kept += selecting.decide(at, [(rows, Selection(keep, columns))])
        start += len(rows)
    return {"rows": start, "kept": kept, **found.facts}


def look_task(selecting: Selecting, part: int, parts: int, round: int) -> dict[str, Any]:
    """Count the rows of some shards for the question that is open: at first, how many there are."""
    found = _added(_looks(selecting, part, parts, round))
    write_table(selecting.file(round, f"{part:05d}.arrow"), found)
    return {"counts": len(found)}


def _looks(selecting: Selecting, part: int, parts: int, round: int) -> Iterator[pa.Table]:
    state = selecting.state(round - 1) if round else None
    for at in selecting.mine(part, parts):
        if state is None:
            yield from (totals(sketch) for _, sketch in selecting.sketches(at))
        else:
            assert state.search is not None
            yield from (counted(rows, state.search) for _, rows in selecting.rows(at, _ranking(state)))


def merge_task(selecting: Selecting, part: int, parts: int, round: int) -> dict[str, Any]:
    """The counts of some tasks as one."""
    numbers = range(part * AT_ONCE, min((part + 1) * AT_ONCE, selecting.parts))
    found = _added(read_table(selecting.file(round, f"{number:05d}.arrow")) for number in numbers)
    write_table(selecting.file(round, f"merged-{part:05d}.arrow"), found)
    return {"counts": len(found)}


def _added(counts: Iterator[pa.Table]) -> pa.Table:
    """Counts that come one after the other, as one."""
    found = next(counts)
    for more in counts:
        found = combined(pa.concat_tables([found, more]))
    return found


def ask_task(selecting: Selecting, part: int, parts: int, round: int) -> dict[str, Any]:
    """Give the selector what was found, and note what it asks next."""
    merged = range(-(-selecting.parts // AT_ONCE))
    counts = _added(read_table(selecting.file(round, f"merged-{number:05d}.arrow")) for number in merged)
    state = advanced(selecting, selecting.state(round - 1), counts) if round else asked(selecting, State(counts, []))
    with whole(selecting.file(round, "state.pickle")) as temporary:
        temporary.write_bytes(pickle.dumps(state))
    rows = int(np.sum(state.totals["rows"].to_numpy()))
    return {"answers": len(state.answers)} if state.facts is None else {"rows": rows, "facts": state.facts}


def advanced(selecting: Selecting, state: State, counts: pa.Table) -> State:
    """The state after the counts of a look."""
    assert state.search is not None
    search = narrowed(state.search, counts)
    if not search.is_done:
        return state._replace(search=search)
    return asked(selecting, state._replace(answers=[*state.answers, search.answer()]))


def asked(selecting: Selecting, state: State) -> State:
    """The state with the selector's next question, or with its facts if there is none."""
    ranking = _ranking(state)
    nothing = rows_of(pa.schema([*selecting.types.items()]).empty_table(), ranking.names, np.zeros(0, np.int64))
    with blamed(selecting.step, "corpus-wide"):
        try:
            return state._replace(search=None, facts=selection(selecting.operator, nothing, ranking).facts)
        except Unanswered as open_:
            search = begun(open_.question, words_of(nothing.sketch.schema))
    if search.is_done:  # there are no groups
        return asked(selecting, state._replace(answers=[*state.answers, search.answer()]))
    return state._replace(search=search)


def _ranking(state: State) -> Ranking:
    """The ranking as far as it is known."""
    answers = iter(state.answers)

    def answer(question: Question) -> Cut:
        for found in answers:
            return found
        raise Unanswered(question)

    return Ranking(state.totals, answer)


def decide_task(selecting: Selecting, part: int, parts: int, round: int) -> dict[str, Any]:
    """The decisions of some shards, with all answers."""
    state, kept = selecting.state(round), 0
    for at in selecting.mine(part, parts):
        some = selecting.rows(at, _ranking(state))
        with blamed(selecting.step, "corpus-wide"):
            decided = ((rows, selection(selecting.operator, mine, _ranking(state))) for rows, mine in some)
            kept += selecting.decide(at, decided)
    return {"kept": kept}
