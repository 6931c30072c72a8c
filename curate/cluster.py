"""From shared keys to decisions: candidate pairs, pairs that count, clusters, and who stays.

It is the same for a table in memory (below) and for a corpus in partitions (execute/dedup.py).
Rows are items, numbers in corpus order; a pair is a uint64 (kernels/components.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one
from curate.errors import PlanError
from curate.settle import Decisions, settle

if TYPE_CHECKING:
    from curate.operator import Deduplicator

PAIRS = 20_000  # pairs compared at a time
DOUBT = 4.0  # standard errors around the threshold within which an estimate does not decide
WORST = np.uint64(2**64 - 1)  # rank of a row without a value

Fetch = Callable[[np.ndarray], pa.Table]  # ascending items -> a row for each
Digest = Callable[[np.ndarray], np.ndarray]  # ascending items -> the digest of each one's sketch


# ---------------------------------------------------------------- keep: who goes first


def check_keep(keep: Any) -> None:
    """Refuse, with ValueError, a `keep` that means nothing."""
    if isinstance(keep, str):
        return
    if len(keep) != 1:
        raise ValueError("keep: one of first, longest, all, {highest: column}, {lowest: column}, {sources: [a, b]}")
    ((how, what),) = keep.items()
    if how == "sources" and not (isinstance(what, list) and what and len({*what}) == len(what)):
        raise ValueError(f"keep: sources is a list of sources, the best first, each once, not {what!r}")
    if how != "sources" and not (isinstance(what, str) and what):
        raise ValueError(f"keep: {how} is the name of one column, not {what!r}")


def keep_reads(keep: Any) -> dict[str, pa.DataType | None]:
    """The columns that `keep` goes by."""
    if isinstance(keep, str):
        return {}
    ((how, what),) = keep.items()
    return {"source": pa.string()} if how == "sources" else {what: None}


def check_rank(keep: Any, types: Mapping[str, pa.DataType]) -> None:
    """Refuse, with PlanError, a column that has no highest value."""
    for name in () if isinstance(keep, str) or "sources" in keep else keep_reads(keep):
        kind = types[name]
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise PlanError(f"keep: {name} is {kind}, but only numbers have a highest and a lowest")


def ranks(keep: Any, columns: Mapping[str, pa.Array], lengths: np.ndarray | None = None) -> np.ndarray:
    """uint64 per row: of the rows of a cluster that with the smallest stays. Nulls and NaN come last.

    >>> ranks({"highest": "score"}, {"score": pa.array([0.5, None, 2.0])}).argsort().tolist()
    [2, 0, 1]
    """
    if keep == "longest":
        assert lengths is not None
        return ~lengths.astype(np.uint64)
    ((how, what),) = keep.items()
    if how == "sources":
        found = pc.index_in(columns["source"], value_set=pa.array(what, pa.string()))
        return found.fill_null(len(what)).to_numpy().astype(np.uint64)
    column = columns[what]
    order = _ordered(column)
    order = ~order if how == "highest" else order
    return np.where(_has_value(column), np.minimum(order, WORST - np.uint64(1)), WORST)


def _has_value(column: pa.Array) -> np.ndarray:
    present = column.is_valid()
    if pa.types.is_floating(column.type):
        present = pc.and_(present, pc.invert(pc.is_nan(column).fill_null(True)))
    return present.to_numpy(zero_copy_only=False)


def _ordered(column: pa.Array) -> np.ndarray:
    """Numbers as uint64 in the same order."""
    sign = np.uint64(1 << 63)
    if pa.types.is_floating(column.type):
        bits = (column.cast(pa.float64()).fill_null(0).to_numpy() + 0.0).view(np.uint64)  # + 0.0: -0.0 is 0.0
        return np.where(bits & sign, ~bits, bits | sign)
    if column.type == pa.uint64():
        return column.fill_null(0).to_numpy().copy()
    return column.cast(pa.int64()).fill_null(0).to_numpy().view(np.uint64) ^ sign


# ---------------------------------------------------------------- which pairs count


def digests(sketch: pa.Table) -> np.ndarray:
    """uint64 per row: the same for sketches that are the same.

    >>> a, b, c = digests(pa.table({"size": [1, 2, 1]}))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    from curate.kernels.minhash import band_keys

    if not len(sketch):
        return np.zeros(0, np.uint64)
    words = np.hstack([_words(column) for column in sketch.columns])
    return band_keys(words, 1, words.shape[1])[0]


