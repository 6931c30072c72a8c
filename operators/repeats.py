"""Text that repeats across the corpus, cut or only reported: lines (CCNet, C4) and runs of words (Lee et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.operator import ROW, Columns, Trainer, Types

if TYPE_CHECKING:
    from curate.kernels.repeats import Seen
    from curate.kernels.runs import Runs
    from curate.kernels.segment import Segments
    from curate.kernels.units import Hashes, Units

Twice = Annotated[int, msgspec.Meta(ge=2)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
SEEN = pa.schema(
    [("key", pa.uint64()), ("check", pa.uint64()), (ROW, pa.int64()), ("at", pa.int32()), ("count", pa.int64())]
)


def repeats(sketches: pa.Table, least: int) -> pa.Table:
    """Of what was seen in all batches, what was seen often enough."""
    from curate.kernels.repeats import Seen, repeated

    seen = Seen(*(column.to_numpy() for column in sketches.columns))
    return pa.table([*repeated(seen, least)], schema=SEEN)


def sketched(key: np.ndarray, check: np.ndarray, row: np.ndarray, at: np.ndarray) -> pa.Table:
    """The sketch of a batch: one row for all that is the same in it."""
    from curate.kernels.repeats import Seen, collapse

    seen = Seen(key, check, row, at.astype(np.int32), np.ones(len(key), np.int64))
    return pa.table([*collapse(seen)], schema=SEEN)


def chunks(model: pa.Table) -> list[Seen]:
    """The model as arrays, where they lie."""
    from curate.kernels.repeats import Seen

    return [Seen(*(column.to_numpy() for column in batch.columns)) for batch in model.to_batches()]


def account(prefix: str, text: pa.Array, new: pa.Array) -> Columns:
    """How much of each text is left."""
    before, after = pc.utf8_length(text), pc.utf8_length(new)
    lost = pc.subtract(before, after).cast(pa.float64())
    blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(new)), 0)
    return {
        f"{prefix}_removed_char_ratio": pc.divide(lost, pc.max_element_wise(before, 1).cast(pa.float64())),
        f"{prefix}_is_emptied": pc.and_(blank, pc.greater(lost, 0.0)),
    }


def per_document(which: np.ndarray, splits: np.ndarray) -> pa.Array:
    """How many are true in each document."""
    sums = np.concatenate([[0], np.cumsum(which)])
    return pa.array(np.diff(sums[splits]), pa.int32())


class DedupLines(Trainer, frozen=True):
    """Cut lines that repeat in the corpus, as CCNet does (Wenzek et al. 2020), or spans of sentences, as C4 does.

    Lines are told apart by 128-bit XXH3. Blank ones are no lines: they stay, but for those after a line that is cut. A
    text of which something is cut loses its outer white space; one of which all is cut is empty, and stays: drop it
    with `keep: {rules: {emptied: "NOT dedup_lines_is_emptied"}}`. `keep: none` is CCNet's rule, `within: shard`
    with shards of its size its scope; `unit: sentence, span: 3` is C4's rule, with sentences of a rule of our own.

    unit        line; paragraph: lines up to a blank one; sentence
    span        so many units in a row, in every position, are compared as one
    by          normalised: lower case, digits as 0, without control characters and CCNet's list of Unicode
                punctuation, NFD; unaccented: without combining marks too, as CCNet's paper says but not its code;
                raw: as they are. Always without outer white space
    min_count   occurrences from which a line repeats, counting those within a document
    min_length  code points (normalised, of all units of the span) below which it does not
    within      corpus: wherever it occurs; source or shard: in the same one
    keep        first: all but the first occurrence is cut; none: all
    edit        cut; or leave the text and only say what would be cut

    text                            what is left (with `edit`)
    dedup_lines_count               units of the text
    dedup_lines_repeated_count      those that repeat, alone or in a span
    dedup_lines_removed_count       those that are cut
    dedup_lines_removed_char_ratio  code points that are cut, as a share of the text's (0..1)
    dedup_lines_is_emptied          whether nothing is left of a text that had something

    >>> texts = ["Home | Login\\nIt rains.", "home | login\\nIt snows."]
    >>> DedupLines()(pa.table({"text": texts}))["text"].to_pylist()
    ['Home | Login\\nIt rains.', 'It snows.']
    """

    key: ClassVar[str] = "key"

    unit: Literal["line", "paragraph", "sentence"] = "line"
    span: Positive = 1
    by: Literal["normalised", "unaccented", "raw"] = "normalised"
    min_count: Twice = 2
    min_length: Natural = 1
    within: Literal["corpus", "source", "shard"] = "corpus"
    keep: Literal["first", "none"] = "first"
    edit: bool = True

    def reads(self) -> dict[str, pa.DataType | None]:
        source = {"source": pa.string()} if self.within == "source" else {}
        return {"text": pa.string(), ROW: pa.int64(), **source}

    def writes(self) -> Types:
        counts = {f"dedup_lines_{name}_count": pa.int32() for name in ("repeated", "removed")}
        text = {"text": pa.string()} if self.edit else {}
        shares = {"dedup_lines_removed_char_ratio": pa.float64(), "dedup_lines_is_emptied": pa.bool_()}
        return {**text, "dedup_lines_count": pa.int32(), **counts, **shares}

    def sketch(self, text: pa.StringArray, row: pa.Int64Array, source: pa.StringArray | None = None) -> pa.Table:
        _, hashes, rows, at, _ = self._seen(text, row, source)
        long = hashes.characters >= self.min_length
        return sketched(hashes.low[long], hashes.high[long], rows[long], at[long])

    def sketch_schema(self) -> pa.Schema:
        return SEEN

    def fit(self, sketches: pa.Table) -> pa.Table:
        return repeats(sketches, self.min_count)

    def apply(
        self, text: pa.StringArray, row: pa.Int64Array, model: pa.Table, source: pa.StringArray | None = None
    ) -> Columns:
        from curate.kernels.cutting import cut_out
        from curate.kernels.repeats import find
        from curate.kernels.units import covered

        units, hashes, rows, at, first = self._seen(text, row, source)
        is_there, first_row, first_at = find(chunks(model), hashes.low, hashes.high)
        is_later = is_there & ((first_row != rows) | (first_at != at))
        total = len(units.span)
        repeated = covered(first[is_there], self.span, total)
        removed = repeated if self.keep == "none" else covered(first[is_later], self.span, total)
        spans, bounds = cuts(units, removed)
        new = cut_out(text, spans, bounds)
        counts = {"repeated": repeated, "removed": removed}
        made = {f"dedup_lines_{name}_count": per_document(which, units.splits) for name, which in counts.items()}
        made["dedup_lines_count"] = pa.array(np.diff(units.splits), pa.int32())
        return {**({"text": new} if self.edit else {}), **made, **account("dedup_lines", text, new)}

    def _seen(
        self, text: pa.Array, row: pa.Array, source: pa.Array | None
    ) -> tuple[Units, Hashes, np.ndarray, np.ndarray, np.ndarray]:
        """Units, and the spans of them: hashes, address, place in the document, first unit."""
        from curate.kernels.hashing import xxh3_128
        from curate.kernels.lexer import outline
        from curate.kernels.mixing import mix
        from curate.kernels.units import hash_units, units, windows

        lexed = outline(text)
        found = units(lexed, self.unit)
        hashes = hash_units(lexed, found.span, self.by == "raw", self.by != "unaccented")
        hashes, bounds, first = windows(hashes, found.splits, self.span)
        counts, addresses = np.diff(bounds), row.to_numpy()
        at = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
        if self.within != "corpus":
            group = mix((addresses >> 32).astype(np.uint64), 1) if source is None else xxh3_128(source)[0]
            hashes = hashes._replace(low=hashes.low ^ np.repeat(group, counts))
        return found, hashes, np.repeat(addresses, counts), at, first


def cuts(units: Units, removed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes to cut so that some units go: whole lines with their end, sentences up to what follows on their line."""
    begin, end = units.edges[:, 0].astype(np.int64), units.edges[:, 1].astype(np.int64)
    follows = np.concatenate([begin[1:], [0]])[: len(begin)]
    last = units.splits[1:][np.diff(units.splits) > 0] - 1
    follows[last] = end[last]  # the end of the text: white space there is cut anyway
    ends_line = np.concatenate([units.line[1:] != units.line[:-1], [True]])[: len(begin)]
    kept = np.bincount(units.line[~removed], minlength=1 + int(units.line.max(initial=-1)))
    until = np.where(ends_line & (kept[units.line] > 0), end, follows)
    spans = np.stack([begin, until], axis=1)[removed]
    return spans, np.concatenate([[0], np.cumsum(removed)])[units.splits]


