"""The checks themselves: small sound operators of every kind pass, and for each check one that breaks it is caught."""

from __future__ import annotations

import ctypes
import random
import threading
import time
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curate.operator import Deduplicator, Expander, Filter, Mapper, Operator, Selector, Signal, Trainer, Types
from curate.ranking import Ranking, Rows
from curate.testing import CHECKS, Check, checks, checks_for, parametrize

# ---------------------------------------------------------------- sound: one of each kind


class Bytes(Signal, frozen=True):
    """Length of the text.

    scale   divisor

    length   bytes / scale

    >>> Bytes(scale=2)("four")
    {'length': 2.0}
    """

    scale: float = 1.0

    def writes(self) -> Types:
        return {"length": pa.float64()}

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"length": pc.divide(lengths(text).cast(pa.float64()), self.scale)}


class Lower(Mapper, frozen=True):
    """Small letters.

    text       the text in small letters
    is_lower   whether it was so before

    >>> Lower()("A")
    {'text': 'a', 'is_lower': False}
    """

    def writes(self) -> Types:
        return {"text": pa.string(), "is_lower": pa.bool_()}

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        low = pc.utf8_lower(text)
        return {"text": low, "is_lower": pc.equal(low, text)}


class Short(Filter, frozen=True):
    """Drops short documents: reasons `short` and `empty`; `minimum` is the least length in bytes.

    >>> Short()({"text": "no"})
    {'dropped_by': 'short'}
    """

    minimum: int = 3

    def reasons(self) -> tuple[str, ...]:
        return ("short", "empty")

    def decide(self, text: pa.StringArray) -> dict[str, pa.Array]:
        size = lengths(text)
        return {"short": pc.less(size, self.minimum), "empty": pc.equal(size, 0)}


class Lines(Expander, frozen=True):
    """One document per line.

    text        the line
    parent_id   id of the document it is from

    >>> Lines().expand(pa.array(["a\\nb"]))[1]["text"].to_pylist()
    ['a', 'b']
    """

    def expand(self, text: pa.StringArray) -> tuple[np.ndarray, dict[str, pa.Array]]:
        lines = pc.split_pattern(text, "\n")
        return pc.list_parent_indices(lines).to_numpy(), {"text": pc.list_flatten(lines)}


class SameLength(Deduplicator, frozen=True):
    """Texts of one length are duplicates: same_length_cluster, same_length_cluster_size, same_length_is_duplicate,
    same_length_duplicate_of, same_length_twin, same_length_similarity.

    width     bytes that count as one
    keep      which stays
    link      how pairs become clusters
    against   an earlier run

    >>> SameLength()(pa.table({"text": ["a", "b"]}))["dropped_by"].to_pylist()
    [None, 'same_length']
    """

    sketch_parameters: ClassVar[tuple[str, ...]] = ("width",)

    width: int = 1

    def sketches(self) -> Types:
        return {"size": pa.int64()}

    def sketch(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"size": pc.divide(lengths(text).cast(pa.int64()), self.width)}

    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(sketch)), sketch["size"].to_numpy().astype(np.uint64)

    def similarity(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        return (left["size"].to_numpy() == right["size"].to_numpy()).astype(float)


class Longest(Selector, frozen=True):
    """Keeps the longest documents.

    count   how many

    >>> Longest(count=1)(pa.table({"text": ["a", "bb"]}))["dropped_by"].to_pylist()
    ['longest', None]
    """

    count: int = 10

    def sketches(self) -> Types:
        return {"score": pa.float64(), "tie": pa.uint64()}

    def sketch(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"score": lengths(text).cast(pa.float64()), "tie": pa.array(np.zeros(len(text), np.uint64))}

    def select(self, rows: Rows, ranking: Ranking) -> np.ndarray:
        return rows.before(ranking.cut(self.count, "documents"))


class Share(Trainer, frozen=True):
    """The document's part of the corpus.

    share   its bytes as a part of all bytes, 0..1

    >>> Share()(pa.table({"text": ["a", "bbb"]}))["share"].to_pylist()
    [0.25, 0.75]
    """

    def writes(self) -> Types:
        return {"share": pa.float64()}

    def sketch_schema(self) -> pa.Schema:
        return pa.schema([("size", pa.int64())])

    def sketch(self, text: pa.StringArray) -> pa.Table:
        return pa.table({"size": lengths(text)}, schema=self.sketch_schema())

    def fit(self, sketches: pa.Table) -> pa.Table:
        return pa.table({"total": pa.array([pc.sum(sketches["size"]).as_py() or 1])})

    def apply(self, text: pa.StringArray, model: pa.Table) -> dict[str, pa.Array]:
        return {"share": pc.divide(lengths(text).cast(pa.float64()), model["total"][0].cast(pa.float64()))}


def lengths(text: pa.Array) -> pa.Array:
    return pc.binary_length(text)


@parametrize(Bytes(), Lower(), Short(), Lines(), SameLength(width=4), Longest(), Share())
def test_sound_operators_pass(operator: Operator, check: Check) -> None:
    check(operator)


# ---------------------------------------------------------------- broken: each breaks one promise


class GrowsOnReading(Bytes, frozen=True):
    limit: int = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "limit", self.limit + 1)


