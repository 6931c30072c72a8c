"""Choosing a subset of the corpus by a score: the best of all, the best of each group, the best under quotas."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa

from curate.errors import OperatorError, PlanError
from curate.operator import Selection, Selector

REST = "*"


class SelectTop(Selector, frozen=True):
    """Keep the documents with the highest score: a number of them, or a share. Ties are broken by a hash of the id.

    Documents without a score (null) are not chosen.

    by       numeric column to rank by
    count    how many documents to keep
    share    or which share of them, 0..1
    per      of each value of this column of strings, instead of all documents
    lowest   keep the lowest scores instead
    seed     of the hash that breaks ties

    >>> SelectTop(by="score", count=1)(pa.table({"id": ["a", "b"], "score": [0.1, 0.9]}))["dropped_by"].to_pylist()
    ['select_top', None]
    """

    sees_nulls = True

    by: str
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    per: str | None = None
    lowest: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.count is None) == (self.share is None):
            raise ValueError("select_top takes either count or share")

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.by: None, **({self.per: pa.string()} if self.per else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        numeric(self, types, self.by)

    def sketches(self) -> dict[str, pa.DataType]:
        return {"score": pa.float64(), "tie": pa.uint64(), **({"group": pa.string()} if self.per else {})}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.quotas import ties

        group = {"group": given[self.per]} if self.per else {}
        return {"score": given[self.by].cast(pa.float64()), "tie": ties(given["id"], self.seed), **group}

    def select(self, sketch: pa.Table) -> np.ndarray:
        from curate.kernels.quotas import groups, ranked, running, sums

        score, ones = sketch["score"].to_numpy(), np.ones(len(sketch))
        names, at = groups(sketch["group"] if self.per else pa.nulls(len(sketch), pa.string()))
        rank = running(ones, at, ranked(sketch["tie"].to_numpy(), score, self.lowest))
        wanted = np.round((self.share or 0) * sums(ones, at, len(names)))
        if self.count is not None:
            wanted = np.full(len(names), self.count)
        return (rank <= wanted[at]) & ~np.isnan(score)


class SelectPerplexityBand(Selector, frozen=True):
    """Keep documents in a band of perplexity: neither the most regular ones nor the most odd.

    The middle of the distribution trains best in Marion et al. 2023 ("When Less is More"); CCNet's head and middle
    (Wenzek et al. 2020) are the band 0 to 0.67 of each language. Bounds are shares of the documents of a group, exact
    and inclusive; a document's place is the share of lower values and half of the same. Documents without a value, or
    without a group, are not kept.

    low    lower end of the band, 0..1
    high   upper end, 0..1
    by     numeric column with the perplexity
    per    column of strings: a band for each of its values, such as the language; null for one band of all

    >>> table = pa.table({"id": ["a", "b", "c"], "perplexity": [20.0, 300.0, 9000.0], "language": ["en"] * 3})
    >>> SelectPerplexityBand()(table)["dropped_by"].to_pylist()
    ['select_perplexity_band', None, 'select_perplexity_band']
    """

    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {"by": "score"}

    low: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.25
    high: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.75
    by: str = "perplexity"
    per: str | None = "language"

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.by: None, **({self.per: pa.string()} if self.per else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        numeric(self, types, self.by)

    def sketches(self) -> dict[str, pa.DataType]:
        return {"value": pa.float64(), **({"group": pa.string()} if self.per else {})}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        return {"value": given[self.by].cast(pa.float64()), **({"group": given[self.per]} if self.per else {})}

    def select(self, sketch: pa.Table) -> Selection:
        from curate.kernels.quotas import groups

        value = sketch["value"].to_numpy()
        names, at = groups(sketch["group"] if self.per else pa.array([""] * len(sketch), pa.string()))
        keep, facts = np.zeros(len(value), bool), []
        for number, name in enumerate(names):
            rows = np.flatnonzero((at == number) & ~np.isnan(value))
            if name is None or not len(rows):
                continue
            inside = np.sort(value[rows])
            ends = [np.searchsorted(inside, value[rows], side=side) for side in ("left", "right")]
            place = (ends[0] + ends[1]) / 2 / len(rows)
            kept = rows[(place >= self.low) & (place <= self.high)]
            keep[kept] = True
            band = [float(value[kept].min()), float(value[kept].max())] if len(kept) else [None, None]
            facts.append({**({self.per: name} if self.per else {}), "available": len(rows), "documents": len(kept)})
            facts[-1] |= {"lowest": band[0], "highest": band[1]}
        return Selection(keep, {}, {"groups": facts})


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least and the largest share of the budget that a group may have, 0..1."""

    min: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    max: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")


