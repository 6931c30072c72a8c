"""The operator contract: an operator turns named columns into named columns; rows never disappear, they get a reason.

| kind         | scope    | work method                    | does                                           |
|--------------|----------|--------------------------------|------------------------------------------------|
| Signal       | document | compute(columns) -> columns    | adds columns; never edits, never drops         |
| Mapper       | document | compute(columns) -> columns    | edits columns; says what it changed            |
| Filter       | document | decide(columns) -> fails       | gives rows a reason to be dropped              |
| Expander     | document | expand(columns) -> new rows    | 1 -> n rows with a reference to their parent   |
| Deduplicator | corpus   | sketch, keys, similarity       | gives all but one of a cluster a reason        |
| Selector     | corpus   | sketch, select                 | chooses a subset of the whole corpus           |
| Trainer      | corpus   | sketch, fit, apply             | fits a small model on the corpus and applies it|

The argument names of the work method are the columns it reads, their annotations the Arrow types
(`text: pa.StringArray`; plain `pa.Array` takes any type). Fields are the recipe's parameters.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import OperatorError, PlanError

Columns = dict[str, pa.Array]
Types = dict[str, pa.DataType]

ARROW_TYPE = {
    pa.StringArray: pa.string(),
    pa.BinaryArray: pa.binary(),
    pa.BooleanArray: pa.bool_(),
    pa.Int32Array: pa.int32(),
    pa.Int64Array: pa.int64(),
    pa.FloatArray: pa.float32(),
    pa.DoubleArray: pa.float64(),
}


class Operator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a recipe. Fields are its parameters; class variables and methods are its promises."""

    kind: ClassVar[str] = "Operator"
    scope: ClassVar[Literal["document", "corpus"]] = "document"
    work: ClassVar[str] = "compute"
    version: ClassVar[int] = 1
    sees_nulls: ClassVar[bool] = False

    @classmethod
    def name(cls) -> str:
        """The recipe's word for this operator, from the class name: DedupMinhash -> dedup_minhash."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def reads(self) -> dict[str, pa.DataType | None]:
        """Columns the operator needs, with the type each must have (None: any type)."""
        method = getattr(type(self), self.work)
        hints = typing.get_type_hints(method)
        names = [p for p in inspect.signature(method).parameters if p not in ("self", "model")]
        return {name: ARROW_TYPE.get(hints.get(name)) for name in names}

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
        if isinstance(value, str):
            value = {next(iter(self.reads()), "text"): value}
        if isinstance(value, pa.RecordBatch):
            table = self(pa.Table.from_batches([value]))
            return pa.record_batch([plain(column) for column in table.columns], names=table.column_names)
        if isinstance(value, pa.Table):
            return _on_table(self, value)
        return _on_mapping(self, value)


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
    """

    kind: ClassVar[str] = "Deduplicator"
    scope: ClassVar[Literal["document", "corpus"]] = "corpus"
    work: ClassVar[str] = "sketch"
    sketch_parameters: ClassVar[tuple[str, ...]] = ()
    threshold: ClassVar[float] = 1.0
    verify: ClassVar[Literal["exact", "estimate", "none"]] = "estimate"
    remember: ClassVar[Literal["sketch", "evidence"]] = "sketch"

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


class Selector(Operator, frozen=True):
    """Chooses a subset of the corpus: `sketch` makes small row-aligned columns, `select` sees them for all rows."""

    kind: ClassVar[str] = "Selector"
    scope: ClassVar[Literal["document", "corpus"]] = "corpus"
    work: ClassVar[str] = "sketch"

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)

    def sketches(self) -> Types:
        raise NotImplementedError

    def select(self, sketch: pa.Table) -> np.ndarray:
        """True for the rows to keep. `sketch` holds all rows in corpus order and their ids (`id`)."""
        raise NotImplementedError


class Trainer(Operator, frozen=True):
    """Fits a small model on the corpus and applies it row by row.

    sketch(columns) per batch -> table;  fit(table) once -> model table;  apply(columns, model) per batch -> columns
    """

    kind: ClassVar[str] = "Trainer"
    scope: ClassVar[Literal["document", "corpus"]] = "corpus"
    work: ClassVar[str] = "sketch"

    def sketch_schema(self) -> pa.Schema:
        raise NotImplementedError

    def fit(self, sketches: pa.Table) -> pa.Table:
        raise NotImplementedError


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
    return {os.path.relpath(path, top): hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in files}


def evaluate(operator: Operator, columns: Mapping[str, pa.Array], work: Callable[..., Any] | None = None) -> Columns:
    """Run a row-aligned work method on arrays. Rows with a null in a column it reads come back as nulls.

    Raises OperatorError when the result is not what the operator declares.
    """
    inputs = {name: columns[name] for name in operator.arguments()}
    present = None if operator.sees_nulls else _present(inputs)
    if present is not None:
        inputs = {name: array.filter(present) for name, array in inputs.items()}
    result = (work or getattr(operator, operator.work))(**inputs)
    rows = len(next(iter(inputs.values()))) if inputs else None
    result = _checked(operator, result, rows)
    if present is None:
        return result
    return {name: scatter(array, present.to_numpy(zero_copy_only=False)) for name, array in result.items()}


def scatter(array: pa.Array, mask: np.ndarray) -> pa.Array:
    """Spread values over the true positions of `mask`; null elsewhere.

    >>> scatter(pa.array([7, 8]), np.array([True, False, True])).to_pylist()
    [7, None, 8]
    """
    if mask.all():
        return array
    positions = pa.array(np.cumsum(mask) - 1, mask=~mask)
    return array.take(positions)


