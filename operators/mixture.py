"""Mixtures of domains: target weights by tokens with a cap on repeats, and groups made equal."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import OperatorError, PlanError
from curate.operator import Selection, Selector
from curate.ranking import Ranking, Rows


class SampleMixture(Selector, frozen=True):
    """Mix domains by target weights of tokens; a column says how often each document is to be seen.

    A domain whose weight asks for more than `epochs` passes over it is held there, and the others share what it leaves
    in proportion to their weights (as in UniMax, Chung et al. 2023). Which documents are seen once more than others is
    chosen by a hash of the id. A document that is to be seen 0 times is dropped.

    per           column of strings with the domain
    size          numeric column with the tokens of a document
    weights       domain -> weight, in proportion; a domain that is not named is left out (default: natural, by tokens)
    temperature   weights are taken to the power of 1/temperature: 1 leaves them, more makes them more equal
    tokens        tokens to be seen in all (default: the most that keeps the weights, with no domain over its epochs)
    epochs        no document is to be seen more often than this
    seed          of the hash that chooses

    repeats   how often the document is to be seen (0..epochs)

    Raises OperatorError when a domain of `weights` has no documents.

    >>> table = pa.table({"id": ["a", "b", "c"], "tokens": [10, 10, 10], "source": ["web", "web", "books"]})
    >>> SampleMixture(weights={"web": 1, "books": 1}, epochs=2)(table)["repeats"].to_pylist()
    [1, 1, 2]
    """

    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {"per": "language", "size": "words", "temperature": 2.0, "epochs": 3}

    per: str = "source"
    size: str = "tokens"
    weights: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    epochs: Annotated[int, msgspec.Meta(ge=1)] = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.weights and not any(self.weights.values()):
            raise ValueError("all weights are 0: nothing would be seen")

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.per: pa.string(), self.size: None}

    def writes(self) -> dict[str, pa.DataType]:
        return {"repeats": pa.int32()}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        sized(self, types, self.size)

    def sketches(self) -> dict[str, pa.DataType]:
        return {"tie": pa.uint64(), "size": pa.float64(), "group": pa.string()}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.quotas import ties

        size = given[self.size].cast(pa.float64())
        return {"tie": ties(given["id"], self.seed), "size": size, "group": given[self.per]}

    def select(self, rows: Rows, ranking: Ranking) -> Selection:
        names, there = ranking.names, ranking.size
        weights = self._weights(names, there)
        target, held = self._targets(weights, there)
        passes = np.divide(target, there, out=np.zeros(len(names)), where=there > 0)
        whole = np.minimum(np.floor(passes + 1e-12), self.epochs)
        more = (passes - whole) * there  # tokens of documents that are seen once more: those whose middle is before it
        cut = ranking.cut(more)
        is_in = cut.found & (cut.before.size + cut.own.size / 2 < more)
        may = (whole < self.epochs)[rows.group] & (rows.size > 0)
        once_more = (rows.before(cut) | (rows.at(cut) & is_in[rows.group])) & may
        repeats = (whole[rows.group] + once_more).astype(np.int32) * (rows.size > 0)
        seen = whole * there + (cut.before.size + cut.own.size * is_in) * (whole < self.epochs)
        facts: dict[str, Any] = {"tokens": round(float(seen.sum()))}
        facts |= {"budget": self.tokens} if self.tokens is not None else {}
        told = [str(name) for name, is_held in zip(names, held, strict=True) if is_held]
        facts["held_at_their_epochs"] = ", ".join(told) or "none"
        facts["groups"] = [
            {
                self.per: name,
                "available": round(float(there[group])),
                "weight": round(float(weights[group]), 6),
                "tokens": round(float(seen[group])),
                "share": round(float(seen[group] / max(seen.sum(), 1)), 6),
                "epochs": round(float(passes[group]), 4),
                "binds": "epochs" if held[group] else "",
            }
            for group, name in enumerate(names)
        ]
        return Selection(repeats > 0, {"repeats": pa.array(repeats, pa.int32())}, facts)

    def _weights(self, names: list[str | None], there: np.ndarray) -> np.ndarray:
        """The share of tokens that each domain is to have."""
        absent = [name for name, weight in self.weights.items() if weight and not there[_place(name, names)].sum()]
        if absent:
            have = ", ".join(str(name) for name in names)
            raise OperatorError(f"weights name {self.per} {absent[0]!r}, which has no tokens; there are: {have}")
        base = np.array([self.weights.get(name or "", 0.0) for name in names], float) if self.weights else there
        powers = np.where(base > 0, (base / (base.max(initial=0) or 1)) ** (1 / self.temperature), 0.0)
        return powers / (powers.sum() or 1)

    def _targets(self, weights: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens to see of each domain, and which domains their epochs hold back."""
        caps = there * self.epochs
        held = np.zeros(len(weights), bool)
        if self.tokens is None:
            most = np.divide(caps, weights, out=np.full(len(weights), np.inf), where=weights > 0)
            return weights * (most.min(initial=np.inf) if len(most) and np.isfinite(most).any() else 0.0), held
        while True:
            left = self.tokens - caps[held].sum()
            free = np.where(held, 0.0, weights)
            target = np.where(held, caps, free / (free.sum() or 1) * left)
            over = ~held & (target > caps * (1 + 1e-12))
            if not over.any():
                return target, held
            held |= over


