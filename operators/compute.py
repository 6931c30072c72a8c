"""How much to keep for a training run of a given length: filtering that knows the budget (Goyal et al. 2024)."""

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa

from curate.errors import PlanError
from curate.operator import Selection, Selector
from curate.ranking import Ranking, Rows

MOST_EPOCHS = 100_000
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Bucket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents of a like quality, and what they are worth.

    min        the least score of the bucket; without it, all that is left
    utility    exponent of the loss, above 0: how fast fresh tokens of the bucket bring it down
    half_life  repetitions after which a token is worth half of that, when a run sees only this bucket
    """

    min: float | None = None
    utility: Positive
    half_life: Positive


class SelectForCompute(Selector, frozen=True):
    """Keep as many buckets of quality, from the best down, as make a training run of so many tokens most useful.

    "Scaling Laws for Data Filtering" (Goyal et al. 2024, arXiv 2404.07177): a token of a bucket that is seen for the
    k-th time is worth b (1/2)^((k - 1) / h), with the utility b and the half-life h of its bucket. In a pool of several
    buckets repetitions lie further apart and tire less: p buckets of one size have p times their half-lives, here
    h_i / w_i with the share w_i that bucket i has of the pool's N tokens. Over a run of T tokens the pool lowers the
    logarithm of the loss by

        U = sum over epochs k of  B_k ln(n_k / n_(k-1)),   B_k = sum over i of  w_i b_i (1/2)^((k - 1) w_i / h_i)

    where n_k = min(k N, T), and n_0 = 1. Every pool `the best 1, 2, ... buckets` is tried; the one with the largest U
    is kept, the smaller one of equals. So a short run keeps only the best, and a long one, which would see the best too
    often, more. Utilities and half-lives are measured by training on each bucket for a few epochs. Documents without a
    score or a size are not kept; epochs after the 100,000th count for nothing.

    seen      tokens that the training run will see, repeated ones counted each time
    by        numeric column with the quality; higher is better
    buckets   {min, utility, half_life}, from the best down, with falling `min`
    size      numeric column with the tokens of a document

    >>> table = pa.table({"id": ["a", "b", "c"], "tokens": [100, 100, 100], "score": [0.9, 0.5, 0.1]})
    >>> best, rest = Bucket(min=0.8, utility=0.20, half_life=2), Bucket(utility=0.19, half_life=2)
    >>> short, long = (SelectForCompute(seen=seen, by="score", buckets=(best, rest)) for seen in (100, 2000))
    >>> short(table)["dropped_by"].to_pylist()
    [None, 'select_for_compute', 'select_for_compute']
    >>> long(table)["dropped_by"].to_pylist()
    [None, None, None]
    """

    version = 2
    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {
        "seen": 1000,
        "by": "score",
        "size": "words",
        "buckets": ({"min": 0.5, "utility": 0.2, "half_life": 2.0}, {"utility": 0.1, "half_life": 2.0}),
    }

    seen: Annotated[int, msgspec.Meta(ge=1)]
    by: str
    buckets: tuple[Bucket, ...]
    size: str = "tokens"

    def __post_init__(self) -> None:
        given = [msgspec.convert(one, Bucket) if isinstance(one, dict) else one for one in self.buckets]
        msgspec.structs.force_setattr(self, "buckets", tuple(given))
        bounds = [math.inf, *(-math.inf if bucket.min is None else bucket.min for bucket in given)]
        if len(bounds) < 2 or any(low >= high for high, low in itertools.pairwise(bounds)):
            raise ValueError("buckets go from the best down: the `min` of each is below that of the one before")

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.by: None, self.size: None}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        for name in (self.by, self.size):
            if not (pa.types.is_integer(types[name]) or pa.types.is_floating(types[name])):
                raise PlanError(f"select_for_compute needs numbers, but {name} is {types[name]}")

    def sketches(self) -> dict[str, pa.DataType]:
        return {"group": pa.string(), "size": pa.float64()}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        """The bucket of each document, from 0; null for none."""
        score = np.asarray(given[self.by].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        size = given[self.size].cast(pa.float64())
        rising = [-math.inf if bucket.min is None else bucket.min for bucket in reversed(self.buckets)]
        at = len(self.buckets) - np.searchsorted(rising, score, side="right")
        outside = (at >= len(self.buckets)) | np.isnan(score) | size.is_null().to_numpy(zero_copy_only=False)
        return {"group": pa.array(at, mask=outside).cast(pa.string()), "size": size}

    def select(self, rows: Rows, ranking: Ranking) -> Selection:
        bucket = np.array([len(self.buckets) if name is None else int(name) for name in ranking.names], np.int64)
        tokens = np.bincount(bucket, ranking.size, len(self.buckets) + 1)[:-1]
        worth = [utility(self.buckets[: upto + 1], tokens[: upto + 1], self.seen) for upto in range(len(self.buckets))]
        best = int(np.argmax(np.round(worth, 12)))
        pools = [
            {
                "pool": f"best {upto + 1}",
                "tokens": round(float(tokens[: upto + 1].sum())),
                "epochs": round(self.seen / max(float(tokens[: upto + 1].sum()), 1), 4),
                "utility": round(worth[upto], 6),
                "kept": "yes" if upto == best else "",
            }
            for upto in range(len(self.buckets))
        ]
        facts = {"seen": self.seen, "buckets_kept": best + 1, "tokens": pools[best]["tokens"], "groups": pools}
        return Selection((bucket <= best)[rows.group], {}, facts)


def utility(buckets: tuple[Bucket, ...], tokens: np.ndarray, seen: int) -> float:
    """By how much a run over these buckets lowers the logarithm of the loss: `U` of `SelectForCompute`.

    >>> one = (Bucket(utility=0.5, half_life=1),)
    >>> round(utility(one, np.array([100.0]), 100), 6), round(0.5 * math.log(100), 6)
    (2.302585, 2.302585)
    """
    whole = float(tokens.sum())
    if whole < 1:
        return 0.0
    epochs = min(seen / whole, MOST_EPOCHS)
    share = tokens / whole
    worth = share * np.array([bucket.utility for bucket in buckets])
    fading = share / np.array([bucket.half_life for bucket in buckets])
    epoch = np.arange(2, math.ceil(epochs) + 1)
    faded = (worth * 0.5 ** ((epoch[:, None] - 1) * fading)).sum(axis=1)
    gains = faded * np.log(np.minimum(epoch, epochs) / (epoch - 1))
    return float(worth.sum()) * math.log(max(min(whole, seen), 1)) + float(gains.sum())