def declared(operator: Operator) -> Types:
    """Types of what the operator's row-aligned work method returns."""
    if isinstance(operator, Filter):
        return {reason: pa.bool_() for reason in operator.reasons()}
    if isinstance(operator, Deduplicator | Selector):
        return operator.sketches()
    return operator.writes()


def complete(columns: Columns) -> Columns:
    """The rows that have no null in any of the columns."""
    present = _present(columns)
    return columns if present is None else {name: array.filter(present) for name, array in columns.items()}


def _present(inputs: Mapping[str, pa.Array]) -> pa.Array | None:
    """Which rows are complete; None when all are."""
    masks = [array.is_valid() for array in inputs.values() if array.null_count]
    if not masks:
        return None
    whole = masks[0]
    for mask in masks[1:]:
        whole = pc.and_(whole, mask)
    return whole


def _checked(operator: Operator, result: Mapping[str, pa.Array], rows: int | None) -> Columns:
    types = declared(operator)
    if set(result) != set(types):
        raise OperatorError(f"{operator.name()} declares columns {sorted(types)} but returned {sorted(result)}")
    for name, kind in types.items():
        array = result[name]
        if not isinstance(array, pa.Array):
            made = f"a {type(array).__name__}, not an Arrow array"
            raise OperatorError(f"{operator.name()} declares {name} as {kind} but returned {made}")
        if array.type != kind:
            raise OperatorError(f"{operator.name()} declares {name} as {kind} but returned {array.type}")
        if rows is not None and len(array) != rows:
            raise OperatorError(f"{operator.name()} returned {len(array)} values of {name} for {rows} rows")
    return {name: result[name] for name in types}


# ---------------------------------------------------------------- calling an operator outside a recipe


def arrays(operator: Operator, table: pa.Table) -> Columns:
    """The columns of `table` that the operator reads, one array each, with strings as pa.string()."""
    missing = [name for name in operator.reads() if name not in table.column_names]
    if missing:
        raise PlanError(
            f"{operator.name()} reads {missing[0]!r}, which is not in this table: {', '.join(table.column_names)}"
        )
    wanted = [*operator.reads(), *(["id"] if isinstance(operator, Selector) and "id" in table.column_names else [])]
    found = {name: plain(table[name]) for name in wanted}
    if isinstance(operator, Selector) and "id" not in found:
        found["id"] = pa.array(range(len(table)), pa.int64()).cast(pa.string())
    return found


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous array; every kind of string becomes pa.string(), dictionaries are decoded."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or array.type == pa.string_view():
        array = array.cast(pa.string())
    return array


def _on_table(operator: Operator, table: pa.Table) -> pa.Table:
    for name, array in _outcome(operator, arrays(operator, table)).items():
        if name == "dropped_by" and name in table.column_names:
            array = pc.coalesce(plain(table[name]), array)
        at = table.schema.get_field_index(name)
        table = table.append_column(name, array) if at < 0 else table.set_column(at, name, array)
    return table


def _outcome(operator: Operator, columns: Columns) -> Columns:
    """What a row sees of the operator: its columns, and `dropped_by` where it decides."""
    if isinstance(operator, Filter):
        return {"dropped_by": first_reason(evaluate(operator, columns))}
    if isinstance(operator, Deduplicator):
        from curate.cluster import in_memory

        return in_memory(operator, columns)
    if isinstance(operator, Selector):
        keep = operator.select(pa.table({**evaluate(operator, columns), "id": columns["id"]}))
        return {"dropped_by": pc.if_else(pa.array(keep), pa.scalar(None, pa.string()), operator.name())}
    if isinstance(operator, Trainer):
        model = operator.fit(operator.sketch(**complete(columns)))  # type: ignore[attr-defined]
        return evaluate(operator, columns, lambda **c: operator.apply(**c, model=model))  # type: ignore[attr-defined]
    if isinstance(operator, Expander):
        raise PlanError(f"{operator.name()} changes the number of rows: call its expand() or use it in a recipe")
    return evaluate(operator, columns)


def first_reason(fails: Columns) -> pa.Array:
    """The first reason that holds in each row, null where none does.

    >>> first_reason({"short": pa.array([True, False]), "spam": pa.array([True, True])}).to_pylist()
    ['short', 'spam']
    """
    names = pa.array([*fails], pa.string())
    where = np.stack([array.fill_null(False).to_numpy(zero_copy_only=False) for array in fails.values()])
    return names.take(pa.array(where.argmax(axis=0), mask=~where.any(axis=0)))


def _on_mapping(operator: Operator, value: Mapping[str, Any]) -> dict[str, Any]:
    read = next((value[name] for name in operator.reads() if name in value), None)
    is_row = isinstance(read, str | bytes) or not hasattr(read, "__len__")
    table = pa.table({k: pa.array([v] if is_row else v) for k, v in value.items()})
    before, after = set(value), _on_table(operator, table)
    if is_row:
        changed = set(operator.writes()) | {"dropped_by"}
        return {k: after[k][0].as_py() for k in after.column_names if k not in before or k in changed}
    if isinstance(read, np.ndarray):
        return {k: _as_numpy(after[k]) for k in after.column_names}
    return after.to_pydict()


def _as_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """Values as NumPy has them; a column with nulls as objects, since NaN is no null."""
    if not column.null_count:
        return column.to_numpy()
    values = np.empty(len(column), object)
    values[:] = column.to_pylist()
    return values
