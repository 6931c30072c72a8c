"""Going on from an earlier run: which of its shards take part, and what the new documents change for the old ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate import against
from curate.errors import PlanError
from curate.execute.batches import BatchFile, read_table, write_table
from curate.execute.parts import Part
from curate.operator import Deduplicator
from curate.store import whole, write_text

if TYPE_CHECKING:
    from curate.execute.grouping import Grouping
    from curate.execute.tasks import Task

OLD = pa.schema(
    {
        "id": pa.string(),
        "row": pa.int64(),
        "duplicate_of": pa.string(),
        "twin": pa.int64(),
        "similarity": pa.float64(),
    }
)


def describe(grouping: Grouping) -> None:
    """Leave word for later runs: the parts that took part, earlier ones included."""
    store, operator = grouping.store, grouping.operator
    about = operator.described()
    parts = [msgspec.to_builtins(part) for part in grouping.parts]
    for part in parts:
        part["store"]["root"] = "" if part["store"]["root"] == store.root else part["store"]["root"]
    text = json.dumps({**about, "keep": operator.keep, "parts": parts}, sort_keys=True)
    write_text(store.path(against.FOLDER, against.file_name(about)), text)


def earlier_parts(operator: Deduplicator) -> list[Part]:
    """The shards of the run that `against` names. Raises PlanError when their files are gone."""
    parts = []
    for path in operator.files() if operator.against else ():
        if not path.endswith(".json") or against.FOLDER not in path:
            continue
        root = str(Path(path).parents[2])
        for plain in json.loads(Path(path).read_text(encoding="utf-8"))["parts"]:
            plain["store"]["root"] = plain["store"]["root"] or root
            parts.append(msgspec.convert(plain, Part))
    for part in parts:
        if not part.members.exists():
            raise PlanError(f"against: {part.members} is gone: run the earlier recipe again")
    return parts


def earlier_task(grouping: Grouping, task: Task, number: int) -> dict[str, Any]:
    """Documents of a shard of an earlier run that stayed there and would go now."""
    from curate.execute.dedup import settled

    part, first = grouping.parts[number], grouping.starts[number]
    found = settled(grouping, number)
    items, twins = (found[name].to_numpy().astype(np.int64) for name in ("item", "twin"))
    before = read_table(part.store.decisions(part.corpus_key, part.shard))
    gone = before["row"].to_numpy()[before["drop"].to_numpy()]
    new = (items != twins) & ~np.isin(items - first, gone)
    table = found.filter(pa.array(new))
    rows = (items[new] - first).astype(np.int64)
    ids = BatchFile(part.index).rows(rows, ["id"])["id"]
    heads, addresses = (pa.array(grouping.addresses(each[new])) for each in (twins, items))
    columns = [ids, addresses, table["id"], heads, table["similarity"]]
    write_table(grouping.file("earlier", number), pa.table(columns, schema=OLD))
    return {"earlier_copies": int(new.sum())}


def report(grouping: Grouping) -> str:
    """All of them as one small file of the run; its name."""
    name = f"{grouping.step.step.name}_earlier.parquet"
    with whole(grouping.store.path(name)) as temporary, pq.ParquetWriter(temporary, OLD, compression="zstd") as writer:
        for file in grouping.files("earlier"):
            for batch in file:
                writer.write_batch(batch)
    return name
