"""The operator contract: an operator turns named columns into named columns; rows never disappear, they get a reason.

| kind         | scope    | work method                    | does                                           |
|--------------|----------|--------------------------------|------------------------------------------------|
| Signal       | document | compute(columns) -> columns    | adds columns; never edits, never drops         |
| Mapper       | document | compute(columns) -> columns    | edits columns; says what it changed            |
| Filter       | document | decide(columns) -> fails       | gives rows a reason to be dropped              |
| Expander     | document | expand(columns) -> new rows    | 1 -> n rows with a reference to their parent   |
| Deduplicator | corpus   | sketch, keys, similarity       | gives all but one of a cluster a reason        |
| Selector     | corpus   | sketch, select                 | chooses a subset, writes what only all rows say|
| Trainer      | corpus   | sketch, fit, apply             | fits a model on the corpus and applies it      |

The argument names of the work method are the columns it reads, their annotations the Arrow types
(`text: pa.StringArray`; plain `pa.Array` takes any type). Fields are the recipe's parameters.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from curate.ranking import Ranking, Rows

Columns = dict[str, pa.Array]
Types = dict[str, pa.DataType]
ROW = "row"  # the address of each row, for Trainers that read a column of this name; nothing else may have it
SOURCE = "source"  # to a sketch of a Trainer that is fitted on other sources, the recipe's name of the source

ARROW_TYPE = {
    pa.StringArray: pa.string(),
    pa.BinaryArray: pa.binary(),
    pa.BooleanArray: pa.bool_(),
    pa.Int32Array: pa.int32(),
    pa.Int64Array: pa.int64(),
    pa.FloatArray: pa.float32(),
    pa.DoubleArray: pa.float64(),
}


@functools.cache
def _parameters(method: Callable[..., Any]) -> dict[str, pa.DataType | None]:
    """Columns that a work method takes, with their types; read once, not for every batch."""
    hints = typing.get_type_hints(method)
    names = [p for p in inspect.signature(method).parameters if p not in ("self", "model")]
    return {name: ARROW_TYPE.get(hints.get(name)) for name in names}


class Operator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a recipe. Fields are its parameters; class variables and methods are its promises."""

    kind: ClassVar[str] = "Operator"
    scope: ClassVar[Literal["document", "corpus"]] = "document"
    work: ClassVar[str] = "compute"
    version: ClassVar[int] = 1
    sees_nulls: ClassVar[bool] = False
    is_remote: ClassVar[bool] = False  # it asks a service, which may cost something: never tried on made-up text
    is_quick: ClassVar[bool] = False  # its work takes no longer than to copy the text: better whole batches than parts
    card_section: ClassVar[Literal["", "Decontamination", "Personal data"]] = ""  # of a Data Card, that tells of it

    @classmethod
    def name(cls) -> str:
        """The recipe's word for this operator, from the class name: DedupMinhash -> dedup_minhash."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def reads(self) -> dict[str, pa.DataType | None]:
        """Columns the operator needs, with the type each must have (None: any type)."""
        return dict(_parameters(getattr(type(self), self.work)))

    def arguments(self) -> tuple[str, ...]:
        """The columns that the work method takes."""
        return tuple(self.reads())

    def writes(self) -> Types:
        """Columns the operator makes, with their types."""
        return {}

    def reasons(self) -> tuple[str, ...]:
        """Reasons this operator can drop a document for, in the order in which they are tried."""
        return ()

    def remarks(self) -> tuple[str, ...]:
        """What `curate plan` says below the step: what its parameters come to, before any data is read."""
        return ()

    def files(self) -> tuple[str, ...]:
        """Local files (models, lists) the operator needs; their content is part of its fingerprint.

        `curate.assets.files(name_or_path)` finds them; it raises PlanError for what is not here.
        """
        return ()

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        """Refuse, with PlanError, columns or parameters that cannot work; no data has been read yet."""

    def identity(self) -> dict[str, Any]:
        """What decides the operator's output: name, version, parameters, content of its files."""
        return {
            "name": self.name(),
            "version": self.version,
            "parameters": parameters(self),
            "files": _contents(self.files()),
        }

    def __call__(self, value: Any) -> Any:
        """Apply to one text or row (dict), a batch (dict of lists or arrays), or an Arrow table or record batch.

        Usable as it is in Ray Data's `map_batches` and in Hugging Face's `Dataset.map(..., batched=True)`.
        """
        from curate.evaluate import call

        return call(self, value)

    def actor(self) -> type:
        """This operator as a class of which Ray Data makes actors; each loads the operator's models once.

        `data.map_batches(operator.actor(), concurrency=2, batch_format="pyarrow")`
        """
        from curate.evaluate import actor

        return actor(self)


class Signal(Operator, frozen=True):
    """Adds columns. Never edits a column, never drops a row."""

    kind: ClassVar[str] = "Signal"


class Mapper(Operator, frozen=True):
    """Edits columns (text included) and says in columns of its own what it changed."""

    kind: ClassVar[str] = "Mapper"


