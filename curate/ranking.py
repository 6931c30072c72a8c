"""Where documents stand among all others of a corpus: what selectors ask, answered by counting.

Within its group a row's place is told by its score (highest first), its tie and its address; without a tie, rows of
one score are at one place. Where a sum of sizes is reached is found as by radix selection: rows are counted in bins of
their place, and the bin in which it is reached is parted anew until it holds one place. So every answer is exact and
depends neither on shards nor on the order in which they are looked at, and nobody holds more than the counts of bins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one

UNIT = 1024  # sizes are summed as whole numbers of this part: exactly, in any order
MOST = float(1 << 50)  # the largest size
BINS = 16  # the logarithm of the bins of all lanes together, about
FEWEST, LARGEST = 2, 12  # and of one lane
UP = (1 << 64) - 1
SUMS = {"rows": "sum", "documents": "sum", "size": "sum", "score": "min", "tie": "min", "row": "min", "high": "max"}
By = Literal["size", "documents"]


class Place(NamedTuple):
    """Where rows are in the order, or where groups are cut: codes that ascend from the best (uint64[n] each)."""

    score: np.ndarray
    tie: np.ndarray
    row: np.ndarray

    def take(self, at: Any) -> Place:
        return Place(*(word[at] for word in self))

    def before(self, other: Place) -> np.ndarray:
        """Which come before those of another, one by one."""
        found: np.ndarray = self.row < other.row
        for mine, their in ((self.tie, other.tie), (self.score, other.score)):
            found = (mine < their) | ((mine == their) & found)
        return found

    def where(self, is_mine: np.ndarray, other: Place) -> Place:
        """One by one, these where it is true, else those of another."""
        return Place(*(np.where(is_mine, mine, their) for mine, their in zip(self, other, strict=True)))

    def first(self, other: Place) -> Place:
        """One by one that which comes first."""
        return self.where(self.before(other), other)

    def order(self) -> np.ndarray:
        """Which of them are first, second, ..."""
        return np.lexsort((self.row, self.tie, self.score))

    def next(self) -> Place:
        """The places right behind."""
        return self._replace(row=self.row + np.uint64(1))

    @property
    def number(self) -> np.ndarray:
        """The scores."""
        return number(self.score)

    @classmethod
    def at(cls, code: int, count: int) -> Place:
        return cls(*(np.full(count, code, np.uint64) for _ in cls._fields))


class Rows(NamedTuple):
    """Some rows as a ranking has them.

    sketch  what the selector has made of them
    group   the place of each row's group among `Ranking.names`
    place   where it stands within its group
    size    in parts of UNIT
    ranked  false for rows without a score or a size: they take no part
    """

    sketch: pa.Table
    group: np.ndarray
    place: Place
    size: np.ndarray
    ranked: np.ndarray

    def before(self, cut: Cut) -> np.ndarray:
        """Which rows come before the cut of their group: true or false for each."""
        return self.ranked & self.place.before(cut.place.take(self.group))

    def at(self, cut: Cut) -> np.ndarray:
        """Which rows are the cut of their group."""
        there = zip(self.place, cut.place.take(self.group), strict=True)
        return self.ranked & np.logical_and.reduce([mine == its for mine, its in there])


class Sums(NamedTuple):
    """Of each group: how many documents, and their size (float64, in the unit of the sketch's column)."""

    documents: np.ndarray
    size: np.ndarray


class Cut(NamedTuple):
    """For each group the first place at which a limit is passed; `found` is false where it never is.

    before   sums of the rows before it
    own      sums of the rows that are at it: one row, or all of a score if the sketch has no `tie`
    """

    place: Place
    before: Sums
    own: Sums
    found: np.ndarray


class Question(NamedTuple):
    """In which place, of the rows from `since` and before `until` of its groups, each lane passes its limit.

    Without a limit the question is only what the sums are.
    """

    lane: np.ndarray  # int64[groups], which lane a group is in
    since: Place
    until: Place
    limit: np.ndarray | None  # float64[lanes]
    by: By


class Ranking:
    """All rows of a corpus, as a selector may ask about them. Arrays have an item for each group.

    names      of the groups in order, null last; without a column `group` one group, null
    rows       how many rows there are, ranked or not
    documents  how many are ranked: have a score and a size
    size       their size

    >>> table = pa.table({"score": [5.0, 7.0, 6.0], "size": [1.0, 2.0, 4.0]})
    >>> ranking, (rows,) = in_memory(table)
    >>> cut = ranking.cut(3)
    >>> cut.place.number, cut.before.size, rows.before(cut)
    (array([6.]), array([2.]), array([False,  True, False]))
    """

    def __init__(self, totals: pa.Table, answer: Callable[[Question], Cut]):
        self.names: list[str | None] = totals["group"].to_pylist()
        self.rows, self.documents = (totals[name].to_numpy() for name in ("rows", "documents"))
        self.size = totals["size"].to_numpy() / UNIT
        self._answer = answer

    def cut(
        self, limit: Any, by: By = "size", since: Place | None = None, until: Place | None = None, whole: bool = False
    ) -> Cut:
        """The first place at which the sum up to and with it is above the limit, for each group.

        limit   a number, or one for each group: of documents, or of their size
        since   only rows from there on count, for each group;  until: only rows before
        whole   all groups together, as one order: the cut is the same for all
        """
        groups = len(self.names)
        lane = np.zeros(groups, np.int64) if whole else np.arange(groups)
        limits = np.broadcast_to(np.asarray(limit, np.float64), 1 if whole else groups)
        since, until = since or Place.at(0, groups), until or Place.at(UP, groups)
        found = self._answer(Question(lane, since, until, limits, by))
        return _of_groups(found, lane)

    def sums(self, until: Place) -> Sums:
        """The sums of the rows before a place of each group."""
        groups = len(self.names)
        return self._answer(Question(np.arange(groups), Place.at(0, groups), until, None, "size")).before


def _of_groups(cut: Cut, lane: np.ndarray) -> Cut:
    before, own = (Sums(sums.documents[lane], sums.size[lane]) for sums in (cut.before, cut.own))
    return Cut(cut.place.take(lane), before, own, cut.found[lane])


# ---------------------------------------------------------------- rows


def rows_of(sketch: pa.Table, names: Sequence[str | None], row: np.ndarray) -> Rows:
    """A part of the corpus; `row` are the addresses of its rows."""
    there, count = set(sketch.column_names), len(sketch)
    group = np.zeros(count, np.int64)
    if "group" in there:
        known = pa.array([name for name in names if name is not None], pa.string())
        group = pc.index_in(one(sketch["group"]), known).fill_null(len(known)).to_numpy().astype(np.int64)
    ranked = np.ones(count, bool)
    numbers = {name: _numbers(sketch[name]) for name in ("score", "size") if name in there}
    for values in numbers.values():
        ranked &= ~np.isnan(values)
    zeros = np.zeros(count, np.uint64)
    score = ordered(-np.where(ranked, numbers["score"], 0.0)) if "score" in there else zeros
    tie = one(sketch["tie"]).to_numpy() if "tie" in there else zeros
    place = Place(score, tie, row.astype(np.uint64) if "tie" in there else zeros)
    size = np.clip(np.where(ranked, numbers["size"], 0.0), 0, MOST) if "size" in there else np.zeros(count)
    return Rows(sketch, group, place, np.rint(size * UNIT).astype(np.int64), ranked)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """NaN for null."""
    return np.asarray(one(column).cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def ordered(value: np.ndarray) -> np.ndarray:
    """Numbers as whole ones without sign, in the same order.

    >>> np.diff(ordered(np.array([-np.inf, -1.5, 0.0, 1e-300, 2.0]))) > 0
    array([ True,  True,  True,  True])
    """
    bits = np.ascontiguousarray(value + 0.0).view(np.uint64)
    is_negative = bits >> np.uint64(63) == 1
    return np.where(is_negative, ~bits, bits | np.uint64(1 << 63))


def number(code: np.ndarray) -> np.ndarray:
    """The scores of places: what `ordered` was given, with the other sign."""
    is_negative = code >> np.uint64(63) == 0
    return 0.0 - np.where(is_negative, ~code, code & np.uint64(UP >> 1)).view(np.float64)


def totals(sketch: pa.Table) -> pa.Table:
    """How many rows of each group there are, and of those that are ranked the sums."""
    rows = rows_of(sketch, [], np.arange(len(sketch)))
    group = sketch["group"] if "group" in sketch.column_names else pa.nulls(len(sketch), pa.string())
    counts = [pa.array(values) for values in (np.ones(len(sketch), np.int64), rows.ranked.astype(np.int64), rows.size)]
    return combined(pa.table([group, *counts], names=["group", "rows", "documents", "size"]))


def combined(table: pa.Table) -> pa.Table:
    """What several parts of a corpus have counted, as that of one."""
    keys = [name for name in table.column_names if name not in SUMS]
    asked = [(name, how) for name, how in SUMS.items() if name in table.column_names]
    found = table.group_by(keys, use_threads=False).aggregate(asked)
    found = found.select([*keys, *(f"{name}_{how}" for name, how in asked)])
    found = found.rename_columns([*keys, *(name for name, _ in asked)])
    return found.sort_by([(key, "ascending") for key in keys]).combine_chunks()  # null goes last


# ---------------------------------------------------------------- in search of a cut


class Search(NamedTuple):
    """How far the search for an answer has come: each lane looks at one word of the places, from `low` to `high`.

    place   the words that are known by now
    word    which is looked at; 3 when the place is found, or there is none
    """

    question: Question
    words: int  # how many words a place has: 1 where only scores count
    place: np.ndarray  # uint64[lanes, 3]
    word: np.ndarray
    low: np.ndarray
    high: np.ndarray
    before: np.ndarray  # int64[lanes, 2]: documents and size
    own: np.ndarray
    found: np.ndarray

    @property
    def is_done(self) -> bool:
        return bool((self.word == 3).all())

    @property
    def shift(self) -> np.ndarray:
        """How many of the last bits do not matter to the bin."""
        lanes = max(1, len(self.word))
        bits = min(LARGEST, max(FEWEST, BINS - (lanes - 1).bit_length()))
        spans = (self.high - self.low).tolist()
        return np.array([max(0, span.bit_length() - bits) for span in spans], np.uint64)

    def answer(self) -> Cut:
        before, own = (Sums(sums[:, 0], sums[:, 1] / UNIT) for sums in (self.before, self.own))
        place = np.where(self.found[:, None], self.place, np.uint64(UP))
        return Cut(Place(*place.T.copy()), before, own, self.found)


def begun(question: Question, words: int) -> Search:
    lanes = int(question.lane.max(initial=-1)) + 1
    zeros, sums = np.zeros(lanes, np.uint64), np.zeros((lanes, 2), np.int64)
    word, high = np.zeros(lanes, np.int64), np.full(lanes, UP, np.uint64)
    place = np.zeros((lanes, 3), np.uint64)
    return Search(question, words, place, word, zeros, high, sums, sums, np.zeros(lanes, bool))


def counted(rows: Rows, search: Search) -> pa.Table:
    """How many of the rows are in each bin of each lane that is looked at."""
    question = search.question
    inside = rows.ranked & ~rows.place.before(question.since.take(rows.group))
    inside &= rows.place.before(question.until.take(rows.group)) & (search.word[question.lane[rows.group]] < 3)
    at = np.flatnonzero(inside)
    lane = question.lane[rows.group[at]]
    words, value = [word[at] for word in rows.place], rows.place.score[at]
    fits = np.ones(len(at), bool)
    for number in (1, 2):
        is_later = search.word[lane] >= number
        fits &= ~is_later | (words[number - 1] == search.place[lane, number - 1])
        value = np.where(is_later, words[number], value)
    fits &= (search.low[lane] <= value) & (value <= search.high[lane])
    lane, value, words = lane[fits], value[fits], [word[fits] for word in words]
    bins = (value - search.low[lane]) >> search.shift[lane]
    size = rows.size[at][fits]
    columns = {"lane": lane, "bin": bins, "documents": np.ones(len(lane), np.int64), "size": size}
    return combined(pa.table({**columns, **dict(zip(Place._fields, words, strict=True)), "high": value}))


def narrowed(search: Search, counts: pa.Table) -> Search:
    """The search with the counts of all rows: each lane goes on in the bin in which its limit is passed."""
    lane = counts["lane"].to_numpy()
    sums = np.stack([counts[name].to_numpy() for name in Sums._fields], axis=1).reshape(-1, 2)
    upto = np.cumsum(sums, axis=0)
    start = np.searchsorted(lane, lane)
    upto -= (upto - sums)[start]  # within the lane
    limit = search.question.limit
    column = Sums._fields.index(search.question.by)
    scale = UNIT if column else 1
    through = search.before[lane, column] + upto[:, column]
    passed = through > limit[lane] * scale if limit is not None else np.zeros(len(lane), bool)
    lanes, first = np.unique(lane[passed], return_index=True)
    bin = np.flatnonzero(passed)[first]
    return _entered(_ended(search, lanes, lane, sums), lanes, counts, bin, sums[bin], (upto - sums)[bin])


def _ended(search: Search, lanes: np.ndarray, lane: np.ndarray, sums: np.ndarray) -> Search:
    """Lanes that never pass their limit have all rows before them."""
    ends = search.word < 3
    ends[lanes] = False
    before = search.before.copy()
    is_over = ends[lane]
    np.add.at(before, lane[is_over], sums[is_over])
    return search._replace(before=before, word=np.where(ends, 3, search.word))


def _entered(
    search: Search, lanes: np.ndarray, counts: pa.Table, bin: np.ndarray, own: np.ndarray, before: np.ndarray
) -> Search:
    """Lanes that go on in a bin: with the word that is the same in all of it, or with what it spans."""
    place, word, low, high = search.place.copy(), search.word.copy(), search.low.copy(), search.high.copy()
    firsts = np.stack([counts[name].to_numpy()[bin] for name in Place._fields], axis=1).reshape(-1, 3)
    at = word[lanes]
    low[lanes], high[lanes] = firsts[np.arange(len(lanes)), at], counts["high"].to_numpy()[bin]
    is_one = low[lanes] == high[lanes]
    fixed = lanes[is_one]
    place[fixed, at[is_one]] = low[fixed]
    word[fixed] += 1
    low[fixed], high[fixed] = 0, UP
    alone = own[:, 0] == 1
    place[lanes[alone]] = firsts[alone]
    ends = alone | (word[lanes] >= search.words)
    word[lanes[ends]] = 3
    sums, mine, found = search.before.copy(), search.own.copy(), search.found.copy()
    sums[lanes] += before
    mine[lanes[ends]], found[lanes[ends]] = own[ends], True
    return search._replace(place=place, word=word, low=low, high=high, before=sums, own=mine, found=found)


def words_of(sketch: pa.Schema) -> int:
    """How many words a place has."""
    return 3 if "tie" in sketch.names else 1


# ---------------------------------------------------------------- all rows at hand


def in_memory(*sketches: pa.Table) -> tuple[Ranking, list[Rows]]:
    """The ranking of a corpus in parts that are all there, and the rows of each."""
    found = combined(pa.concat_tables([totals(sketch) for sketch in sketches]))
    starts = np.cumsum([0, *map(len, sketches)])
    names = found["group"].to_pylist()
    parts = [
        rows_of(sketch, names, np.arange(start, start + len(sketch)))
        for sketch, start in zip(sketches, starts, strict=False)
    ]

    def answer(question: Question) -> Cut:
        search = begun(question, words_of(sketches[0].schema))
        while not search.is_done:
            search = narrowed(search, combined(pa.concat_tables([counted(part, search) for part in parts])))
        return search.answer()

    return Ranking(found, answer), parts
