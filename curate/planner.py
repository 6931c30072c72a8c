"""Recipe -> plan. Everything that can be wrong without reading text is found here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa

from curate import sql
from curate.errors import CurateError, DataError, PlanError, nearest
from curate.io.source import Shard
from curate.operator import ROW, Deduplicator, Expander, Operator, Selector, Trainer, edits
from curate.plan import Pass, Plan, PlannedStep, Scope, fingerprint, pieces_of
from curate.recipe import Recipe, Step

# Columns of the annotations that no source and no step may have.
INTERNAL = ("dropped_by", "failed_rules", ROW, "text_bytes", "text_words")
KEPT = "kept"  # what funnel and report call documents without a reason

Looked = tuple[list[Shard], dict[str, pa.Schema]]


def make_plan(recipe: Recipe, shards: Iterable[Shard], schemas: dict[str, pa.Schema]) -> Plan:
    """Check the recipe against its sources (their shards and schemas) and cut it into passes."""
    keyed = tuple(_with_schema(shard, schemas[shard.source]) for shard in shards)
    try:
        builder = _Builder(recipe, keyed, schemas)
    except PlanError as error:
        raise PlanError(f"{recipe.file}: {error}" if recipe.file else str(error)) from error
    for step in in_order(recipe):
        try:
            builder.add(step)
        except CurateError as error:
            raise type(error)(f"{step.place}: {error}" if step.place else f"step {step.name}: {error}") from error
    return builder.plan()


def _with_schema(shard: Shard, schema: pa.Schema) -> Shard:
    """The shard with a key that stands for its rows: which records are good depends on the types of the columns."""
    return msgspec.structs.replace(shard, key=fingerprint(shard.key, [(f.name, str(f.type)) for f in schema]))


def in_order(recipe: Recipe) -> list[Step]:
    """Steps as listed, but after the steps that their `from:` names; a cycle is refused."""
    by_name = {step.name: step for step in recipe.steps}
    ordered: list[Step] = []
    open_names: list[str] = []

    def visit(step: Step) -> None:
        if step in ordered:
            return
        if step.name in open_names:
            circle = " -> ".join([*open_names[open_names.index(step.name) :], step.name])
            raise PlanError(f"{step.place}: steps wait for each other: {circle}")
        open_names.append(step.name)
        for name in step.from_:
            if name not in recipe.sources and name in by_name:
                visit(by_name[name])
        open_names.pop()
        ordered.append(step)

    for step in recipe.steps:
        visit(step)
    return ordered


class _Builder:
    """Adds steps one by one, keeping what is known about columns so far."""

    def __init__(self, recipe: Recipe, shards: tuple[Shard, ...], schemas: dict[str, pa.Schema]):
        self.recipe, self.shards, self.schemas = recipe, shards, schemas
        schema = union_schema(schemas)
        self.types = {field.name: field.type for field in schema}
        self.keys = {field.name: f"source:{field.name}" for field in schema}
        self.writer = {field.name: "the source" for field in schema}
        self.reasons: dict[str, str] = {}
        self.alive_key = fingerprint("alive")
        self.shards_key = fingerprint([shard.key for shard in shards])
        self.steps: list[PlannedStep] = []
        self.names: dict[str, int] = {}
        self.passes: list[Pass] = []
        self.pending: list[int] = []

    def add(self, step: Step) -> None:
        operator = step.operator
        scope = self._scope(step)
        inputs = self._inputs(step)
        self._check_files(operator)
        self._check_fitted_on(step, scope)
        operator.check({own: self._known(operator)[name] for own, name in inputs.items()})
        outputs, types = self._outputs(step)
        planned = self._fingerprinted(step, scope, inputs, outputs, types)
        self._remember(planned)

    def plan(self) -> Plan:
        self._close(None)
        fields = [pa.field(name, kind) for name, kind in self.types.items()]
        key = fingerprint(self.alive_key, [p.key for p in self.passes], sorted(self.keys.items()), self.shards_key)
        shards, born = self._with_pieces()
        return Plan(
            recipe=self.recipe,
            shards=shards,
            born=born,
            source_schemas=self.schemas,
            steps=tuple(self.steps),
            passes=tuple(msgspec.structs.replace(this, ahead=self._ahead(this)) for this in self.passes),
            schema=pa.schema(fields),
            key=key,
        )

    def _with_pieces(self) -> tuple[tuple[Shard, ...], tuple[int, ...]]:
        """The sources' shards, and one for what an expander makes of each shard that is there before it."""
        shards, born = list(self.shards), [-1] * len(self.shards)
        for this in self.passes:
            step = self.steps[this.end] if this.end is not None else None
            if step is None or not isinstance(step.operator, Expander):
                continue
            for parent in list(shards):
                if parent.source in step.scope.sources:
                    shards.append(pieces_of(parent, step, this))
                    born.append(this.index)
        return tuple(shards), tuple(born)

    def _scope(self, step: Step) -> Scope:
        known = {**self.recipe.sources, **self.names}
        sources: list[str] = []
        conditions: list[str] = []
        for name in step.from_:
            meant = [other for other in (*self.recipe.sources, *(s.name for s in self.recipe.steps)) if other == name]
            if len(meant) > 1:
                raise PlanError(f"from: {name!r} can mean more than one thing: give the step a name of its own (`as:`)")
            if name not in known:
                raise PlanError(f"from: nothing is called {name!r}{nearest(name, known)}")
            if name in self.recipe.sources:
                sources.append(name)
            else:
                inherited = self.steps[self.names[name]].scope
                sources += inherited.sources
                conditions += inherited.conditions
        if not step.from_:
            sources = [name for name, source in self.recipe.sources.items() if not source.reference]
        if step.where:
            for column in sql.columns(step.where):
                self._require(column, "where")
            sql.check(step.where, self.types)
            conditions.append(step.where)
        return Scope(tuple(dict.fromkeys(sources)), tuple(dict.fromkeys(conditions)))

    def _require(self, column: str, who: str) -> str:
        if column in self.types:
            return column
        later = [
            s.name for s in self.recipe.steps if column in s.columns_written().values() and s.name not in self.names
        ]
        hint = f" - step {later[0]} writes it later: move it up" if later else nearest(column, self.types)
        known = "" if hint else f"; columns here: {', '.join(self.types)}"
        raise PlanError(f"{who} reads {column!r}, which nothing before it writes{hint}{known}")

    def _inputs(self, step: Step) -> dict[str, str]:
        reads = step.operator.reads()
        for own in step.columns:
            if own not in reads:
                raise PlanError(f"columns: {step.operator.name()} does not read {own!r}{nearest(own, reads)}")
        given = [ROW] if ROW in self._known(step.operator) else []
        inputs = {
            own: own if own in given else self._require(step.columns.get(own, own), step.operator.name())
            for own in reads
        }
        for own, kind in reads.items():
            found = self._known(step.operator)[inputs[own]]
            if kind is not None and found != kind:
                raise PlanError(f"{step.operator.name()} needs {inputs[own]} as {kind}, but it is {found}")
        return inputs

    def _known(self, operator: Operator) -> dict[str, pa.DataType]:
        """Types of the columns an operator may read: rows' addresses too, if its results belong to this corpus."""
        return {**self.types, ROW: pa.int64()} if isinstance(operator, Trainer) else self.types

    def _check_files(self, operator: Operator) -> None:
        for path in operator.files():
            if not Path(path).is_file():
                raise PlanError(f"{operator.name()} needs the file {path}, which does not exist")

    def _check_fitted_on(self, step: Step, scope: Scope) -> None:
        operator = step.operator
        names = operator.fitted_on() if isinstance(operator, Trainer) else ()
        for name in names:
            if name not in self.recipe.sources:
                known = nearest(name, self.recipe.sources) or f"; there are {', '.join(self.recipe.sources)}"
                raise PlanError(f"{operator.name()} is fitted on {name!r}, which is no source of this recipe{known}")
            if operator.reasons() and name in scope.sources:
                raise PlanError(
                    f"{operator.name()} would drop documents of {name!r}, on which it is fitted: mark that source"
                    " `reference: true`, or name the others under `from:`"
                )

    def _outputs(self, step: Step) -> tuple[dict[str, str], dict[str, pa.DataType]]:
        """Names in the corpus of what the step writes, and their types."""
        names, types = step.columns_written(), {}
        for own, kind in step.operator.writes().items():
            name = names[own]
            is_edited = edits(step.operator, own) or isinstance(step.operator, Expander)
            if name in INTERNAL or (name in self.types and not is_edited):
                owner = self.writer.get(name, "curate itself")
                raise PlanError(
                    f"{step.operator.name()} writes {name!r}, which {owner} already writes: name this step with `as:`"
                )
            types[name] = kind
        reasons = step.reasons_given()
        for reason in reasons.values():
            if reason == KEPT:
                raise PlanError(f"a reason cannot be called {KEPT!r}, as documents without one are: rename it")
            if reason in self.reasons:
                raise PlanError(f"reason {reason!r} is already given by {self.reasons[reason]}: name a step with `as:`")
        return names | reasons, types

    def _fingerprinted(
        self, step: Step, scope: Scope, inputs: dict[str, str], outputs: dict[str, str], types: dict[str, pa.DataType]
    ) -> PlannedStep:
        operator = step.operator
        keys = {own: self.keys.get(name, name) for own, name in inputs.items()}
        identity = operator.identity()
        taken = {own: keys[own] for own in operator.arguments()}
        value_key = fingerprint(operator.sketch_identity() if isinstance(operator, Deduplicator) else identity, taken)
        corpus_key = ""
        if operator.scope == "corpus" or isinstance(operator, Expander):
            corpus_key = fingerprint(identity, keys, self.alive_key, self._scope_key(scope), self.shards_key)
        if isinstance(operator, Trainer):
            values = operator.value_identity()
            seen = [keys, self.alive_key, self._scope_key(scope), self.shards_key]
            sources = operator.fitted_on()
            if sources:
                fitted = [shard.key for shard in self.shards if shard.source in sources]
                seen = [self._lineage_of(sources, inputs, self.steps), fitted]
            corpus_key = fingerprint(values, seen)
            value_key = fingerprint(values, keys, corpus_key)
        return PlannedStep(
            index=len(self.steps),
            step=step,
            inputs=inputs,
            outputs=outputs,
            types=types,
            scope=scope,
            value_key=value_key,
            corpus_key=corpus_key,
        )

    def _lineage_of(self, sources: tuple[str, ...], inputs: dict[str, str], steps: list[PlannedStep]) -> list[Any]:
        """What columns of some sources depend on: the steps that edited or dropped their rows, no others."""
        keys, drops = dict(inputs), []
        for step in _touching(sources, steps):
            scope_key = self._scope_key(step.scope)
            for own, name in inputs.items():
                if name in step.types:
                    keys[own] = fingerprint(keys[own], _lineage(step), name, scope_key)
            drops += [_drops(step), scope_key] if step.drops else []
        return [sources, keys, drops, self.recipe.annotate]

    def _scope_key(self, scope: Scope) -> str:
        return fingerprint(scope.sources, scope.conditions, [self._condition_keys(c) for c in scope.conditions])

    def _condition_keys(self, condition: str) -> list[str]:
        return [self.keys[column] for column in sql.columns(condition)]

    def _remember(self, planned: PlannedStep) -> None:
        who, scope_key = f"step {planned.step.name}", self._scope_key(planned.scope)
        for name, kind in planned.types.items():
            self.keys[name] = fingerprint(_lineage(planned), name, scope_key, self.keys.get(name))
            self.types[name], self.writer[name] = kind, who
        if planned.drops:
            self.reasons |= {reason: who for reason in planned.outputs.values() if reason not in planned.types}
            drops = [_drops(planned), scope_key, planned.outputs]
            self.alive_key = fingerprint(self.alive_key, drops, self.recipe.annotate)
        self.steps.append(planned)
        self.names.setdefault(planned.step.name, planned.index)
        if isinstance(planned.operator, Deduplicator | Selector | Trainer | Expander):
            for round in range(getattr(planned.operator, "rounds", 1)):
                self._close(planned, round)
        if not isinstance(planned.operator, Deduplicator | Selector | Expander):
            self.pending.append(planned.index)

    def _close(self, end: PlannedStep | None, round: int = 0) -> None:
        # All sources, or those a trainer is fitted on: for the others the next pass does the steps so far.
        sources = end.fitted_on if end else ()
        done = _touching(sources, [self.steps[at] for at in self.pending])
        about = [(s.value_key, s.corpus_key, self._scope_key(s.scope)) for s in done]
        if end is None:
            # The receipts of this pass count documents by fate (reasons in order, names of steps) and by language.
            fates = [*self.reasons, *(s.step.name for s in self.steps)]
            counted = [self.keys.get("language"), fates, self._references()]
            key = fingerprint(about, self.alive_key, counted, [p.key for p in self.passes])
        elif sources:
            values = end.operator.value_identity()  # type: ignore[attr-defined]
            lineage = self._lineage_of(sources, end.inputs, self.steps[: end.index])
            key = fingerprint(values, lineage, *([round, end.corpus_key] if round else []))
        else:
            # Sketches and keys do not depend on the other shards: a new shard must not redo this pass for all.
            ranks = [self.keys[name] for own, name in end.inputs.items() if own not in end.operator.arguments()]
            made = [end.operator.identity(), end.value_key, ranks]
            key = fingerprint(about, made, self._before(end), [p.key for p in self.passes])
        at, steps = end.index if end else None, tuple(s.index for s in done)
        self.passes.append(Pass(index=len(self.passes), steps=steps, end=at, round=round, key=key))
        self.pending = self.pending if sources else []

    def _references(self) -> list[str]:
        return [name for name, source in self.recipe.sources.items() if source.reference]

    def _reads_all(self, this: Pass) -> bool:
        return this.end is None or not self.steps[this.end].fitted_on

    def _ahead(self, this: Pass) -> tuple[int, ...]:
        """Sketches for later barriers, in the first pass in which their columns are as they will be."""
        if this.end is None or not self._reads_all(this):
            return ()
        before = [earlier for earlier in self.passes[: this.index] if self._reads_all(earlier)]
        start = before[-1].end or 0 if before else 0
        made_later = {name for s in self.steps[this.end :] for name in s.types}
        found = []
        for step in self.steps[this.end + 1 :]:
            reads = {step.inputs[own] for own in step.operator.arguments()}
            needs = {*reads, *(c for condition in step.scope.conditions for c in sql.columns(condition))}
            early = needs & {name for s in self.steps[start : this.end] for name in s.types} or not before
            if isinstance(step.operator, Deduplicator | Selector) and early and not needs & made_later:
                found.append(step.index)
        return tuple(found)

    def _before(self, end: PlannedStep) -> list[Any]:
        """What decides which rows reach a corpus-wide step: every step before it that drops, and its own scope."""
        drops = [(_drops(s), self._scope_key(s.scope)) for s in self.steps[: end.index] if s.drops]
        return [drops, self._scope_key(end.scope), self.recipe.annotate]


