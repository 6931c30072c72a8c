"""Asks an index for documents like a text: its bands are looked up by binary search in sorted keys that are mapped into
memory, and the signatures of what they find are compared with its own (Broder 1997; Leskovec et al., ch. 3.4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import DataError, PlanError
from curate.execute.batches import BatchFile
from curate.execute.parts import Part
from curate.index.build import NAME
from curate.lsh import signature_values
from curate.operators.dedup import DedupMinhash
from curate.result import open_run
from curate.store import Store

CROWD = 1_000  # documents compared for one band of a text; of more that share it, the first in corpus order


class Index:
    """A folder made by `build_index`, mapped into memory: to open it takes no time, and no memory for documents.

    documents   how many it holds
    operator    the `dedup_minhash` that its signatures are of
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            facts = json.loads((self.path / "index.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"no index in {path}: there is no index.json (curate index RUN makes one)") from None
        self.run, self.documents = Path(facts["run"]), int(facts["documents"])
        self.operator = msgspec.convert(facts["parameters"], DedupMinhash)
        if facts["version"] != self.operator.version:
            raise PlanError(f"{path} was made by another version of curate: run `curate index` again")
        part = Part(Store(str(self.path)), NAME, NAME, NAME, NAME, self.documents)
        keys = [*BatchFile(part.members)]
        self._keys, self._rows = ([batch[name].to_numpy() for batch in keys] for name in ("key", "row"))
        self._first = np.array([each[0] if len(each) else 2**64 - 1 for each in self._keys], np.uint64)
        self._signatures = [signature_values(batch) for batch in BatchFile(part.sketches)]
        self._ids = [*BatchFile(part.index)]
        self._batch = max(1, len(self._signatures[0]))  # rows in each but the last

    def __len__(self) -> int:
        return self.documents

    def __repr__(self) -> str:
        return f"{self.path}: {self.documents:,} documents of {self.run}"

    def similar(
        self, texts: str | Sequence[str], threshold: float | None = None, most: int = 10, text: bool = False
    ) -> pl.DataFrame:
        """The documents most like each of some texts, the most similar first; ties by corpus order.

        texts      one or more
        threshold  least similarity; default: that of the operator. Below it, ever fewer are found (`curate plan`)
        most       how many for each text
        text       whether to read their texts from the run's data (slower)

        query        number of the text, from 0
        id           of the document
        similarity   of the two, estimated from their signatures, 0..1
        is_kept      whether the run has kept the document
        text         if asked for; null for documents that the run has dropped

        Of a band that more than a thousand documents share, the first thousand are compared.
        """
        texts = [texts] if isinstance(texts, str) else [*texts]
        return self.like(pa.table(self.operator.sketch(pa.array(texts, pa.string()))), threshold, most, text)

    def like(
        self, sketch: pa.Table, threshold: float | None = None, most: int = 10, text: bool = False
    ) -> pl.DataFrame:
        """The same for signatures, such as those of `Result.sketch`."""
        least = float(self.operator.settings.threshold if threshold is None else threshold)
        if not 0 < least <= 1 or most < 1:
            raise PlanError(f"similar: threshold is above 0 and at most 1, most at least 1, not {least} and {most}")
        values = signature_values(sketch)
        keys = self.operator.keys(sketch)[1].reshape(-1, len(values))  # a row for each band
        found = [self._nearest(values[at], keys[:, at], least, most) for at in range(len(values))]
        rows = np.concatenate([rows for rows, _ in found] or [np.zeros(0, np.int64)])
        table = pl.DataFrame(
            {
                "query": np.repeat(np.arange(len(values)), [len(rows) for rows, _ in found]),
                "id": self._column("id", rows, pl.String),
                "similarity": np.concatenate([alike for _, alike in found] or [np.zeros(0)]),
                "is_kept": self._column("place", rows, pl.Int64) >= 0,
            }
        )
        return table.with_columns(text=self._texts(rows)) if text else table

    def _nearest(
        self, signature: np.ndarray, keys: np.ndarray, least: float, most: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows like one text and their similarity, best first."""
        from curate.kernels.components import once
        from curate.kernels.minhash import estimate

        rows = once(np.concatenate([self._sharing(key) for key in keys])).astype(np.int64)
        if not len(rows):
            return rows, np.zeros(0)
        theirs = np.stack([self._signatures[row // self._batch][row % self._batch] for row in rows.tolist()])
        alike = estimate(np.broadcast_to(signature, theirs.shape), theirs)
        order = np.lexsort((rows, -alike))[: int((alike >= least).sum())][:most]
        return rows[order], alike[order]

    def _sharing(self, key: np.uint64) -> np.ndarray:
        """Rows that have a key, at most CROWD of them."""
        found = [np.zeros(0, np.uint32)]
        batch = max(0, int(np.searchsorted(self._first, key, "left")) - 1)
        while batch < len(self._keys) and self._first[batch] <= key:
            low, high = (
                np.searchsorted(self._keys[batch], key, "left"),
                np.searchsorted(self._keys[batch], key, "right"),
            )
            found.append(self._rows[batch][low : min(high, low + CROWD)])
            batch += 1
        return np.concatenate(found)[:CROWD]

    def _column(self, name: str, rows: np.ndarray, kind: type[pl.DataType]) -> pl.Series:
        """A column of the index for some rows."""
        return pl.Series(
            name, [self._ids[row // self._batch][name][row % self._batch].as_py() for row in rows.tolist()], kind
        )

    def _texts(self, rows: np.ndarray) -> pl.Series:
        """The texts of some documents, from the run's data; null for those that are not there."""
        places = self._column("place", rows, pl.Int64).to_list()
        ids = self._column("id", rows, pl.String).to_list()
        data = _Data(self.run) if any(place >= 0 for place in places) else None
        texts = [None if place < 0 or data is None else data(place, id) for place, id in zip(places, ids, strict=True)]
        return pl.Series("text", texts, pl.String)


class _Data:
    """Single documents of a run's data, by their position in it."""

    def __init__(self, run: Path):
        result = open_run(run)
        self.files = [(run / file["path"], int(file["rows"])) for file in result.manifest["data"]]
        self._groups: dict[tuple[int, int], pa.Table] = {}  # the last one

    def __call__(self, place: int, id: str) -> str:
        number, place = _within([rows for _, rows in self.files], place)
        file = pq.ParquetFile(self.files[number][0])
        groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        group, place = _within(groups, place)
        if (number, group) not in self._groups:
            self._groups = {(number, group): file.read_row_group(group, columns=["id", "text"])}
        table = self._groups[number, group]
        if table["id"][place].as_py() != id:
            raise DataError(f"{self.files[number][0]} is not what the index was made of: run `curate index` again")
        return str(table["text"][place].as_py())


def _within(sizes: list[int], place: int) -> tuple[int, int]:
    """Which of some parts a position is in, and where in it."""
    ends = np.cumsum(sizes)
    number = int(np.searchsorted(ends, place, "right"))
    if number == len(sizes):
        raise DataError("the run's data has fewer documents than the index: run `curate index` again")
    return number, int(place - ends[number] + sizes[number])


def open_index(path: str | Path) -> Index:
    """The index in a folder; DataError when there is none."""
    return Index(path)