class DedupSubstrings(Trainer, frozen=True):
    """Cut runs of words that occur before, anywhere in the corpus (ExactSubstr of Lee et al. 2022), or report them.

    A word is cut when it lies in a run of `min_tokens` words, within one document, that occurs at least `min_count`
    times; with `keep: first` the first of these occurrences does not count. So every repeated stretch of `min_tokens`
    words or more is found, from its first word to its last, and none that is shorter. Words are compared as they are
    (by 61 bits, runs by 122), what lies between them is not.

    The corpus is read once more than for other operators: first anchors of runs are collected, one for every
    `min_tokens` / 4 words or so, then the runs whose anchor occurs more than once. Time and disk grow with the corpus
    and with what repeats, in a straight line; memory does not grow.

    min_tokens  words in a run; the paper: 50 tokens of its model
    tokens      what is a word: whitespace, wordpunct, unicode (Han, Thai and the like by letter), characters (all but
                white space), or bytes (all, but characters are cut whole; slower and larger in memory)
    min_count   occurrences from which a run repeats, counting overlaps and those within a document
    keep        first: all but the first occurrence is cut; none: all
    edit        cut, with what is between the last word and the next; or leave the text and only report

    text                                 what is left (with `edit`)
    dedup_substrings_start               first byte of each stretch that is cut, in the text as it was
    dedup_substrings_end                 one past its last byte
    dedup_substrings_repeated_ratio      bytes in runs that repeat, as a share of the text's, first occurrences
                                         included (0..1)
    dedup_substrings_removed_char_ratio  code points that are cut, as a share of the text's (0..1)
    dedup_substrings_is_emptied          whether nothing is left of a text that had something

    >>> texts = ["Before. All rights are reserved by us.", "Else. All rights are  reserved by us. After."]
    >>> found = DedupSubstrings(min_tokens=4)(pa.table({"text": texts}))
    >>> found["text"].to_pylist()
    ['Before. All rights are reserved by us.', 'Else. After.']
    >>> found["dedup_substrings_start"].to_pylist()
    [[], [6]]
    """

    key: ClassVar[str] = "key"
    rounds: ClassVar[int] = 2

    min_tokens: Positive = 50
    tokens: Literal["whitespace", "wordpunct", "unicode", "characters", "bytes"] = "unicode"
    min_count: Twice = 2
    keep: Literal["first", "none"] = "first"
    edit: bool = True

    def writes(self) -> Types:
        places = {f"dedup_substrings_{name}": pa.list_(pa.int32()) for name in ("start", "end")}
        shares = {f"dedup_substrings_{name}": pa.float64() for name in ("repeated_ratio", "removed_char_ratio")}
        text = {"text": pa.string()} if self.edit else {}
        return {**text, **places, **shares, "dedup_substrings_is_emptied": pa.bool_()}

    def sketch(self, text: pa.StringArray, row: pa.Int64Array, model: pa.Table | None) -> pa.Table:
        """Anchors; and, once it is known which of them repeat, the runs that have one of these."""
        words, runs = self._runs(text)
        rows = row.to_numpy()
        key, at = runs.anchor_hash, runs.anchor_token
        address = np.repeat(rows, np.diff(runs.anchor_splits))
        anchors = sketched(key, np.zeros_like(key), address, at)
        if model is None:
            return anchors
        _, low, high, address, at = self._repeating(words, runs, rows, model)
        return pa.concat_tables([anchors, sketched(low, high, address, at)]).combine_chunks()

    def sketch_schema(self) -> pa.Schema:
        return SEEN

    def fit(self, sketches: pa.Table) -> pa.Table:
        return repeats(sketches, self.min_count)

    def apply(self, text: pa.StringArray, row: pa.Int64Array, model: pa.Table) -> Columns:
        from curate.kernels.cutting import cut_out
        from curate.kernels.repeats import find
        from curate.kernels.runs import within_characters
        from curate.kernels.text import buffers
        from curate.kernels.units import covered

        words, runs = self._runs(text)
        first, low, high, address, at = self._repeating(words, runs, row.to_numpy(), model)
        is_there, first_row, first_at = find(chunks(model), low, high)
        is_later = is_there & ((first_row != address) | (first_at != at))
        total = len(words.span)
        repeated = covered(first[is_there], self.min_tokens, total)
        removed = repeated if self.keep == "none" else covered(first[is_later], self.min_tokens, total)
        data, offsets = buffers(text)
        spans, bounds, until = stretches(words, removed, offsets)
        if self.tokens == "bytes":
            spans = within_characters(data, spans)
            until = spans[:, 1]
        again, again_bounds, _ = stretches(words, repeated, offsets)
        new = cut_out(text, np.stack([spans[:, 0], until], axis=1), bounds)
        starts = np.repeat(offsets[:-1], np.diff(bounds))
        size = np.maximum(np.diff(offsets), 1)
        return {
            **({"text": new} if self.edit else {}),
            "dedup_substrings_start": listed(spans[:, 0] - starts, bounds),
            "dedup_substrings_end": listed(spans[:, 1] - starts, bounds),
            "dedup_substrings_repeated_ratio": pa.array(held(again, again_bounds) / size),
            **account("dedup_substrings", text, new),
        }

    def _runs(self, text: pa.Array) -> tuple[Segments, Runs]:
        from curate.kernels.lexer import outline
        from curate.kernels.runs import bytes_of, runs
        from curate.kernels.segment import segment

        lexed = outline(text)
        words = bytes_of(lexed) if self.tokens == "bytes" else segment(lexed, self.tokens)
        return words, runs(words, self.min_tokens)

    def _repeating(
        self, words: Segments, runs: Runs, rows: np.ndarray, model: pa.Table
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Runs whose anchor repeats: first word in the batch, hash, address, first word in the document."""
        from curate.kernels.repeats import find
        from curate.kernels.runs import hash_runs

        key = runs.anchor_hash
        wanted = find(chunks(model), key, np.zeros_like(key))[0][runs.anchor]
        low, high = hash_runs(words, runs, self.min_tokens, wanted)
        places = np.flatnonzero(wanted)
        document = np.searchsorted(runs.splits, places, side="right") - 1
        at = places - runs.splits[document]
        return at + words.splits[document], low, high, rows[document], at


def stretches(words: Segments, which: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words for which `which` holds, as far as they follow each other: bytes, splits, where the next word begins."""
    begins = np.zeros(len(which) + 1, bool)
    begins[words.splits] = True
    before = np.concatenate([[False], which[:-1]])[: len(which)]
    after = np.concatenate([which[1:], [False]])[: len(which)]
    heads = np.flatnonzero(which & (begins[:-1] | ~before))
    tails = np.flatnonzero(which & (begins[1:] | ~after))
    span = words.span.astype(np.int64)
    spans = np.stack([span[heads, 0], span[tails, 1]], axis=1)
    document = np.searchsorted(words.splits, tails, side="right") - 1
    following = np.concatenate([span[1:, 0], [0]])[: len(span)]
    until = np.where(begins[1:][tails], offsets[1:][document], following[tails])
    return spans, np.searchsorted(heads, words.splits), until


def held(spans: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Bytes of each document's spans."""
    return np.diff(np.concatenate([[0], np.cumsum(spans[:, 1] - spans[:, 0])])[bounds])


def listed(values: np.ndarray, bounds: np.ndarray) -> pa.Array:
    """A list for each document."""
    return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), pa.array(values.astype(np.int32)))