def _words(column: pa.ChunkedArray) -> np.ndarray:
    """A column as uint32[rows, width]."""
    from curate.kernels.hashing import xxh3_128

    array = one(column)
    try:
        width = array.type.byte_width // 4 if array.type.bit_width % 32 == 0 else 0
    except ValueError:  # strings and lists have none
        width = 0
    if not width:
        return np.stack(xxh3_128(array.cast(pa.string())), axis=1).view(np.uint32)
    values = np.frombuffer(array.buffers()[1], np.uint32)[array.offset * width : (array.offset + len(array)) * width]
    return values.reshape(len(array), width)


def compare(pairs: np.ndarray, fetch: Fetch, how: Callable[[pa.Table, pa.Table], np.ndarray]) -> np.ndarray:
    """float64 per pair: `how` of the rows that `fetch` gives for the two items."""
    from curate.kernels.components import once, unpack

    a, b = unpack(pairs)
    items = once(np.concatenate([a, b]))
    table = fetch(items) if len(items) else None
    found = np.empty(len(pairs))
    for at in range(0, len(pairs), PAIRS):
        sides = (np.searchsorted(items, side[at : at + PAIRS]) for side in (a, b))
        left, right = (table.take(pa.array(side)).combine_chunks() for side in sides)  # type: ignore[union-attr]
        found[at : at + PAIRS] = how(left, right)
    return found