class HoldsALock(Bytes, frozen=True):
    lock: Any = msgspec.field(default_factory=threading.Lock)


class TakesAnything(Bytes, frozen=True):
    limit: Any = 3


class OverlooksTypos(Bytes, frozen=True, forbid_unknown_fields=False):
    pass


class SignalThatEdits(Bytes, frozen=True):
    def writes(self) -> Types:
        return {"text": pa.string()}


class SilentTrainer(Share, frozen=True):
    def writes(self) -> Types:
        return {"text": pa.string()}


class CountsItsRange(Share, frozen=True):
    """Its model depends on how many rows are fitted at a time."""

    key: ClassVar[str] = "size"

    def sketch_schema(self) -> pa.Schema:
        return pa.schema([("size", pa.uint64())])

    def sketch(self, text: pa.StringArray) -> pa.Table:
        sizes = lengths(text).to_numpy().astype(np.uint64) << np.uint64(54)  # so that the keys are spread
        return pa.table({"size": sizes}, schema=self.sketch_schema())

    def fit(self, sketches: pa.Table) -> pa.Table:
        return pa.table({"total": pa.array([len(sketches) + 1], pa.int64())})


class SilentMapper(Lower, frozen=True):
    def writes(self) -> Types:
        return {"text": pa.string()}


class DropsForNoReason(Short, frozen=True):
    def reasons(self) -> tuple[str, ...]:
        return ()


class LearnsItsColumns(Bytes, frozen=True):
    seen: ClassVar[list[int]] = []

    def writes(self) -> Types:
        return {"length": pa.float64(), **{f"length_{n}": pa.float64() for n in self.seen}}

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        self.seen.append(len(text))
        return {name: pa.nulls(len(text), pa.float64()) for name in self.writes()}


class WritesMore(Bytes, frozen=True):
    """Describes scale and length, but not the new column."""

    def writes(self) -> Types:
        return {"length": pa.float64(), "width": pa.float64()}


class UnnamedReason(Short, frozen=True):
    """Drops what is short."""


class UnnamedParameter(Bytes, frozen=True):
    """Writes length."""


class NoExample(Bytes, frozen=True):
    """Divides length by scale."""


class LyingExample(Bytes, frozen=True):
    """Divides length by scale.

    >>> LyingExample()("four")
    {'length': 5.0}
    """


class WrongType(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"length": lengths(text)}