def _lineage(planned: PlannedStep) -> str:
    """What a step's columns and decisions depend on: the whole corpus, or one document at a time."""
    is_by_row = isinstance(planned.operator, Expander | Trainer)
    return planned.value_key if is_by_row else planned.corpus_key or planned.value_key


def _touching(sources: tuple[str, ...], steps: list[PlannedStep]) -> list[PlannedStep]:
    """Of some steps those that work on rows of the sources; with no sources all."""
    return [step for step in steps if not sources or set(sources) & set(step.scope.sources)]


def _drops(planned: PlannedStep) -> list[Any]:
    """What it depends on whom a step drops: what it has seen, and how it decides."""
    return [_lineage(planned), planned.operator.identity() if isinstance(planned.operator, Trainer) else None]


def union_schema(schemas: dict[str, pa.Schema]) -> pa.Schema:
    """One schema for all sources: the union of their columns; a column of two types is refused."""
    fields: dict[str, tuple[pa.Field, str]] = {}
    for source, schema in schemas.items():
        for field in schema:
            if field.name in INTERNAL:
                raise PlanError(
                    f"source {source} has a column {field.name!r}, a name that curate gives to one of its own:"
                    f" give it another one, as in `columns: {{my_{field.name}: {field.name}}}`"
                )
            known = fields.setdefault(field.name, (field, source))
            if known[0].type != field.type:
                raise PlanError(
                    f"column {field.name!r} is {known[0].type} in source {known[1]} but {field.type} in {source}:"
                    " map one of them to another name under `columns:`"
                )
    return pa.schema([field for field, _ in fields.values()])


def look_at_sources(recipe: Recipe, corrupt: Literal["error", "quarantine"] = "error") -> Looked:
    """Shards of all sources, and the schema of each; file listings and the first records are read, nothing else."""
    from curate.io.source import discover, schema

    if not recipe.sources:
        file = f"{recipe.file}: " if recipe.file else ""
        raise PlanError(f"{file}the recipe has no sources: say where the documents are under `sources:`")
    shards: list[Shard] = []
    schemas: dict[str, pa.Schema] = {}
    walked: dict[str, list[str]] = {}
    for name, source in recipe.sources.items():
        try:
            found = discover(name, source, walked)
            schemas[name] = schema(source, found, corrupt)
        except DataError as error:
            place = f"{recipe.places[name]}: " if name in recipe.places else ""
            raise DataError(f"{place}source {name}: {error}") from error
        shards += found
    return shards, schemas