def verdicts(operator: Deduplicator, similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs count, and which are yet to be measured exactly."""
    if operator.verify == "none":
        return np.ones(len(similarity), bool), np.zeros(len(similarity), bool)
    doubt = np.zeros(len(similarity), bool)
    if operator.verify == "exact" and operator.evidences():
        doubt = np.abs(similarity - operator.threshold) <= DOUBT * operator.standard_error()
    return (similarity >= operator.threshold) & ~doubt, doubt


# ---------------------------------------------------------------- who stays (settle.py)


def filled(operator: Deduplicator, decided: Decisions, digest: Digest, fetch: Fetch, most: int = PAIRS) -> Decisions:
    """The similarity of copies to twins they were never compared with, `most` at a time, from their sketches.

    Nearly all of them are copies of one sketch, of which there is no need to fetch more than the twin's.
    """
    from curate.kernels.components import once, pack

    missing = np.flatnonzero(decided.copies & np.isnan(decided.similarity))
    for at in range(0, len(missing), most):
        some = missing[at : at + most]
        items, twins = decided.items[some], decided.twins[some]
        both = once(np.concatenate([items, twins]))
        known = digest(both)
        is_same = known[np.searchsorted(both, items)] == known[np.searchsorted(both, twins)]
        pairs = pack(np.where(is_same, twins, items), twins)
        decided.similarity[some] = compare(pairs, fetch, operator.similarity)
    return decided


# ---------------------------------------------------------------- on one table


def in_memory(operator: Deduplicator, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The operator on one table: its columns, and `dropped_by`. Positions stand for row addresses and ids."""
    from curate.evaluate import evaluate

    if operator.against is not None:
        raise PlanError(f"{operator.name()}: against is for runs; a table is compared with itself alone")
    sketch = pa.table(evaluate(operator, columns))
    where = np.flatnonzero(sketch.column(0).is_valid().to_numpy())
    rows, keys = operator.keys(sketch.take(pa.array(where)).combine_chunks())
    return decided_in_memory(operator, sketch, keys, where[rows], columns)


def pairs_in_memory(
    operator: Deduplicator, sketch: pa.Table, keys: np.ndarray, rows: np.ndarray, columns: Mapping[str, pa.Array]
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of rows that count, and their similarity. `keys` are those of `rows`; columns are what is sketched."""
    from curate.kernels.components import candidate_pairs, once

    digest = digests(sketch)
    runs = candidate_pairs(keys, rows, lambda items: (digest[items], items), 1 << 24)
    pairs = once(np.concatenate([np.zeros(0, np.uint64), *runs]))
    similarity = compare(pairs, lambda items: sketch.take(pa.array(items)), operator.similarity)
    counts, doubt = verdicts(operator, similarity)
    if doubt.any():
        similarity[doubt] = compare(pairs[doubt], _evidence(operator, columns), operator.measure)
        counts |= doubt & (similarity >= operator.threshold)
    return pairs[counts], similarity[counts]


def decided_in_memory(
    operator: Deduplicator, sketch: pa.Table, keys: np.ndarray, rows: np.ndarray, columns: Mapping[str, pa.Array]
) -> dict[str, pa.Array]:
    """What the operator writes for the rows of a corpus in memory, and `dropped_by`."""
    if operator.bloom:
        return _remembered(operator, keys, rows, len(sketch))
    pairs, similarity = pairs_in_memory(operator, sketch, keys, rows, columns)
    rank = ranks_of(operator, columns, len(sketch))
    decided, _ = settle(operator.link, lambda: [(pairs, similarity)], lambda items: rank[items])
    fetch: Fetch = lambda items: sketch.take(pa.array(items)).combine_chunks()  # noqa: E731
    decided = filled(operator, decided, lambda items: digests(fetch(items)), fetch)
    return _columns(operator, decided, len(sketch))


def _remembered(operator: Deduplicator, keys: np.ndarray, rows: np.ndarray, size: int) -> dict[str, pa.Array]:
    """The same by a Bloom filter, which knows that there is another copy, but not which."""
    from curate.kernels.bloom import Filter, shape

    order = np.argsort(rows, kind="stable")
    is_copy = np.zeros(size, bool)
    is_copy[rows[order]] = Filter(shape(len(keys), operator.bloom or 0)).add(keys[order])
    drops = pa.array(is_copy & (operator.keep != "all"))
    reason = pc.if_else(drops, operator.name(), pa.scalar(None, pa.string()))
    return {**{own: pa.array(is_copy) for own in operator.writes()}, "dropped_by": reason}


def ranks_of(operator: Deduplicator, columns: Mapping[str, pa.Array], rows: int) -> np.ndarray:
    """The rank of every row of a table."""
    if operator.keep in ("first", "all"):
        return np.zeros(rows, np.uint64)
    lengths = None
    if operator.keep == "longest":
        lengths = pc.binary_length(columns[operator.arguments()[0]]).fill_null(0).to_numpy()
    return ranks(operator.keep, columns, lengths)


def _evidence(operator: Deduplicator, columns: Mapping[str, pa.Array]) -> Fetch:
    from curate.evaluate import evaluate
    from curate.operator import Evidence

    of = Evidence(of=operator)
    return lambda items: pa.table(evaluate(of, {n: columns[n].take(pa.array(items)) for n in of.reads()}))


def _columns(operator: Deduplicator, decided: Decisions, rows: int) -> dict[str, pa.Array]:
    """Decisions as the columns of a table."""
    at = np.full(rows, -1)
    at[decided.items] = np.arange(len(decided.items))
    at, none = pa.array(at, mask=at < 0), pa.scalar(None, pa.int64())
    copies = pa.array(decided.copies)
    twins = pc.if_else(copies, pa.array(decided.twins.astype(np.int64)), none)
    names = iter(operator.writes())
    is_copy = copies.take(at).fill_null(False)
    similarity = pc.if_else(copies, pa.array(decided.similarity), pa.scalar(None, pa.float64()))
    values = (pa.array(decided.twins.astype(np.int64)), pa.array(decided.sizes), copies, twins.cast(pa.string()), twins)
    found = {next(names): array.take(at) for array in (*values, similarity)}
    found[f"{operator.name()}_is_duplicate"] = is_copy
    drops = is_copy if operator.keep != "all" else pa.array(np.zeros(rows, bool))
    return {**found, "dropped_by": pc.if_else(drops, operator.name(), pa.scalar(None, pa.string()))}