class ExtraColumn(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {**super().compute(text), "surprise": text}


class DropsRows(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return super().compute(text.filter(pc.greater(lengths(text), 0)))


class ReturnsChunks(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"length": pa.chunked_array([super().compute(text)["length"]])}


class Undecided(Short, frozen=True):
    def decide(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {**super().decide(text), "empty": pc.if_else(pc.equal(lengths(text), 0), None, False)}


class Orphans(Lines, frozen=True):
    def expand(self, text: pa.StringArray) -> tuple[np.ndarray, dict[str, pa.Array]]:
        parents, made = super().expand(text)
        return parents + 1, made


class Shuffles(Lines, frozen=True):
    def expand(self, text: pa.StringArray) -> tuple[np.ndarray, dict[str, pa.Array]]:
        parents, made = super().expand(text)
        return parents[::-1], made


class NumbersItsLines(Lines, frozen=True):
    def expand(self, text: pa.StringArray) -> tuple[np.ndarray, dict[str, pa.Array]]:
        parents, made = super().expand(text)
        return parents, {**made, "number": pa.array(np.arange(len(parents)))}


class NanForEmpty(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        size = lengths(text).cast(pa.float64())
        return {"length": pc.divide(size, size)}


class Scribbles(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        ctypes.memset(text.buffers()[2].address, ord("!"), 1)
        return super().compute(text)


class ForgetsOffsets(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        ends = np.frombuffer(text.buffers()[1], np.int32)[: len(text) + 1]
        return {"length": pa.array(np.diff(ends).astype(np.float64))}


class CrashesOnEmptyBatch(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        assert_longest = max(text.to_pylist(), key=len)
        return super().compute(text) if assert_longest else {}


class CrashesOnNull(Bytes, frozen=True):
    sees_nulls = True

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"length": pa.array([float(len(one)) for one in text.to_pylist()])}


class NullsAreAlike(SameLength, frozen=True):
    sees_nulls = True

    def sketch(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return super().sketch(text.fill_null(""))


class CrashesOnSpace(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"length": pa.array([float(len(one.split()[0])) for one in text.to_pylist()])}


class SlowOnLongLines(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        until = time.process_time() + max(lengths(text).to_pylist()) * 7e-6  # seven seconds for 1 MB
        while time.process_time() < until:
            pass
        return super().compute(text)


class MinusTheMean(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        length = super().compute(text)["length"]
        return {"length": pc.subtract(length, pc.mean(length))}


class LooksBack(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"length": pc.cumulative_sum(super().compute(text)["length"])}


class CountsWithinTheShard(SameLength, frozen=True):
    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        rows, keys = super().keys(sketch)
        return rows, keys ^ (rows // 30).astype(np.uint64)


class RemembersShards(SameLength, frozen=True):
    seen: ClassVar[list[int]] = []

    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        rows, keys = super().keys(sketch)
        self.seen.append(len(rows))
        return rows, keys + np.uint64(100_000 * len(self.seen))


class ForgetsItsPast(Share, frozen=True):
    def fit(self, sketches: pa.Table) -> pa.Table:
        return super().fit(sketches.slice(0, 1))

    def sketch(self, text: pa.StringArray) -> pa.Table:
        return pa.table({"size": pa.array([pc.sum(lengths(text)).as_py()], pa.int64())})


class NotLonger(SameLength, frozen=True):
    def similarity(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        return (left["size"].to_numpy() <= right["size"].to_numpy()).astype(float)


class LikeTheFirst(SameLength, frozen=True):
    def similarity(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        return np.full(len(left), float(left["size"][0].as_py() == right["size"][0].as_py()))


class ForgetsAParameter(SameLength, frozen=True):
    sketch_parameters: ClassVar[tuple[str, ...]] = ()


class Random(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"length": pa.array([random.random() for _ in range(len(text))])}


class HashesTexts(Bytes, frozen=True):
    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        return {"length": pa.array([float(hash(one)) for one in text.to_pylist()], pa.float64())}


class TakesTablesOnly(Bytes, frozen=True):
    def __call__(self, value: Any) -> Any:
        return value.append_column("length", self.compute(value["text"])["length"])


class TakesTextOnly(Bytes, frozen=True):
    def __call__(self, value: Any) -> Any:
        return {"length": float(len(value.encode()))}


class ForgetsOtherColumns(Bytes, frozen=True):
    def __call__(self, value: Any) -> Any:
        return value.select([]).append_column("length", self.compute(value["text"].combine_chunks())["length"])


class NanForNull(Bytes, frozen=True):
    def __call__(self, value: Any) -> Any:
        return {"length": np.full(len(value["text"]), np.nan)}


BROKEN: list[tuple[Check, Operator, str]] = [
    (checks.parameters_round_trip, GrowsOnReading(), "came back from plain values as"),
    (checks.pickles, HoldsALock(), "cannot be pickled by pickle: .*lock"),
    (checks.wrong_parameter, TakesAnything(), "parameter limit takes any value"),
    (checks.unknown_parameter, OverlooksTypos(), "unknown key 'scalex' is answered with ''"),
    (checks.keeps_to_its_kind, SignalThatEdits(), r"a Signal does not edit columns, but this one writes \['text'\]"),
    (checks.keeps_to_its_kind, SilentTrainer(), "a Trainer that edits a column writes one that says how"),
    (checks.sharding_invariance, CountsItsRange(), "share of row 0 was"),
    (checks.keeps_to_its_kind, SilentMapper(), "a Mapper edits a column and writes one that says how"),
    (checks.keeps_to_its_kind, DropsForNoReason(), "a Filter has reasons"),
    (checks.declarations_are_fixed, LearnsItsColumns(), "writes was .* and is .*length_.* after it saw data"),
    (checks.columns_documented, WritesMore(), "does not describe the column width"),
    (checks.reasons_documented, UnnamedReason(), "does not describe the reason empty"),
    (checks.parameters_documented, UnnamedParameter(), "does not describe the parameter scale"),
    (checks.example_runs, NoExample(), "no >>> example"),
    (checks.example_runs, LyingExample(), r"example fails(.|\n)*Expected:\n *.*5.0.*\nGot:\n *.*4.0"),
    (checks.writes_what_it_declares, WrongType(), "declares length as double but writes int32"),
    (checks.writes_what_it_declares, ExtraColumn(), r"declares columns \['length'\] but writes .*'surprise'"),
    (checks.writes_what_it_declares, DropsRows(), r"writes \d+ values of length for \d+ rows"),
    (checks.writes_what_it_declares, ReturnsChunks(), "length is a ChunkedArray, not an Arrow array"),
    (checks.decides_every_row, Undecided(), r"reason empty is null for \d+ rows"),
    (checks.children_have_parents, Orphans(), r"parent \d+ is none of the \d+ rows"),
    (checks.children_have_parents, Shuffles(), r"parent \d+ comes after parent \d+"),
    (checks.writes_what_it_declares, NumbersItsLines(), r"declares columns \['text'\] but writes \['number', 'text'\]"),
    (checks.no_nan, NanForEmpty(), r"length is NaN in row \d+"),
    (checks.inputs_not_mutated, Scribbles(), "changes the column text that it reads"),
    (checks.slices_equal_copies, ForgetsOffsets(), "length of row 0 was .* in a slice of a longer array"),
    (checks.empty_batch, CrashesOnEmptyBatch(), "fails on an empty batch: ValueError"),
    (checks.nulls, CrashesOnNull(), "fails on nulls in text: TypeError"),
    (checks.null_is_no_duplicate, NullsAreAlike(), r"drops rows where \['text'\] are null"),
    (checks.nasty_text, CrashesOnSpace(), "fails on the text '': IndexError"),
    (checks.long_line, SlowOnLongLines(), r"takes \d\.\d s for a line of 100,000 bytes, not 0.6 s"),
    (checks.batch_invariance, MinusTheMean(), "length of row 0 was .* when the batch is cut at"),
    (checks.row_order_equivariance, LooksBack(), "length of row 0 was .* when rows are in another order"),
    (checks.sharding_invariance, CountsWithinTheShard(), r"cluster of row \d+ .* when shards are cut at"),
    (checks.sharding_invariance, RemembersShards(), r"cluster of row \d+ .* when shards are cut at"),
    (checks.sharding_invariance, ForgetsItsPast(), r"share of row \d+ .* when shards are cut at"),
    (checks.pairs_stand_alone, NotLonger(), "when the sides of pairs are swapped"),
    (checks.pairs_stand_alone, LikeTheFirst(), "when pairs are compared in two lots"),
    (checks.sketch_parameters_complete, ForgetsAParameter(), "when width is 2: name it in sketch_parameters"),
    (checks.determinism, Random(), "length of row 0 was .* the second time"),
    (checks.same_in_another_process, HashesTexts(), r"length of row \d+ was .* in another process"),
    (checks.called_on_a_table, TakesTextOnly(), "fails on a table or record batch: AttributeError"),
    (checks.called_on_a_table, ForgetsOtherColumns(), "fails on a table or record batch"),
    (checks.called_on_one_value, TakesTablesOnly(), "fails on the value"),
    (checks.called_by_datasets_map, TakesTextOnly(), "fails on Dataset.map"),
    (checks.called_as_ray_map_batches, NanForNull(), "length of row 0 is nan, not .* in map_batches"),
]


CASES = [pytest.param(*case, id=f"{case[1].name()}-{case[0].__name__}") for case in BROKEN]


@pytest.mark.parametrize(("check", "operator", "message"), CASES)
def test_broken_operator_is_caught(check: Check, operator: Operator, message: str) -> None:
    assert check in checks_for(operator)
    with pytest.raises(AssertionError, match=message) as caught:
        check(operator)
    assert operator.name() in str(caught.value)


def test_every_check_catches_something() -> None:
    assert {check for check, _, _ in BROKEN} == {*CHECKS}


# ---------------------------------------------------------------- parametrize


def test_ids_are_readable_and_second_instances_are_numbered() -> None:
    ids = [case.id for case in parametrize(Bytes(), Bytes(scale=2.0)).args[1]]
    assert ids[0] == "bytes-parameters_round_trip" and "bytes2-parameters_round_trip" in ids
    assert len({*ids}) == len(ids)


def test_a_known_gap_is_a_strict_xfail() -> None:
    gaps = {"no_nan": "no words, no mean", "bytes-determinism": "only here"}
    cases = parametrize(Bytes(), Lower(), known_gaps=gaps).args[1]
    marked = {case.id: case.marks[0].kwargs for case in cases if case.marks}
    assert marked == {
        "bytes-no_nan": {"reason": "no words, no mean", "strict": True},
        "lower-no_nan": {"reason": "no words, no mean", "strict": True},
        "bytes-determinism": {"reason": "only here", "strict": True},
    }


def test_a_gap_that_names_no_check_is_refused() -> None:
    with pytest.raises(ValueError, match="no check 'no_nans' - did you mean 'no_nan'"):
        parametrize(Bytes(), known_gaps={"no_nans": "misspelt"})
