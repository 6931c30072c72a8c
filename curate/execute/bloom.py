"""A deduplication by Bloom filter: of each document whether its key was there before, in a few bits a document.

    remember   a range of the filter's blocks, keys of all shards in corpus order  -> rows seen before
    recall     a shard                                                             -> its decisions

The filter is as large as the number of documents and the rate ask for. What is larger than memory is filled one range
of blocks after the other. How it is cut, and by how many workers it is filled, does not change a bit of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curate.execute import earlier
from curate.execute.batches import BatchFile, BatchWriter, write_table
from curate.execute.grouping import Grouping, position
from curate.execute.tasks import Task

if TYPE_CHECKING:
    from curate.execute.dedup import Stages

SEEN = pa.schema([("item", pa.uint32())])
SAMPLE = 1 << 20  # documents about, of which it is known for sure whether they were seen before


def deduplicate(grouping: Grouping, stages: Stages) -> dict[str, Any]:
    """All stages; what the manifest says of them."""
    from curate.kernels.bloom import shape

    keys = sum(BatchFile(part.members).count for part in grouping.parts)
    whole = shape(keys, grouping.operator.bloom or 0)
    parts = min(whole.blocks, max(1, -(-whole.bytes // max(grouping.room // 2, 1 << 16))))
    found = stages("remember", [(part, parts, keys) for part in range(parts)])
    stages("recall", [(number,) for number in range(grouping.old, len(grouping.parts))])
    earlier.describe(grouping)
    facts: dict[str, Any] = {"documents": keys, "copies": found["copies"], "filter_bytes": whole.bytes}
    facts |= {"false_positives": found["wrong"], "among": found["new"]}
    facts |= {"false_positive_rate": round(found["wrong"] / max(1, found["new"]), 9)}
    return facts | ({"earlier_documents": int(grouping.starts[grouping.old])} if grouping.old else {})


def remember_task(grouping: Grouping, task: Task, part: int, parts: int, documents: int) -> dict[str, Any]:
    """Put the keys of one range of blocks into the filter, in corpus order; those seen before are left in a file.

    The copies among a sample of the keys are known exactly: `new` documents of it are none, `wrong` of these were taken
    for copies.
    """
    from curate.kernels.bloom import Filter, first_value, shape

    whole = shape(documents, grouping.operator.bloom or 0)
    first, stop = (whole.blocks * at // parts for at in (part, part + 1))
    blocks = Filter(whole, first, stop)
    bounds = first_value(first, whole), first_value(stop, whole)
    known, claimed, copies = [np.zeros(0, np.uint64)], [np.zeros(0, bool)], 0
    with BatchWriter(grouping.file("seen", part), SEEN) as writer:
        for keys, items in _in_order(grouping, *bounds):
            seen = blocks.add(keys)
            writer.write(pa.table({"item": items[seen]}, schema=SEEN))
            copies += int(seen.sum())
            chosen = _sampled(keys, documents)
            known.append(keys[chosen])
            claimed.append(seen[chosen])
    sample, first_at = np.unique(np.concatenate(known), return_index=True)
    wrong = int(np.concatenate(claimed)[first_at].sum())
    return {"copies": copies, "new": len(sample), "wrong": wrong}


def _in_order(grouping: Grouping, low: int, high: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Keys of a range and their items, batch by batch in corpus order; earlier runs come first."""
    for number, shard in enumerate(grouping.parts):
        for members in BatchFile(shard.members):
            found = members["key"].to_numpy()
            cut = slice(position(found, low), position(found, high))
            rows = members["row"].to_numpy()[cut]
            order = np.argsort(rows, kind="stable")
            yield found[cut][order], (rows[order] + grouping.starts[number]).astype(np.uint32)


def _sampled(keys: np.ndarray, documents: int) -> np.ndarray:
    """Which keys belong to the sample: all copies of a document or none."""
    from curate.kernels.mixing import mix

    if documents <= SAMPLE:
        return np.ones(len(keys), bool)
    return mix(keys, 0) < np.uint64(SAMPLE * 2**64 // documents)


def recall_task(grouping: Grouping, task: Task, number: int) -> dict[str, Any]:
    """The decisions of one shard."""
    first, stop = grouping.starts[number], grouping.starts[number + 1]
    found = [np.zeros(0, np.uint32)]
    for file in grouping.files("seen"):
        for batch in file:
            items = batch["item"].to_numpy()
            found.append(items[slice(*np.searchsorted(items, [first, stop]))].copy())
    rows = (np.sort(np.concatenate(found)) - first).astype(np.uint32)
    is_copy = pa.array(np.ones(len(rows), bool))
    drops = is_copy if grouping.operator.keep != "all" else pa.array(np.zeros(len(rows), bool))
    table = pa.table({"row": rows, **dict.fromkeys(grouping.operator.writes(), is_copy), "drop": drops})
    write_table(task.store.decisions(grouping.step.corpus_key, grouping.parts[number].shard), table)
    return {}


STAGES: dict[str, Callable[..., dict[str, Any]]] = {"remember": remember_task, "recall": recall_task}
