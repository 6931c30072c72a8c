"""A shard that takes part in a deduplication, of this run or of an earlier one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from curate.operator import Deduplicator, Evidence
from curate.plan import PlannedStep, fingerprint
from curate.store import Store


class Part(msgspec.Struct, frozen=True):
    """A shard that takes part: where its files are and how many rows it has."""

    store: Store
    pass_key: str
    value_key: str
    corpus_key: str
    shard: str
    rows: int

    @property
    def members(self) -> Path:
        return self.store.members(self.pass_key, self.shard)

    @property
    def documents(self) -> Path:
        return self.store.documents(self.pass_key, self.shard)

    @property
    def sketches(self) -> Path:
        return self.store.values(self.value_key, self.shard)

    @property
    def evidence(self) -> Path:
        return self.store.values(evidence_key(self.value_key), self.shard)

    @property
    def index(self) -> Path:
        return self.store.index(self.shard)


def evidence_step(end: PlannedStep) -> PlannedStep:
    """A deduplicator's evidence as a step whose columns are stored like those of any other."""
    assert isinstance(end.operator, Deduplicator)
    step = msgspec.structs.replace(end.step, operator=Evidence(of=end.operator))
    return msgspec.structs.replace(end, step=step, value_key=evidence_key(end.value_key))


def evidence_key(value_key: str) -> str:
    return fingerprint("evidence", value_key)
