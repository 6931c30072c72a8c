"""What a release is asked to be; the same settings over the same run give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from curate.convert import size
from curate.errors import RecipeError

SPLIT = "train"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a run becomes a release.

    domain           columns whose values together make a domain; a file holds documents of one domain only. Default:
                     those of `source` and `language` that the run has; `all` is one domain
    properties       more columns to make safe for queries: plain text, `unknown` instead of null
    split            held-out splits: name -> share of the documents, 0..1; the rest is `train`
    split_by         documents with the same values of these columns share a split (a cluster, a site)
    seed             of the choice of splits
    shuffle          seed of the order within a domain; without it the order of the corpus
    bucket           numeric column -> cut points; makes COLUMN_bucket, for tools that know no numbers
    require_license  licences to release; other documents are dropped for `require_license`
    dropped          also release the documents that were dropped, without text, each with its reason
    lines            columns (globs) that hold a list with a value for each line: they go to lines/, a row for each
    file_size        of a Parquet file, before compression
    row_group_rows   at most this many documents in a row group; trainers read whole groups, at random
    row_group_size   at most this much in a row group, before compression
    compression      ZSTD level
    chunking         content-defined chunks: an edited file shares most of its bytes with the old one
    memory           for sorting; what is larger goes through temporary files
    """

    domain: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    split: dict[str, float] = {}
    split_by: tuple[str, ...] = ("id",)
    seed: int = 0
    shuffle: int | None = None
    bucket: dict[str, tuple[float, ...]] = {}
    require_license: tuple[str, ...] = ()
    dropped: bool = False
    lines: tuple[str, ...] = ()
    file_size: str = "256MB"
    row_group_rows: int = 2_000
    row_group_size: str = "64MiB"
    compression: int = 3
    chunking: bool = False
    memory: str = "256MB"

    def __post_init__(self) -> None:
        for text in (self.file_size, self.row_group_size, self.memory):
            size(text)
        taken = (SPLIT, "dropped", "lines")
        wrong = next((name for name in self.split if not name.isidentifier() or name in taken), None)
        if wrong is not None:
            raise RecipeError(f"split {wrong!r}: a split's name is a plain word other than {', '.join(taken)}")
        if not all(0 < share < 1 for share in self.split.values()) or sum(self.split.values()) >= 1:
            raise RecipeError("the shares of the held-out splits are above 0, and together below 1")
        for column, edges in self.bucket.items():
            if not edges or list(edges) != sorted(set(edges)):
                raise RecipeError(f"bucket {column}: the cut points are numbers in rising order")
        if self.row_group_rows < 1 or not self.split_by:
            raise RecipeError("row_group_rows is at least 1, and split_by names a column")

    def identity(self) -> dict[str, object]:
        """What the bytes of the release depend on, as plain values; defaults are left out."""
        plain = msgspec.to_builtins(self)
        default = msgspec.to_builtins(Settings())
        return {key: value for key, value in plain.items() if value != default[key] and key != "memory"}


def from_flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings from what a command line gives; what it leaves out stays out.

    >>> from_flags({"split": ("test=0.1",), "bucket": ("score=0.3,0.7",), "require_license": ("mit,cc0-1.0",)})
    {'split': {'test': 0.1}, 'bucket': {'score': (0.3, 0.7)}, 'require_license': ('mit', 'cc0-1.0')}
    """
    found = {key: value for key, value in given.items() if value not in (None, (), False)}
    if "split" in found:
        found["split"] = {name: _number(share) for name, share in pairs(found["split"], "--split").items()}
    if "bucket" in found:
        cuts = pairs(found["bucket"], "--bucket")
        found["bucket"] = {name: tuple(map(_number, text.split(","))) for name, text in cuts.items()}
    for key in ("domain", "properties", "split_by", "require_license", "lines"):
        if key in found:
            found[key] = tuple(part.strip() for text in found[key] for part in text.split(",") if part.strip())
    return found


def pairs(items: Iterable[str], flag: str) -> dict[str, str]:
    """NAME=VALUE arguments of a flag. RecipeError for what is no pair."""
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name or not value:
            raise RecipeError(f"{flag} {item}: write {flag} NAME=VALUE")
        found[name] = value
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RecipeError(f"{text!r} is not a number") from None
