"""What a run will do: steps with their columns resolved, and the passes over shards that they are cut into.

A pass is all that is document-local between two corpus-wide barriers: each shard is read once per pass.
Fingerprints follow lineage. A column's values depend on the operators that made it, not on who was dropped
before (`value_key`); decisions that see the whole corpus depend on everything before them (`corpus_key`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pyarrow as pa

from curate.evaluate import declared
from curate.io.source import Shard
from curate.operator import Operator, Trainer
from curate.recipe import Recipe, Step

PIECES = "pieces"  # format of the shards that expanders make


class Scope(msgspec.Struct, frozen=True):
    """Rows a step works on: those of some sources for which all conditions hold."""

    sources: tuple[str, ...]
    conditions: tuple[str, ...] = ()


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step with its columns resolved.

    inputs / outputs   the operator's own column (or reason) -> the corpus's
    types              corpus column -> type, of what the step writes
    value_key          fingerprint of its row-aligned values (for corpus-wide operators: of the sketch)
    corpus_key         fingerprint of a corpus-wide decision or model, "" for document operators
    """

    index: int
    step: Step
    inputs: dict[str, str]
    outputs: dict[str, str]
    types: dict[str, pa.DataType]
    scope: Scope
    value_key: str
    corpus_key: str = ""

    @property
    def operator(self) -> Operator:
        return self.step.operator

    @property
    def drops(self) -> bool:
        return bool(self.operator.reasons())

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """Sources that a trainer is fitted on, when they are not those of its scope."""
        return self.operator.fitted_on() if isinstance(self.operator, Trainer) else ()


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One read of every shard: `steps` are computed, then the sketch of the corpus-wide step `end`.

    round   which of its rounds, when it is fitted more than once
    ahead   sketches of later corpus-wide steps that can be made already, so that text is not read again for them
    """

    index: int
    steps: tuple[int, ...]
    end: int | None
    round: int = 0
    ahead: tuple[int, ...] = ()
    key: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will do.

    shards   those of the sources, then those that expanders make
    born     for each shard the pass that makes it; -1 for those of the sources
    """

    recipe: Recipe
    shards: tuple[Shard, ...]
    born: tuple[int, ...]
    source_schemas: dict[str, pa.Schema]
    steps: tuple[PlannedStep, ...]
    passes: tuple[Pass, ...]
    schema: pa.Schema
    key: str

    @property
    def reasons(self) -> dict[str, int]:
        """Every reason a document can be dropped for -> the step that gives it."""
        return {
            reason: s.index for s in self.steps for reason in s.outputs.values() if s.drops and reason not in s.types
        }

    def taking_part(self, this: Pass) -> list[int]:
        """Numbers of the shards that a pass reads: all that are there, or those that a trainer is fitted on."""
        only = self.steps[this.end].fitted_on if this.end is not None else ()
        numbers = [number for number, born in enumerate(self.born) if born < this.index]
        return [number for number in numbers if not only or self.shards[number].source in only]

    def first_step(self, number: int) -> int:
        """The first step that the rows of a shard go through."""
        born = self.born[number]
        return 0 if born < 0 else (self.passes[born].end or 0) + 1

    def exported(self, shard: Shard) -> bool:
        return not self.recipe.sources[shard.source].reference


def fingerprint(*parts: Any) -> str:
    """A short, stable digest of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:20]


def pieces_of(parent: Shard, step: PlannedStep, this: Pass) -> Shard:
    """The shard that an expander makes of another one."""
    key = fingerprint(parent.key, this.key)
    name = f"{parent.name}/{step.step.name}"
    return msgspec.structs.replace(parent, name=name, paths=(), format=PIECES, bytes=0, key=key)


def stored(planned: PlannedStep) -> dict[str, pa.DataType]:
    """Row-aligned values a step keeps on disk, by their own names."""
    if isinstance(planned.operator, Trainer):
        return planned.operator.writes()
    return declared(planned.operator)