class Balance(Selector, frozen=True):
    """Make groups equal: of each, documents chosen by a hash of the id up to the same number of tokens, or documents.

    per    column of strings with the group; documents without a value are a group of their own
    size   numeric column with the size of a document (default: documents are counted)
    most   the most that a group may have (default: what the smallest has)
    seed   of the hash that chooses

    >>> Balance(per="kind")(pa.table({"id": ["a", "b", "c"], "kind": ["x", "y", "y"]}))["dropped_by"].to_pylist()
    [None, None, 'balance']
    """

    version = 2
    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {"per": "language", "size": "words"}

    per: str
    size: str | None = None
    most: Annotated[int, msgspec.Meta(ge=0)] | None = None
    seed: int = 0

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.per: pa.string(), **({self.size: None} if self.size else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        sized(self, types, *([self.size] if self.size else []))

    def sketches(self) -> dict[str, pa.DataType]:
        return {"tie": pa.uint64(), "group": pa.string(), **({"size": pa.float64()} if self.size else {})}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.quotas import ties

        found = {"tie": ties(given["id"], self.seed), "group": given[self.per]}
        if not self.size:
            return found
        size = given[self.size].cast(pa.float64())
        return found | {
            "size": pc.if_else(pc.is_finite(size), size, 0.0).fill_null(0.0)
        }  # an unknown size counts as none

    def select(self, rows: Rows, ranking: Ranking) -> Selection:
        there = ranking.size if self.size else ranking.documents
        most = self.most if self.most is not None else float(there.min()) if len(there) else 0.0
        cut = ranking.cut(most, "size" if self.size else "documents")
        unit, got = ("tokens", cut.before.size) if self.size else ("documents", cut.before.documents)
        told = [
            {self.per: name, "available": round(float(a)), unit: round(float(g)), "documents": int(d)}
            for name, a, g, d in zip(ranking.names, there, got, cut.before.documents, strict=True)
        ]
        return Selection(rows.before(cut), {}, {"most": round(most), "groups": told})


def sized(operator: Selector, types: Mapping[str, pa.DataType], *names: str) -> None:
    """PlanError unless these columns hold numbers."""
    for name in names:
        if not (pa.types.is_integer(types[name]) or pa.types.is_floating(types[name])):
            raise PlanError(f"{operator.name()} needs sizes as numbers, but {name} is {types[name]}")


def _place(name: str, names: list[str | None]) -> list[int]:
    """Where a domain is among the names, if it is."""
    return [names.index(name)] if name in names else []
