"""What sources, of one run or of two, have in common: copies by the deduplication steps, and containment by MinHash.

Copies are those of the run's clusters, or between two runs those of equal hashes. Resemblance and containment
(Broder 1997) are estimated from the stored signatures: the share of k slots that agree is J = |a and b| / |a or b| with
a standard error of sqrt(J (1 - J) / k), and |a and b| / |a| = J (1 + |b| / |a|) / (1 + J), sizes being words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from curate.errors import DataError, PlanError
from curate.execute.batches import BatchFile
from curate.execute.overlay import WORDS
from curate.operator import Deduplicator
from curate.recipe import Recipe, Step
from curate.result import Result, open_run, table_text

SAMPLE = 4096  # documents of a source whose resemblance is estimated, chosen by a hash of their addresses
BANDS, ROWS = 64, 2  # a pair of resemblance J is compared with probability 1 - (1 - J**ROWS)**BANDS
SHARED = 8  # sampled documents compared for one band of a document; of more, some chosen by its address
SHOWN = 12  # sources in a matrix on the screen
ESTIMATES = ("near", "near_words", "resemblance", "resemblance_error", "containment", "containment_error")
MEASURES = ("exact", "exact_words", *ESTIMATES)


class Signatures(NamedTuple):
    """Some documents of a run: signatures, words and the number of the source of each."""

    values: np.ndarray  # uint32[documents, slots]
    words: np.ndarray  # int64[documents]
    source: np.ndarray  # int64[documents], number of the source
    row: np.ndarray  # int64[documents], address


class Overlap:
    """Pairs of sources in `table`, one row for each:

    a, b               source; the second's documents are looked for copies of the first's
    documents, words   of a, all that were read
    exact              share of a's documents of which b holds an exact copy, 0..1 (a itself: another one); null without
                       a step that looks for them
    exact_words        share of a's words in those documents
    near, near_words   the same for exact and near copies; between two runs estimated from the sample
    sampled            documents of a that the following are estimated from; null where no step keeps signatures
    resemblance        mean of their Jaccard similarity with the document of b that is most like each, 0..1
    containment        mean share of their shingles that one document of b holds, 0..1
    resemblance_error, containment_error   standard errors of both for the choice of the sample
    """

    def __init__(self, table: pl.DataFrame, is_one: bool):
        self.table, self.is_one = table, is_one

    def save(self, path: str | Path) -> Path:
        """Write the table as Parquet or JSON, by the name's ending."""
        path = Path(path)
        if path.suffix not in (".parquet", ".json"):
            raise PlanError(f"{path}: the table is saved as .parquet or .json")
        if path.suffix == ".json":
            path.write_text(json.dumps(self.table.to_dicts(), indent=1) + "\n", encoding="utf-8")
        else:
            self.table.write_parquet(path)
        return path

    def __str__(self) -> str:
        return f"{matrix_text(matrix(self.table, self.is_one))}\n\n{pairs_text(self.table)}"


def overlap(run: str | Path | Result, other: str | Path | Result | None = None) -> Overlap:
    """What share of each source is in each other one, of a run or of two.

    Raises DataError when a run is not finished, or has lost what it stored beside its output.
    """
    left = _Side(run)
    right = left if other is None else _Side(other)
    table = left.pairs(right)
    table = left.clustered(table) if other is None else left.exact(right, table)
    table = left.compared(right, table, other is None)
    return Overlap(table.sort("a", "b"), other is None)


def copies(run: Result, recipe: Recipe | None = None) -> Matrix:
    """What the sources of a run share by its clusters alone. `recipe`: as it ran; else that of its folder is read."""
    side = _Side(run, recipe)
    found = side.clustered(side.pairs(side))
    return matrix(found.with_columns(pl.lit(None, pl.Float64).alias("containment")), is_one=True)


