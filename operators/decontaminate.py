"""Overlap with test sets by word n-grams: as GPT-3 (Brown et al. 2020), Dolma (Soldaini et al. 2024), Tulu 3 did."""

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one
from curate.operator import Columns, Trainer

Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Characters = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Settings(NamedTuple):
    """What a preset stands for."""

    ngram: int
    min_words: int
    max_coverage: float
    max_item_coverage: float
    margin: int = 0
    min_piece: int = 1
    max_pieces: int = 10_000


PRESETS = {
    # Appendix C: 13-grams of lower-cased words without punctuation (8 for short items), 200 characters around each;
    # pieces of fewer than 200 characters, and documents in more than 10 pieces, go.
    "gpt-3": Settings(13, 8, 0.0, 1.0, margin=200, min_piece=200, max_pieces=10),
    # Section 4.3: documents with a paragraph of more than 13 tokens that is in the test set go.
    "dolma": Settings(13, 13, 0.0, 1.0),
    # Section 3.2: 8-grams; an item counts as seen when one document holds more than half of its tokens.
    "tulu-3": Settings(8, 8, 1.0, 0.5),
}


class Decontaminate(Trainer, frozen=True):
    """Find documents that hold items of test sets: word n-grams in common, compared exactly; mark, drop or cut them.

    `against` names sources of the recipe whose documents are the test items, usually with `reference: true`. Words are
    lower-cased, NFD, without ASCII punctuation. A document is contaminated if more of it than `max_coverage`, or more
    of one item than `max_item_coverage`, is in common n-grams. An item shorter than an n-gram must be there as a whole.

    against            sources whose documents are the items; each worker has them in memory, 8 bytes a word and more
    preset             values for what follows. gpt-3: 13-grams, any in common, margin of 200; dolma: any 13-gram;
                       tulu-3: 8-grams, more than half of an item
    action             mark: only the columns; drop: contaminated documents get the reason; cut: they lose their spans,
                       and get the reason if nothing is left or too many pieces are. Pieces are joined by a line feed
    ngram              words in an n-gram
    min_words          items of fewer words are not compared
    max_coverage       share of a document's words up to which it is clean, 0..1
    max_item_coverage  share of an item's words up to which a document that holds them is clean, 0..1
    margin             characters that `cut` takes beyond a span, on both sides
    min_piece          pieces of fewer characters go too
    max_pieces         pieces up to which a document is kept

    decontaminate_coverage       share of the document's words in common n-grams, 0..1
    decontaminate_item_coverage  share of the best-matched item's words in common n-grams, 0..1; 0 for none
    decontaminate_item           id of that item; null for none
    decontaminate_source         its source; null for none
    decontaminate_items          all items matched (`source`, `item`, `coverage`), best first; a phrase of more than 16
                                 items names the first 16
    decontaminate_start          first byte of each stretch of common n-grams, in the text as it was
    decontaminate_end            one past its last byte
    decontaminate_pieces         only with `cut`: pieces the document is left in, 1 for one that was not cut
    text                         only with `cut`: the text without the spans of a contaminated document

    >>> quiz = Decontaminate(against=("quiz",), preset="tulu-3", ngram=4, min_words=4)
    >>> item = quiz.sketch(pa.array(["How many legs has a spider?"]), pa.array(["q1"]))
    >>> found = quiz.apply(pa.array(["I asked how many legs has a cat."]), pa.array(["d"]), quiz.fit(item))
    >>> found["decontaminate_item_coverage"][0].as_py(), found["decontaminate_start"][0].as_py()
    (0.8333333333333334, [8])
    """

    example: ClassVar = {"against": ("quiz",)}
    card_section = "Decontamination"

    against: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    preset: Literal["gpt-3", "dolma", "tulu-3"] = "gpt-3"
    action: Literal["mark", "drop", "cut"] = "mark"
    ngram: Count | None = None
    min_words: Count | None = None
    max_coverage: Share | None = None
    max_item_coverage: Share | None = None
    margin: Characters | None = None
    min_piece: Count | None = None
    max_pieces: Count | None = None

    @property
    def settings(self) -> Settings:
        """The preset's values, but for those that are given."""
        given = {name: getattr(self, name) for name in Settings._fields}
        return PRESETS[self.preset]._replace(**{name: value for name, value in given.items() if value is not None})

    def fitted_on(self) -> tuple[str, ...]:
        return self.against

    def writes(self) -> dict[str, pa.DataType]:
        match = pa.struct([("source", pa.string()), ("item", pa.string()), ("coverage", pa.float64())])
        columns = {
            "decontaminate_coverage": pa.float64(),
            "decontaminate_item_coverage": pa.float64(),
            "decontaminate_item": pa.string(),
            "decontaminate_source": pa.string(),
            "decontaminate_items": pa.list_(match),
            "decontaminate_start": pa.list_(pa.int32()),
            "decontaminate_end": pa.list_(pa.int32()),
        }
        return {**columns, "decontaminate_pieces": pa.int32(), "text": pa.string()} if self.action == "cut" else columns

    def reasons(self) -> tuple[str, ...]:
        return () if self.action == "mark" else (self.name(),)

    def value_identity(self) -> dict[str, Any]:
        settings = self.settings
        matters = settings[:-1] if self.action == "cut" else settings[:2]
        return {**self.identity(), "parameters": [self.against, matters]}

    def sketch_schema(self) -> pa.Schema:
        return pa.schema([("id", pa.string()), ("words", pa.list_(pa.uint64()))])

    def sketch(self, text: pa.StringArray, id: pa.StringArray) -> pa.Table:
        from curate.kernels.contamination import word_hashes
        from curate.kernels.lexer import lex

        words, splits = word_hashes(lex(text))
        lists = pa.ListArray.from_arrays(pa.array(splits.astype(np.int32)), pa.array(words))
        return pa.table({"id": id, "words": lists}, schema=self.sketch_schema())

    def fit(self, sketches: pa.Table) -> pa.Table:
        """One row of lists: the arrays of the index, and the items' sources and ids, by which they are ordered."""
        from curate.kernels.contamination import build

        if "source" not in sketches.column_names:
            sketches = sketches.append_column("source", pa.repeat("", len(sketches)))
        rank = pc.index_in(sketches["source"], pa.array(self.against, pa.string()))
        order = pc.sort_indices(
            pa.table([rank, sketches["id"]], ["rank", "id"]), [("rank", "ascending"), ("id", "ascending")]
        )
        ids, lists, sources = (one(sketches[name].take(order)) for name in ("id", "words", "source"))
        sizes = lists.value_lengths().to_numpy()
        splits = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        index = build(lists.flatten().to_numpy(), splits, self.settings.ngram, self.settings.min_words)
        arrays = {name: pa.array(array.ravel()) for name, array in index._asdict().items()}
        columns = {"id": ids, "source": sources, **arrays}
        return pa.table({name: _listed(array) for name, array in columns.items()})

    def facts(self, model: pa.Table) -> dict[str, Any]:
        return {"items": len(model["id"][0]), "ngrams": len(model["start"][0])}

    def apply(self, text: pa.StringArray, id: pa.StringArray, model: pa.Table) -> dict[str, pa.Array]:
        from curate.kernels.contamination import Index, find
        from curate.kernels.lexer import lex

        arrays = {name: one(model[name]).values for name in model.column_names}
        ids, sources = arrays.pop("id"), arrays.pop("source")
        numbers = {name: array.to_numpy() for name, array in arrays.items()}
        index = Index(**{**numbers, "table": numbers["table"].reshape(-1, 2)})
        lexed = lex(text)
        found = find(lexed, index)
        counts, item = np.diff(found.match_splits), found.item
        matches = pa.StructArray.from_arrays(
            [sources.take(pa.array(item)), ids.take(pa.array(item)), pa.array(found.share)],
            ["source", "item", "coverage"],
        )
        first = pa.array(found.match_splits[:-1], mask=counts == 0)
        made = {
            "decontaminate_coverage": pa.array(found.covered / np.maximum(found.words, 1)),
            "decontaminate_item_coverage": matches.field("coverage").take(first).fill_null(0.0),
            "decontaminate_item": matches.field("item").take(first),
            "decontaminate_source": matches.field("source").take(first),
            "decontaminate_items": pa.ListArray.from_arrays(pa.array(found.match_splits.astype(np.int32)), matches),
            **{
                f"decontaminate_{name}": pa.ListArray.from_arrays(
                    pa.array(found.span_splits.astype(np.int32)), pa.array(found.spans[:, side])
                )
                for side, name in enumerate(("start", "end"))
            },
        }
        return made if self.action != "cut" else {**made, **self._cut(text, lexed, found, made)}

    def decide(self, made: Columns) -> Columns:
        if self.action == "mark":
            return {}
        if self.action == "drop":
            return {self.name(): self._is_contaminated(made)}
        pieces = made["decontaminate_pieces"]
        return {self.name(): pc.or_(pc.equal(pieces, 0), pc.greater(pieces, self.settings.max_pieces))}

    def _is_contaminated(self, made: Columns) -> pa.Array:
        settings = self.settings
        much = pc.greater(made["decontaminate_coverage"], settings.max_coverage)
        return pc.or_(much, pc.greater(made["decontaminate_item_coverage"], settings.max_item_coverage))

    def _cut(self, text: pa.Array, lexed: Any, found: Any, made: Columns) -> Columns:
        from curate.kernels.contamination import remaining
        from curate.kernels.editing import join

        is_cut = self._is_contaminated(made)
        chosen = is_cut.to_numpy(zero_copy_only=False)
        left = remaining(lexed, found, chosen, self.settings.margin, self.settings.min_piece)
        pieces = np.where(chosen, np.diff(left.splits), 1).astype(np.int32)
        if chosen.any():
            text = pc.if_else(is_cut, join(lexed, left, np.zeros(len(left.span), np.uint8)), text)
        return {"decontaminate_pieces": pa.array(pieces), "text": text}


def _listed(array: pa.Array) -> pa.Array:
    """The array as one value."""
    return pa.LargeListArray.from_arrays(pa.array([0, len(array)], pa.int64()), array)
