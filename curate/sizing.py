"""What a recipe costs on a cluster: CPU time, wall time, memory, shuffled and stored bytes, from measured costs.

A sum over the plan: every byte is read once per pass, every step costs its nanoseconds per byte, every value and
key its place on disk. The figures are of one core of benchmarks/RESULTS.md; `speed` says how one of yours compares.
`python -m benchmarks.cost` shows estimates beside runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow as pa

from curate.operator import Deduplicator, Filter, Selector, Signal, Trainer
from curate.plan import Pass, Plan, PlannedStep

COSTS = Path(__file__).resolve().parents[1] / "benchmarks" / "costs.json"  # column -> nanoseconds per byte of text
# Nanoseconds per byte of text.
READ = {"jsonl": 2.9, "parquet": 2.1, "wet": 9.6, "warc": 5.4, "arc": 5.4}
LEX = 3.8  # once per pass, for all steps that look at words
WRITE = 5.2  # text of kept documents, as Parquet
SKETCH = 1.4  # a MinHash signature, of words that are lexed already
EVIDENCE = 4.9  # the text is read again for pairs in doubt, and their shingles are compared
STEP = 2.0  # of a step that was not measured by itself
# Nanoseconds per document, per value, per key of a deduplicator.
DOCUMENT, VALUE, KEY = 8_000, 20, 90
PACKED = 0.46  # bytes of Parquet for a byte of text
PACKED_VALUES, PACKED_LISTS = 0.5, 0.24  # for a byte of columns: of plain values, of lists
INDEX = 60  # bytes of the work folder for a document, whatever the steps
LINE = 75  # bytes of text in a line; columns of lists have a value for each
WORKER = 550e6  # bytes of memory of a process, in batches of 8 MB
GROUP, ROWS, ROOM = 64e6, 100_000, 5  # bytes and rows of annotations that it gathers to be written; room for a byte
START = 1.0  # seconds of a worker: imports, compiled kernels
TASK = 0.0012  # seconds of the driver for a task, on Ray
DISK = 200e6  # bytes per second that a task reads or writes of shared storage
ITEMS = 1 << 32  # documents that one deduplication takes
LOOK, LOOKS, LOOKERS = 60, 16, 1024  # nanoseconds of a selector for a document, times it looks, tasks at most


class Cluster(msgspec.Struct, frozen=True):
    """Machines: how many, with how many cores, how fast a core is beside the one that was measured."""

    nodes: int
    cores: int
    speed: float = 1.0

    @property
    def slots(self) -> int:
        return self.nodes * self.cores


class Estimate(msgspec.Struct, frozen=True):
    """What a run takes.

    cpu_hours   of all cores
    hours       from start to end
    task_bytes  memory of a task; 2 for corpus-wide ones: what `memory` allows
    shuffle     bytes that corpus-wide steps read of other shards
    work        bytes of the work folder;  output: of data and annotations
    tasks       how many
    limits      what does not hold at this size, in words
    """

    cpu_hours: float
    hours: float
    task_bytes: float
    memory: float
    shuffle: float
    work: float
    output: float
    tasks: int
    parts: dict[str, float]
    limits: tuple[str, ...]


def estimate(
    plan: Plan, cluster: Cluster, documents: int, size: int, kept: float = 1.0, memory: int = 10**9, shard: int = 10**9
) -> Estimate:
    """The cost of a plan for so many documents and bytes of text, in shards of `shard` bytes of text.

    `kept` is the share of the text that is written at the end.
    """
    clock = _clock(plan, documents, size, kept)
    shard = min(shard, max(size, 1))
    shards = -(-size // shard)
    shuffle, work, tasks = _corpus_wide(plan, documents, size / documents, memory, shards)
    tasks += shards * len(plan.passes) + max(1, int(size * kept / _file_size(plan)))
    cpu = (sum(clock.values()) + START * cluster.slots) / cluster.speed
    group = sum(_width(plan.schema, size / documents)) * min(documents, ROWS)
    moved = size * (len(plan.passes) + 1) * PACKED + shuffle + 2 * work
    longest = shard * sum(clock.values()) / size / cluster.speed
    barriers = longest * len(plan.passes)  # at the end of a pass cores wait for the last shards
    wall = max(cpu / cluster.slots + barriers * min(1, cluster.slots / shards), tasks * TASK)
    wall = max(wall, moved / DISK / cluster.slots)
    return Estimate(
        cpu_hours=cpu / 3600,
        hours=wall / 3600,
        task_bytes=WORKER + ROOM * min(GROUP, group),
        memory=float(memory),
        shuffle=shuffle,
        work=work + documents * INDEX,
        output=size * kept * PACKED + documents * (1 + kept) * _packed(plan.schema, size / documents),
        tasks=tasks,
        parts=clock,
        limits=_limits(plan, documents, tasks, wall),
    )


def text(found: Estimate, cluster: Cluster, documents: int, size: int) -> str:
    """An estimate in words."""
    rows = {
        "CPU": f"{found.cpu_hours:,.1f} core hours ({size / 3.6e9 / max(found.cpu_hours, 1e-12):,.0f} MB/s per core)",
        "wall": f"{found.hours:,.2f} hours on {cluster.nodes:,} nodes of {cluster.cores} cores",
        "tasks": f"{found.tasks:,}",
        "memory": f"{found.task_bytes / 1e9:.2f} GB per task, {found.memory / 1e9:.2f} GB per corpus-wide task",
        "shuffle": f"{found.shuffle / 1e9:,.1f} GB",
        "storage": f"{found.work / 1e9:,.1f} GB work folder, {found.output / 1e9:,.1f} GB output",
    }
    lines = [f"{documents:,} documents, {size / 1e9:,.1f} GB of text"]
    lines += [f"  {name:<9}{value}" for name, value in rows.items()]
    total = sum(found.parts.values()) or 1
    shares = sorted(found.parts.items(), key=lambda part: -part[1])
    lines.append("  of which " + ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in shares[:6]))
    return "\n".join([*lines, *(f"  note     {limit}" for limit in found.limits)])


def _clock(plan: Plan, documents: int, size: int, kept: float) -> dict[str, float]:
    """Seconds of a core, by part. A pass that needs no text reads none."""
    costs = _costs()
    formats = [shard.format for shard in plan.shards]
    read = READ.get(max(set(formats), key=formats.count), READ["jsonl"]) if formats else READ["jsonl"]
    reading = sum(_reads_text(plan, this) for this in plan.passes) + 1  # the export reads it too
    clock = {"read": reading * read * size, "write": WRITE * size * kept, "engine": DOCUMENT * documents}
    clock["write"] += documents * VALUE * sum(_values(field.type, size / documents) for field in plan.schema)
    lexed = [step for step in plan.steps if isinstance(step.operator, Signal | Deduplicator | Trainer)]
    clock["lexing"] = LEX * size if lexed else 0.0
    for step in plan.steps:
        looks = LOOK * LOOKS if isinstance(step.operator, Selector) else 0
        clock[step.step.name] = _step(step, costs) * size + (KEY * _keys(step) + looks) * documents
    return {name: nanoseconds / 1e9 for name, nanoseconds in clock.items()}


def _step(step: PlannedStep, costs: Mapping[str, float]) -> float:
    """Nanoseconds per byte of a step, without lexing."""
    operator = step.operator
    if isinstance(operator, Filter | Selector):
        return 0.0
    if isinstance(operator, Deduplicator):
        return SKETCH + (EVIDENCE if operator.evidences() else 0.0)
    known = [costs[name] for name in operator.writes() if name in costs]
    return sum(known) if known else STEP


def _keys(step: PlannedStep) -> int:
    if not isinstance(step.operator, Deduplicator):
        return 0
    return int(getattr(step.operator, "bands", None) or 1)


def _reads_text(plan: Plan, this: Pass) -> bool:
    """Whether a pass computes anything from text: a step of its own, or the sketch of the one that ends it."""
    steps = [plan.steps[at] for at in this.steps if plan.steps[at].operator.scope == "document"]
    early = {at for before in plan.passes[: this.index] for at in before.ahead}
    ends = [] if this.end is None or this.end in early else [plan.steps[this.end]]
    return any("text" in step.inputs.values() for step in (*steps, *ends))


def _corpus_wide(plan: Plan, documents: int, length: float, memory: int, shards: int) -> tuple[float, float, int]:
    """Shuffled bytes, bytes of the work folder, and tasks of the corpus-wide steps."""
    shuffle, work, tasks = 0.0, 0.0, 0
    for step in plan.steps:
        operator = step.operator
        if isinstance(operator, Deduplicator | Selector):
            width = sum(_bytes(kind, length) for kind in operator.sketches().values())
            work += documents * width
            if isinstance(operator, Selector):
                shuffle, tasks = shuffle + LOOKS * documents * width, tasks + LOOKS * min(shards, LOOKERS)
        elif not isinstance(operator, Filter):
            work += documents * sum(_bytes(kind, length) for kind in operator.writes().values())
        if isinstance(operator, Deduplicator):
            moved = documents * (12.0 * _keys(step) + 24)
            shuffle, work = shuffle + moved, work + moved
            tasks += max(1, int(documents * _keys(step) * 64 / (memory / 2))) + shards + 2
    return shuffle, work, tasks


def _limits(plan: Plan, documents: int, tasks: int, wall: float) -> tuple[str, ...]:
    found = []
    if documents > ITEMS and any(isinstance(step.operator, Deduplicator) for step in plan.steps):
        found.append(
            f"a deduplication takes {ITEMS:,} documents: split the corpus, as by snapshot, and chain it (`against:`)"
        )
    if tasks * TASK > wall / 2:
        found.append("the driver is busy for more than half of the time: make shards larger")
    return tuple(found)


def _file_size(plan: Plan) -> int:
    from curate.convert import size

    return size(plan.recipe.output.file_size)


def _width(schema: pa.Schema, length: float) -> tuple[float, float]:
    """Bytes of a document's plain values, and of its lists."""
    fields = [field for field in schema if field.name != "text"]
    lists = sum(_bytes(field.type, length) for field in fields if _is_by_line(field.type))
    return sum(_bytes(field.type, length) for field in fields) - lists, lists


def _packed(schema: pa.Schema, length: float) -> float:
    """The same as Parquet."""
    values, lists = _width(schema, length)
    return values * PACKED_VALUES + lists * PACKED_LISTS


def _bytes(kind: pa.DataType, length: float) -> float:
    """Of a column's value, for documents of so many bytes."""
    if _is_by_line(kind):
        return kind.value_type.bit_width / 8 * _values(kind, length)
    try:
        return max(1.0, kind.bit_width / 8)
    except ValueError:
        return 24.0  # strings and their lists, as they are on average


def _values(kind: pa.DataType, length: float) -> float:
    return 1 + length / LINE if _is_by_line(kind) else 1.0


def _is_by_line(kind: pa.DataType) -> bool:
    """Whether it is a list of numbers: they have one for each line."""
    return pa.types.is_list(kind) and pa.types.is_primitive(kind.value_type)


def _costs() -> dict[str, float]:
    found: dict[str, float] = json.loads(COSTS.read_text()) if COSTS.exists() else {}
    return found
