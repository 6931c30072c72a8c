"""Choosing a subset of the corpus by a score: the best of all, the best of each group, the best under quotas."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import OperatorError, PlanError
from curate.operator import Selection, Selector
from curate.ranking import Cut, Ranking, Rows

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

    version = 2
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
        return {"score": scores(given[self.by], self.lowest), "tie": ties(given["id"], self.seed), **group}

    def select(self, rows: Rows, ranking: Ranking) -> np.ndarray:
        wanted = np.round((self.share or 0) * ranking.rows) if self.count is None else self.count
        return rows.before(ranking.cut(wanted, "documents"))


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

    version = 2
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
        return {"score": pa.float64(), **({"group": pa.string()} if self.per else {})}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        group = {"group": given[self.per]} if self.per else {}
        return {"score": scores(given[self.by], lowest=True), **group}

    def select(self, rows: Rows, ranking: Ranking) -> Selection:
        first, last = self._first(ranking), self._last(ranking)
        is_group = np.array([name is not None or self.per is None for name in ranking.names], bool)
        count = last.before.documents + last.own.documents - first.before.documents
        count = np.where(is_group & (_middle(last, ranking) <= self.high), count, 0)
        keep = (rows.before(last) | rows.at(last)) & ~rows.before(first) & (count > 0)[rows.group]
        facts = []
        for at in np.flatnonzero(is_group & (ranking.documents > 0)):
            band = [0.0 - float(cut.place.number[at]) if count[at] > 0 else None for cut in (first, last)]
            told: dict[str, Any] = {"available": int(ranking.documents[at]), "documents": int(max(count[at], 0))}
            facts.append({**({self.per: ranking.names[at]} if self.per else {}), **told})
            facts[-1] |= {"lowest": band[0], "highest": band[1]}
        return Selection(keep, {}, {"groups": facts})

    def _first(self, ranking: Ranking) -> Cut:
        """The first value of each group that is in the band; one past the last if none is."""
        cut = ranking.cut(np.maximum(np.floor(self.low * ranking.documents) - 1, 0), "documents")
        while (is_below := cut.found & (_middle(cut, ranking) < self.low)).any():
            upto = cut.before.documents + np.where(is_below, cut.own.documents, 0)
            cut = ranking.cut(upto, "documents")
        return cut

    def _last(self, ranking: Ranking) -> Cut:
        """The last one."""
        end = ranking.documents - 1
        cut = ranking.cut(np.minimum(np.floor(self.high * ranking.documents) + 1, end), "documents")
        while (is_above := (_middle(cut, ranking) > self.high) & (cut.before.documents > 0)).any():
            cut = ranking.cut(cut.before.documents - np.where(is_above, 1, 0), "documents")
        return cut


def _middle(cut: Cut, ranking: Ranking) -> np.ndarray:
    """The share of documents below a value, and half of those at it."""
    ends = 2 * cut.before.documents + cut.own.documents
    found: np.ndarray = ends / 2 / np.maximum(ranking.documents, 1)
    return found


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

    version = 2
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
        found |= {"score": scores(given[self.by], self.lowest)} if self.by else {}
        return found | ({"group": given[self.per]} if self.per else {})

    def select(self, rows: Rows, ranking: Ranking) -> Selection:
        """Before `least` is what the least shares reserve, at it what each group would meet its share with; behind it,
        up to `most`, the rest: the best of all groups until `end`, the first document that does not fit."""
        quotas = [self.quotas.get(name or "", self.quotas.get(REST, Quota())) for name in ranking.names]
        shares = [np.array([self._whole(getattr(q, side)) for q in quotas]) for side in ("min", "max")]
        self._refuse_impossible(ranking.names, ranking.size, shares[0])
        least, most = (ranking.cut(share) for share in shares)
        begun = least.found & (least.before.size < shares[0]) & (least.before.size + least.own.size <= shares[1])
        since = least.place.next().where(begun, least.place)
        queue = np.flatnonzero(begun)[least.place.take(begun).order()]
        fits = np.cumsum(least.own.size[queue]) <= self.tokens - least.before.size.sum()
        taken = np.isin(np.arange(len(begun)), queue[fits])
        if fits.all():
            left = self.tokens - least.before.size.sum() - least.own.size[taken].sum()
            end = ranking.cut(left, since=since, until=most.place, whole=True).place
            until = end.first(most.place)
        else:
            end, until = least.place.take(np.full(len(begun), queue[~fits][0])), since
        is_rest = ~rows.place.before(since.take(rows.group)) & rows.place.before(until.take(rows.group))
        keep = rows.before(least) | (rows.at(least) & taken[rows.group]) | (rows.ranked & is_rest)
        ahead, upto = ranking.sums(end), ranking.sums(until)
        documents, size = (
            first + own * taken + np.maximum(last - first - own * begun, 0)
            for first, own, last in zip(least.before, least.own, upto, strict=True)
        )
        floor = (least.before.documents > ahead.documents) | (taken & end.before(least.place))
        bound = {"min": floor, "max": most.found & most.place.before(end)}
        return Selection(keep, {}, self._facts(ranking, documents, size, shares[0], shares[1], bound))

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
        ranking: Ranking,
        documents: np.ndarray,
        got: np.ndarray,
        least: np.ndarray,
        most: np.ndarray,
        bound: dict[str, np.ndarray],
    ) -> dict[str, Any]:
        binding = [[side for side in bound if bound[side][group]] for group in range(len(got))]
        facts: dict[str, Any] = {"budget": self.tokens, "tokens": whole(got.sum())}
        if self.per is None:
            return facts
        told = [f"{' and '.join(sides)} of {ranking.names[group]}" for group, sides in enumerate(binding) if sides]
        facts["binding_quotas"] = ", ".join(told) or "none"
        facts["groups"] = [
            {
                self.per: name,
                "available": whole(ranking.size[group]),
                "min": whole(least[group]),
                "max": whole(most[group]),
                "tokens": whole(got[group]),
                "share": round(float(got[group] / max(got.sum(), 1)), 6),
                "documents": int(documents[group]),
                "binds": " and ".join(binding[group]),
            }
            for group, name in enumerate(ranking.names)
        ]
        return facts


def scores(column: pa.Array, lowest: bool) -> pa.Array:
    """A column as scores, of which the highest are first."""
    values = column.cast(pa.float64())
    return pc.negate(values) if lowest else values


def numeric(operator: Selector, types: Mapping[str, pa.DataType], *names: str) -> None:
    """PlanError unless these columns hold numbers."""
    for name in names:
        if not (pa.types.is_integer(types[name]) or pa.types.is_floating(types[name])):
            raise PlanError(f"{operator.name()} ranks by numbers, but {name} is {types[name]}")


def whole(number: float) -> int:
    return round(float(number))