class Filter(Operator, frozen=True):
    """Gives rows a reason to be dropped; the rows stay.

    `decide(columns)` returns one boolean array per reason: true where the row fails.
    """

    kind: ClassVar[str] = "Filter"
    work: ClassVar[str] = "decide"


class Expander(Operator, frozen=True):
    """Turns one row into n new ones; the parent stays behind with the operator's name as its reason.

    `expand(columns)` returns the position of each new row's parent (ascending) and the columns it edits, for the new
    rows. Other columns of the source are carried along; columns made by earlier steps are null for new rows.
    """

    kind: ClassVar[str] = "Expander"
    work: ClassVar[str] = "expand"

    def writes(self) -> Types:
        return {"parent_id": pa.string()}

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)


Keep = Literal["first", "longest", "all"] | dict[Literal["highest", "lowest", "sources"], str | list[str]]


class Deduplicator(Operator, frozen=True):
    """Finds clusters of rows that are the same, keeps one of each and gives the others a reason.

    sketch(columns)           per batch -> row-aligned sketch columns (declared by `sketches()`), stored once
    keys(sketch)              per shard -> (rows, keys): rows that share a key are candidates
    similarity(left, right)   per pair  -> float64[m], 0..1 (two sketch tables, row by row); 1.0: the same
    evidence(columns)         per batch -> what a pair's similarity is measured on exactly (declared by `evidences()`);
                              made only for rows of pairs whose similarity is too close to `threshold` to be sure of
    measure(left, right)      per pair  -> float64[m]: the exact similarity (two evidence tables, row by row)

    A pair counts from `threshold` on. `standard_error()` says how far `similarity` is off at the threshold.
    With `bloom` keys are only remembered in a Bloom filter of that rate: a row whose key was seen before is a copy.
    """

    kind: ClassVar[str] = "Deduplicator"
    scope: ClassVar[Literal["document", "corpus"]] = "corpus"
    work: ClassVar[str] = "sketch"
    sketch_parameters: ClassVar[tuple[str, ...]] = ()
    threshold: ClassVar[float] = 1.0
    verify: ClassVar[Literal["exact", "estimate", "none"]] = "estimate"
    remember: ClassVar[Literal["sketch", "evidence"]] = "sketch"
    bloom: ClassVar[float | None] = None

    keep: Keep = "first"
    link: Literal["components", "representative"] = "components"
    against: str | None = None

    def __post_init__(self) -> None:
        from curate.cluster import check_keep

        check_keep(self.keep)

    def reads(self) -> dict[str, pa.DataType | None]:
        """The columns of the sketch, and that which `keep` goes by."""
        from curate.cluster import keep_reads

        return {**keep_reads(self.keep), **super().reads()}

    def arguments(self) -> tuple[str, ...]:
        return tuple(super().reads())

    def writes(self) -> Types:
        name = self.name()
        return {
            f"{name}_cluster": pa.int64(),
            f"{name}_cluster_size": pa.int64(),
            f"{name}_is_duplicate": pa.bool_(),
            f"{name}_duplicate_of": pa.string(),
            f"{name}_twin": pa.int64(),
            f"{name}_similarity": pa.float64(),
        }

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)

    def described(self) -> dict[str, Any]:
        """What must be the same in the run that `against` names."""
        from curate.against import described

        return described(self.name(), self.version, parameters(self))

    def files(self) -> tuple[str, ...]:
        """What the run that `against` names says of itself."""
        from curate.against import find

        return (str(find(self.against, self.described(), self.keep)),) if self.against else ()

    def sketches(self) -> Types:
        """Types of the sketch columns."""
        raise NotImplementedError

    def sketch_identity(self) -> dict[str, Any]:
        """What decides the sketch: only the parameters named in `sketch_parameters`."""
        chosen = {k: v for k, v in parameters(self).items() if k in self.sketch_parameters}
        return {"name": self.name(), "version": self.version, "parameters": chosen}

    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def similarity(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        """Rows that share a key are the same unless the operator compares them."""
        return np.ones(len(left))

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        from curate.cluster import check_rank

        check_rank(self.keep, types)

    def standard_error(self) -> float:
        """Of `similarity` at the threshold; 0 where it is exact."""
        return 0.0

    def evidences(self) -> Types:
        """Types of the evidence columns; none where `similarity` is all there is."""
        return {}

    def measure(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        raise NotImplementedError


class Evidence(Signal, frozen=True):
    """What a deduplicator measures pairs on, as columns."""

    of: Deduplicator

    def reads(self) -> dict[str, pa.DataType | None]:
        return {name: kind for name, kind in self.of.reads().items() if name in self.of.arguments()}

    def writes(self) -> Types:
        return self.of.evidences()

    def compute(self, **columns: pa.Array) -> Columns:
        return self.of.evidence(**columns)  # type: ignore[attr-defined]


class Selection(NamedTuple):
    """What a selector says of some rows: those to keep (None: all), the columns it writes; and facts of the corpus.

    Facts, for the manifest, are plain values by name; `groups` is a list of rows, which the card and the terminal show
    as a table.
    """

    keep: np.ndarray | None = None
    columns: Columns = {}
    facts: dict[str, Any] = {}


class Selector(Operator, frozen=True):
    """Chooses a subset of the corpus, by where each row stands among all others.

    sketch(columns)        per batch -> small row-aligned columns (declared by `sketches()`), stored once
    select(rows, ranking)  per shard -> true for the rows to keep, or a Selection

    Columns of these names make the ranking, all optional: `group` (string); `score` (float64, highest first), `tie`
    (uint64) and the row's address, by which rows stand within their group; `size` (float64). Rows without a score or a
    size take no part. What a selector must know of the other rows it asks the `ranking` (`curate.ranking.Ranking`): for
    sums of groups, and where one passes a limit. Answers are exact, and made by counting rows of each shard in bins:
    memory is that of groups, however many rows there are. `select` is called once without rows, for its facts, and then
    for each shard; it must ask the same questions every time. One that only writes columns has no reasons.
    """

    kind: ClassVar[str] = "Selector"
    scope: ClassVar[Literal["document", "corpus"]] = "corpus"
    work: ClassVar[str] = "sketch"

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)

    def sketches(self) -> Types:
        raise NotImplementedError

    def select(self, rows: Rows, ranking: Ranking) -> np.ndarray | Selection:
        """True for the rows to keep, or a Selection."""
        raise NotImplementedError


class Trainer(Operator, frozen=True):
    """Fits a model on the corpus and applies it row by row; it may edit columns, and then says what it changed.

    sketch(columns) per batch -> table;  fit(table) once -> model table;  apply(columns, model) per batch -> columns

    A column `row` among those it reads is the address of each row, by which the first of several can be told; outside
    a recipe its position. One that is fitted on other sources (`fitted_on`) finds in the table it fits a column
    `source`, the recipe's name of the source that each row of a sketch is of; its `sketch` may read that column too.
    One that drops has `reasons` and decides from what `apply` has made.

    combine(table)  sketches of several batches as those of one: what `fit` makes of them is the same, and they are of a
                    size that does not grow with the corpus. By default they are left as they are, and `fit` has all

    key     a uint64 column of the sketch, for models of any size: `fit` is called for one range of keys after the
            other, with all rows of the range; the model is what it returns, in that order, a chunk per range
    chunks  true when `fit` copes with a table in chunks, which then stay on disk until they are used
    rounds  how often it is fitted: with more than one, `sketch` is also given the `model` of the round before (None
            in the first), and the last is applied
    """

    kind: ClassVar[str] = "Trainer"
    scope: ClassVar[Literal["document", "corpus"]] = "corpus"
    work: ClassVar[str] = "sketch"
    key: ClassVar[str] = ""
    chunks: ClassVar[bool] = False
    rounds: ClassVar[int] = 1

    def fitted_on(self) -> tuple[str, ...]:
        """Names of the sources it is fitted on; none: the rows it is applied to."""
        return ()

    def value_identity(self) -> dict[str, Any]:
        """What decides the model and the columns: not the parameters that only `decide` looks at."""
        return self.identity()

    def sketch_schema(self) -> pa.Schema:
        raise NotImplementedError

    def combine(self, sketches: pa.Table) -> pa.Table:
        """Some sketches in few rows. Columns that it leaves out are null in the table that `fit` is given."""
        return sketches

    def fit(self, sketches: pa.Table) -> pa.Table:
        raise NotImplementedError

    def facts(self, model: pa.Table) -> dict[str, Any]:
        """What the manifest says of a model."""
        return {"model_rows": len(model)}

    def export(self, model: pa.Table, folder: Path) -> None:
        """Write the model into an empty folder, as files that other programs read; the default writes none."""

    def decide(self, made: Columns) -> Columns:
        """For each reason, true where a row fails, from the columns that `apply` has made (but those it edits)."""
        return {}


KINDS: tuple[type[Operator], ...] = (Signal, Mapper, Filter, Expander, Deduplicator, Selector, Trainer)


def parameters(operator: Operator) -> dict[str, Any]:
    """The operator's parameters as plain values, defaults included.

    >>> from curate.operators.sample import Sample
    >>> parameters(Sample(share=0.5))
    {'share': 0.5, 'seed': 0, 'by': 'id'}
    """
    return typing.cast(dict[str, Any], msgspec.to_builtins(operator))


def _contents(files: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of each file, by its path below the folder of them all: it does not matter where that folder is."""
    top = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in files]) if files else ""
    return {os.path.relpath(path, top): _content(path, *_stamp(path)) for path in files}


@functools.lru_cache(maxsize=1024)
def _content(path: str, size: int, changed: int) -> str:
    """SHA-256 of a file, which is read again when its size or the time of its last change differ."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


def edits(operator: Operator, column: str) -> bool:
    """Whether the operator writes a column anew that it reads: the column keeps its name."""
    return isinstance(operator, Mapper | Trainer) and column in operator.reads() and column in operator.writes()