class SelectBudget(Selector, frozen=True):
    """Keep the best documents that fit a budget of tokens (words, bytes), under shares for each source, language, ...

    First the best of each group up to its least share; then the best of all that no largest share forbids, until the
    next one does not fit. A quota is met to within one document. Documents without a score or a size are not chosen.

    tokens   the budget, in the unit of `size`
    size     numeric column with the size of a document
    by       numeric column to rank by (default: a hash of the id, so a random choice)
    lowest   the lowest scores are the best
    per      column of strings that the quotas are about
    quotas   value of `per` -> {min, max}: shares of the budget, 0..1; `*` stands for each value that is not named
    seed     of the hash that breaks ties

    Raises OperatorError, which says which quota and by how much, when a least share cannot be met.

    >>> table = pa.table({"id": ["a", "b", "c"], "tokens": [5, 5, 5], "score": [3, 2, 1], "kind": ["x", "x", "y"]})
    >>> choose = SelectBudget(tokens=10, by="score", per="kind", quotas={"y": Quota(min=0.5)})
    >>> choose(table)["dropped_by"].to_pylist()
    [None, 'select_budget', None]
    """

    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {
        "tokens": 300,
        "size": "words",
        "by": "score",
        "per": "language",
        "quotas": {"en": Quota(max=0.5), REST: Quota(max=0.25)},
    }

    tokens: Annotated[int, msgspec.Meta(ge=0)]
    size: str = "tokens"
    by: str | None = None
    lowest: bool = False
    per: str | None = None
    quotas: dict[str, Quota] = {}
    seed: int = 0

    def __post_init__(self) -> None:
        if bool(self.quotas) != (self.per is not None):
            raise ValueError("select_budget takes quotas together with per: the column that they are about")
        least = sum(quota.min for name, quota in self.quotas.items() if name != REST)
        if least > 1 + 1e-9:
            raise ValueError(f"the least shares of the quotas sum to {least:g}, which is more than the whole budget")

    def reads(self) -> dict[str, pa.DataType | None]:
        named = [self.size, *([self.by] if self.by else [])]
        return {"id": pa.string(), **dict.fromkeys(named), **({self.per: pa.string()} if self.per else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        numeric(self, types, self.size, *([self.by] if self.by else []))

    def sketches(self) -> dict[str, pa.DataType]:
        kinds = {"tie": pa.uint64(), "size": pa.float64()}
        return {**kinds, **({"score": pa.float64()} if self.by else {}), **({"group": pa.string()} if self.per else {})}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.quotas import ties

        found = {"tie": ties(given["id"], self.seed), "size": given[self.size].cast(pa.float64())}
        found |= {"score": given[self.by].cast(pa.float64())} if self.by else {}
        return found | ({"group": given[self.per]} if self.per else {})

    def select(self, sketch: pa.Table) -> Selection:
        from curate.kernels.quotas import groups, ranked, running, sums

        score = sketch["score"].to_numpy() if self.by else None
        known = ~np.isnan(sketch["size"].to_numpy()) & (True if score is None else ~np.isnan(score))
        size = np.where(known, np.maximum(np.nan_to_num(sketch["size"].to_numpy()), 0), 0.0)
        names, at = groups(sketch["group"] if self.per else pa.nulls(len(sketch), pa.string()))
        order = ranked(sketch["tie"].to_numpy(), score, self.lowest)
        upto = running(size, at, order)
        there = sums(size, at, len(names))
        quotas = [self.quotas.get(name or "", self.quotas.get(REST, Quota())) for name in names]
        least, most = (np.array([self._whole(getattr(q, side)) for q in quotas]) for side in ("min", "max"))
        self._refuse_impossible(names, there, least)
        allowed = known & (upto <= most[at])
        reserved = allowed & (upto <= least[at])
        begun = allowed & ~reserved & (upto - size < least[at])  # its share would be met by this one
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        queue = np.lexsort((rank, np.where(reserved, 0, np.where(begun, 1, 2))))
        queue = queue[allowed[queue]]
        fits = np.cumsum(size[queue]) <= self.tokens
        keep = np.zeros(len(size), bool)
        keep[queue[fits]] = True
        end = len(order) if fits.all() else rank[queue[~fits][0]]  # the best document that did not fit
        floor = keep & (reserved | begun) & (rank > end)
        bound = {
            "min": sums(floor, at, len(names)),
            "max": sums(known & (upto > most[at]) & (rank < end), at, len(names)),
        }
        return Selection(keep, {}, self._facts(names, at, size, keep, there, least, most, bound))

    def _whole(self, share: float) -> float:
        """The tokens of a share of the budget."""
        return float(np.floor(share * self.tokens + 1e-6))

    def _refuse_impossible(self, names: list[str | None], there: np.ndarray, least: np.ndarray) -> None:
        for name, quota in self.quotas.items():
            have = there[names.index(name)] if name in names else 0.0
            if name != REST and self._whole(quota.min) > have:
                raise OperatorError(
                    f"{self.per} {name!r} must have at least {self._whole(quota.min):,.0f} of {self.tokens:,} tokens"
                    f" ({quota.min:.1%}), but there are only {have:,.0f}: lower its min, or the budget"
                )
        short = [name for name, have, need in zip(names, there, least, strict=True) if need > have]
        if short or least.sum() > self.tokens:
            why = f"{short[0]!r} has fewer tokens" if short else f"they sum to {least.sum() / self.tokens:.1%}"
            raise OperatorError(f"the least shares of {self.per} cannot all be met: {why}; lower min for {REST!r}")

    def _facts(
        self,
        names: list[str | None],
        at: np.ndarray,
        size: np.ndarray,
        keep: np.ndarray,
        there: np.ndarray,
        least: np.ndarray,
        most: np.ndarray,
        bound: dict[str, np.ndarray],
    ) -> dict[str, Any]:
        from curate.kernels.quotas import sums

        got, documents = sums(size * keep, at, len(names)), sums(keep, at, len(names))
        binding = [[side for side in bound if bound[side][group]] for group in range(len(names))]
        facts: dict[str, Any] = {"budget": self.tokens, "tokens": whole(got.sum())}
        if self.per is None:
            return facts
        told = [f"{' and '.join(sides)} of {names[group]}" for group, sides in enumerate(binding) if sides]
        facts["binding_quotas"] = ", ".join(told) or "none"
        facts["groups"] = [
            {
                self.per: name,
                "available": whole(there[group]),
                "min": whole(least[group]),
                "max": whole(most[group]),
                "tokens": whole(got[group]),
                "share": round(float(got[group] / max(got.sum(), 1)), 6),
                "documents": int(documents[group]),
                "binds": " and ".join(binding[group]),
            }
            for group, name in enumerate(names)
        ]
        return facts


def numeric(operator: Selector, types: Mapping[str, pa.DataType], *names: str) -> None:
    """PlanError unless these columns hold numbers."""
    for name in names:
        if not (pa.types.is_integer(types[name]) or pa.types.is_floating(types[name])):
            raise PlanError(f"{operator.name()} ranks by numbers, but {name} is {types[name]}")


def whole(number: float) -> int:
    return round(float(number))
