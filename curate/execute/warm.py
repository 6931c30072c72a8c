"""Compiles the kernels that a plan's steps use, once per machine, before workers start and would each do it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from curate.evaluate import evaluate
from curate.operator import ROW, Deduplicator, Evidence, Mapper, Operator, Signal, Trainer
from curate.plan import Plan

SAMPLE = "One two three, four Füße and the rest.\n\n- a line\n" * 3


def is_cold(plan: Plan) -> bool:
    """Whether kernels have yet to be compiled on this machine."""
    from curate.kernels.jit import cache_folder

    folder = cache_folder()
    return folder is None or not all((folder / mark).exists() for mark in _marks(plan))


def warm(plan: Plan) -> None:
    """Use each step on a few lines of text; note that it was done. Only those of curate: others may do anything."""
    from curate.kernels.jit import cache_folder
    from curate.kernels.lexer import count_words

    count_words(pa.array([SAMPLE]))
    _read_json()
    for step in plan.steps:
        if is_own(step.operator) and not step.operator.is_remote:
            with contextlib.suppress(Exception):  # what fails on this fails on documents too, and is reported there
                _try(step.operator)
    folder = cache_folder()
    for mark in _marks(plan) if folder else ():
        (folder / mark).touch()  # type: ignore[operator]


def postpone_pandas(operators: Iterable[Operator]) -> None:
    """Keep Arrow from loading pandas (a quarter of a second) when it makes its first array; `to_pandas` still does.

    Not where an operator is somebody's own: it may hand pandas objects to Arrow, which are read otherwise then.
    """
    if "pandas" in sys.modules or not all(is_own(operator) for operator in operators):
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    """Finds that pandas is not installed."""

    @staticmethod
    def find_spec(name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def is_own(operator: Operator) -> bool:
    """Whether an operator is one of curate's."""
    return type(operator).__module__.startswith("curate.operators.")


def _read_json() -> None:
    from curate.kernels import json_lines

    data = np.frombuffer(b'{"text": "a\\n"}\n', np.uint8)
    found = json_lines.members(data, json_lines.line_ends(data), json_lines.names({"text": json_lines.TEXTS}), 99)
    json_lines.strings(data, found.kind[:, 0], found.span[:, 0])


def _try(operator: Operator) -> None:
    columns = {name: pa.array([SAMPLE, SAMPLE]) for name in operator.reads() if name != ROW}
    if isinstance(operator, Signal | Mapper):
        evaluate(operator, columns)
    elif isinstance(operator, Trainer):
        operator(pa.table(columns))
    elif isinstance(operator, Deduplicator):
        from curate.cluster import in_memory

        in_memory(operator, columns)
        if operator.evidences():
            evidence = pa.table(evaluate(Evidence(of=operator), columns))
            operator.measure(evidence, evidence)


def _marks(plan: Plan) -> Iterator[str]:
    yield from sorted({f"{step.operator.name()}.warm" for step in plan.steps})