class _Side:
    """One of the runs that are compared."""

    def __init__(self, run: str | Path | Result, recipe: Recipe | None = None):
        self.result = run if isinstance(run, Result) else open_run(run)
        self.store = self.result.store
        recipe = recipe or Recipe.load(self.store.path("recipe.yaml"), allow_code=True)
        self.steps = [step for step in recipe.steps if isinstance(step.operator, Deduplicator)]
        try:
            stored = json.loads(self.store.work("stored.json").read_text())
        except FileNotFoundError as error:
            gone = f"{self.store.work()} does not hold what the sources are compared by"
            raise DataError(f"{gone}: delete {self.store.path('manifest.json')} and run the recipe again") from error
        self.shards, self.sketches = stored["shards"], stored["sketches"]
        names = {step.name: step.columns_written().get(f"{step.operator.name()}_cluster") for step in self.steps}
        self.clusters = {step: name for step, name in names.items() if name}  # a Bloom filter knows of none
        rows = self.result.scan("annotations").select("row", "source", *self.clusters.values()).collect().sort("row")
        self.rows = rows.with_columns(words=pl.Series(self._words(rows["row"].to_numpy())))
        self.sources = self.rows["source"].unique().sort()

    def _words(self, rows: np.ndarray) -> np.ndarray:
        """Words of some documents, by their sorted addresses."""
        words = np.zeros(len(rows), np.int64)
        for number, key in enumerate(self.shards):
            low, high = np.searchsorted(rows, [number << 32, (number + 1) << 32])
            if high > low:
                found = BatchFile(self.store.index(key)).rows(rows[low:high] & 0xFFFFFFFF, [WORDS])
                words[low:high] = found[WORDS].to_numpy()
        return words

    def _holding(self, column: str) -> Step | None:
        """The first step that keeps such a sketch."""
        return next((step for step in self.steps if column in step.operator.sketches()), None)  # type: ignore[attr-defined]

    def pairs(self, right: _Side) -> pl.DataFrame:
        """All pairs, with the size of the first."""
        sizes = self.rows.group_by("source").agg(documents=pl.len(), words=pl.col("words").sum())
        return sizes.rename({"source": "a"}).join(pl.DataFrame({"b": right.sources}), how="cross")

    def clustered(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Copies by the clusters of one run: exact ones, and those by any step."""
        step = self._holding("hash_low")
        exact = [self.clusters[step.name]] if step and step.name in self.clusters else []
        for measure, columns in (("exact", exact), ("near", [*self.clusters.values()])):
            pairs = _shares(pairs, measure, self._copies(columns) if columns else None)
        return pairs

    def _copies(self, columns: list[str]) -> pl.DataFrame:
        """Documents and words of a with a copy in b; a step after another sees what that one left, so clusters join."""
        from curate.kernels.components import components

        rows = self.rows.filter(pl.any_horizontal(pl.col(columns).is_not_null()))
        address = rows["row"].to_numpy()
        heads = [rows[name].fill_null(rows["row"]).to_numpy() for name in columns]
        here = np.tile(np.arange(len(address)), len(columns))
        labels = components(len(address), here, np.searchsorted(address, np.concatenate(heads)))
        members = rows.select("source", "words", cluster=pl.Series(labels))
        sizes = members.group_by("cluster", "source").agg(documents=pl.len(), words=pl.col("words").sum())
        both = sizes.join(sizes.select("cluster", b="source"), on="cluster").rename({"source": "a"})
        others = both.filter((pl.col("a") != pl.col("b")) | (pl.col("documents") > 1))
        return others.group_by("a", "b").agg(pl.sum("documents", "words"))

    def exact(self, right: _Side, pairs: pl.DataFrame) -> pl.DataFrame:
        """Copies between two runs by the 128-bit hashes of both."""
        ours, theirs = self._holding("hash_low"), right._holding("hash_low")
        if ours is None or theirs is None:
            return _shares(pairs, "exact", None)
        _check_same(ours, theirs)
        mine = self._hashes(ours)
        their = right._hashes(theirs).select("low", "high", b="source").unique()
        both = mine.join(their, on=["low", "high"]).rename({"source": "a"})
        return _shares(pairs, "exact", both.group_by("a", "b").agg(documents=pl.len(), words=pl.col("words").sum()))

    def _hashes(self, step: Step) -> pl.DataFrame:
        schema = {"source": pl.String, "words": pl.Int64, "low": pl.UInt64, "high": pl.UInt64}
        frames = [pl.DataFrame(schema=schema)]
        for rows, batch in self._stored(step, ["hash_low", "hash_high"]):
            low, high = (pl.Series(batch[name].to_numpy()) for name in ("hash_low", "hash_high"))
            frames.append(rows.select("source", "words").with_columns(low=low, high=high))
        return pl.concat(frames)

    def _stored(self, step: Step, columns: list[str]) -> Iterator[tuple[pl.DataFrame, Any]]:
        """Rows of the run and their sketches, a batch at a time; rows that the step has not seen are left out."""
        address = self.rows["row"].to_numpy()
        for number, key in enumerate(self.shards):
            path = self.store.values(self.sketches[step.name], key)
            low, high = np.searchsorted(address, [number << 32, (number + 1) << 32])
            if high == low or not path.exists():
                continue
            start = low
            for batch in BatchFile(path):
                made = batch.select(columns)
                rows = self.rows.slice(start, len(batch))
                start += len(batch)
                good = made.column(0).is_valid()
                yield rows.filter(pl.Series(good.to_numpy(zero_copy_only=False))), made.filter(good)

    def _signatures(self, step: Step) -> Iterator[Signatures]:
        for rows, batch in self._stored(step, ["signature"]):
            column = batch["signature"]
            slots = column.type.byte_width // 4
            values = np.frombuffer(column.buffers()[1], np.uint32)[column.offset * slots :][: len(column) * slots]
            source = self.sources.search_sorted(rows["source"]).to_numpy().astype(np.int64)
            yield Signatures(values.reshape(-1, slots), rows["words"].to_numpy(), source, rows["row"].to_numpy())

    def compared(self, right: _Side, pairs: pl.DataFrame, is_one: bool) -> pl.DataFrame:
        """Resemblance and containment of a sample of each source, by signatures; between two runs near copies too."""
        ours, theirs = self._holding("signature"), right._holding("signature")
        if ours is None or theirs is None:
            nothing = [pl.lit(None, pl.Float64).alias(name) for name in ESTIMATES if name not in pairs.columns]
            return pairs.with_columns(pl.lit(None, pl.Int64).alias("sampled"), *nothing)
        _check_same(ours, theirs)
        sample = _sampled(self._signatures(ours), len(self.sources))
        best = np.zeros((2, len(sample.row), len(right.sources)))
        for batch in right._signatures(theirs):
            _compare(sample, batch, best, is_one)
        found = _estimates(sample, best, (self.sources, right.sources), _threshold(ours), is_one)
        return pairs.join(found, on=["a", "b"], how="left")


def _threshold(step: Step) -> float:
    """The similarity from which the step calls two documents duplicates; presets may know it."""
    settings: Any = getattr(step.operator, "settings", step.operator)
    return float(settings.threshold)


def _check_same(ours: Step, theirs: Step) -> None:
    one, two = (step.operator.sketch_identity() for step in (ours, theirs))  # type: ignore[attr-defined]
    if one != two:
        raise PlanError(
            f"the runs cannot be compared: {ours.name} of one has {one['parameters']} (version {one['version']}),"
            f" {theirs.name} of the other {two['parameters']} (version {two['version']})"
        )


def _shares(pairs: pl.DataFrame, measure: str, found: pl.DataFrame | None) -> pl.DataFrame:
    """Add a measure's shares of documents and words."""
    names = (measure, f"{measure}_words")
    if found is None:
        return pairs.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
    joined = pairs.join(found, on=["a", "b"], how="left", suffix="_found").fill_null(0)
    return joined.with_columns(
        (pl.col("documents_found") / pl.max_horizontal("documents", 1)).alias(names[0]),
        (pl.col("words_found") / pl.max_horizontal("words", 1)).alias(names[1]),
    ).drop("documents_found", "words_found")


def _sampled(batches: Iterator[Signatures], sources: int) -> Signatures:
    """Of each source the documents whose mixed addresses are smallest: the same, however they are batched."""
    from curate.kernels.mixing import mix

    kept: Signatures | None = None
    for batch in batches:
        both = batch if kept is None else Signatures(*(np.concatenate(pair) for pair in zip(kept, batch, strict=True)))
        order = np.lexsort((mix(both.row.astype(np.uint64), 0), both.source))
        source = both.source[order]
        rank = np.arange(len(order)) - np.searchsorted(source, np.arange(sources))[source]
        kept = Signatures(*(column[order[rank < SAMPLE]] for column in both))
    return kept or Signatures(np.empty((0, BANDS * ROWS), np.uint32), *(np.empty(0, np.int64) for _ in range(3)))


def _compare(sample: Signatures, batch: Signatures, best: np.ndarray, is_one: bool) -> None:
    """Raise `best` (resemblance and containment by sampled document and source) by what a batch of documents holds."""
    from curate.kernels.minhash import band_keys, estimate
    from curate.kernels.mixing import mix

    bands = min(BANDS, sample.values.shape[1] // ROWS)
    keys = band_keys(sample.values, bands, ROWS)
    chance = (mix(batch.row.astype(np.uint64), 1) >> np.uint64(32)).astype(np.int64)
    for at, others in enumerate(band_keys(batch.values, bands, ROWS)):
        order = np.argsort(keys[at], kind="stable")
        first, last = (np.searchsorted(keys[at][order], others, side) for side in ("left", "right"))
        sizes = last - first
        counts = np.minimum(sizes, SHARED)
        right = np.repeat(np.arange(len(others)), counts)
        turn = np.arange(len(right)) - np.repeat(np.cumsum(counts) - counts, counts)
        turn = (turn + np.repeat(chance % np.maximum(sizes, 1), counts)) % np.repeat(sizes, counts)
        left = order[np.repeat(first, counts) + turn]
        if is_one:
            left, right = left[sample.row[left] != batch.row[right]], right[sample.row[left] != batch.row[right]]
        alike = estimate(sample.values[left], batch.values[right])
        ratio = np.maximum(batch.words[right], 1) / np.maximum(sample.words[left], 1)
        held = np.minimum(1.0, alike * (1 + ratio) / (1 + alike))
        np.maximum.at(best[0], (left, batch.source[right]), alike)
        np.maximum.at(best[1], (left, batch.source[right]), held)


def _estimates(
    sample: Signatures, best: np.ndarray, sources: tuple[pl.Series, pl.Series], threshold: float, is_one: bool
) -> pl.DataFrame:
    """Means over the sample of each source, and their standard errors."""
    rows = []
    for number, a in enumerate(sources[0]):
        mine = sample.source == number
        many, words = int(mine.sum()), sample.words[mine]
        for at, b in enumerate(sources[1]):
            alike, held = best[0, mine, at], best[1, mine, at]
            row = {"a": a, "b": b, "sampled": many}
            if not is_one:
                near = alike >= threshold
                row |= {"near": _mean(near), "near_words": float(words[near].sum() / max(1, words.sum()))}
            row |= {"resemblance": _mean(alike), "resemblance_error": _error(alike)}
            rows.append(row | {"containment": _mean(held), "containment_error": _error(held)})
    return pl.DataFrame(rows)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _error(values: np.ndarray) -> float:
    return float(values.std() / np.sqrt(len(values))) if len(values) else 0.0


# ---------------------------------------------------------------- as text


class Matrix(NamedTuple):
    """A measure of the sources that share most: one row for each of the first, one column for each of the second."""

    measure: str
    a: list[str]
    b: list[str]
    shares: list[list[float]]


def matrix(table: pl.DataFrame, is_one: bool, most: int = SHOWN) -> Matrix:
    """The sources that have most in common with another one, by the first measure that there is."""
    measure = next((name for name in ("near", "exact", "containment") if not table[name].null_count()), "near")
    others = table.filter(((pl.col("a") != pl.col("b")) | (not is_one)) & (pl.col(measure) > 0))
    others = others.sort([measure, "a", "b"], descending=[True, False, False])
    if is_one:  # the same sources on both sides
        others = others.select(a=pl.concat_list("a", "b")).explode("a").with_columns(b="a")
    a, b = (sorted(others[side].unique(maintain_order=True).head(most)) for side in ("a", "b"))
    known = {(row["a"], row["b"]): row[measure] for row in table.to_dicts()}
    return Matrix(measure, a, b, [[known[one, two] for two in b] for one in a])


def matrix_text(found: Matrix) -> str:
    """The matrix as an aligned table, in per cent."""
    if not found.a:
        return "no source has copies of documents of another one"
    rows = [[f"% of a in b ({found.measure})", *found.b]]
    rows += [[a, *(f"{100 * value:.1f}" for value in values)] for a, values in zip(found.a, found.shares, strict=True)]
    return table_text(rows, left=1)


def pairs_text(table: pl.DataFrame, most: int = 30) -> str:
    """The pairs that share most, with everything that is known of them."""
    some = table.filter(pl.any_horizontal(pl.col(name).fill_null(0) > 0 for name in MEASURES)).to_dicts()
    some.sort(key=lambda row: (*(-(row[name] or 0) for name in ("near", "exact", "containment")), row["a"], row["b"]))
    names = [name for name in MEASURES if not name.endswith("_error")]
    rows = [["a", "b", "documents", *(name.replace("_", " ") for name in names)]]
    for row in some[:most]:
        values = [_percent(row[name], row.get(f"{name}_error")) for name in names]
        rows.append([row["a"], row["b"], f"{row['documents']:,}", *values])
    more = f"\n... and {len(some) - most} pairs that share less (--save FILE has all)" if len(some) > most else ""
    return table_text(rows, left=2) + more


def _percent(value: float | None, error: float | None) -> str:
    about = "" if error is None else f" ± {100 * error:.2f}"
    return "-" if value is None else f"{100 * value:.2f}{about} %"
