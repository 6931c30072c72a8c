"""Tasks on this machine: in this process for one worker, else in worker processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

from curate.errors import OperatorError
from curate.execute.tasks import Task, load_plan, run_task

AHEAD = 3  # tasks in flight per worker
ATTEMPTS = 3  # times a task may take its worker down before the run stops
ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Local:
    """Maps tasks over worker processes; results come as they are ready."""

    def __init__(self, workers: int):
        self.workers = workers
        self._pool: Any = None

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        waiting = list(tasks)
        if self.workers == 1 or (len(waiting) == 1 and self._pool is None):
            yield from ((task, run_task(task)) for task in waiting)
        else:
            yield from self._spread(waiting)

    def close(self) -> None:
        """Stop the workers now; unfinished tasks leave nothing behind."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None

    def _spread(self, waiting: list[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        from concurrent.futures import FIRST_COMPLETED, wait
        from concurrent.futures.process import BrokenProcessPool

        attempts: dict[Task, int] = {}
        flying: dict[Any, Task] = {}
        while waiting or flying:
            try:
                while waiting and len(flying) < AHEAD * self.workers:
                    flying[self._start().submit(run_task, waiting[0])] = waiting[0]
                    waiting.pop(0)
                future = next(iter(wait(flying, return_when=FIRST_COMPLETED).done))
                facts = future.result()
            except BrokenProcessPool as error:
                lost = [*flying.values()]
                flying.clear()
                self._again(lost or waiting[:1], attempts, error)
                waiting = lost + waiting
            else:
                yield flying.pop(future), facts

    def _again(self, lost: list[Task], attempts: dict[Task, int], error: Exception) -> None:
        """A worker died: start anew, unless the same tasks keep doing that."""
        self.close()
        for task in lost:
            attempts[task] = attempts.get(task, 0) + 1
        worst = max(attempts, key=lambda task: attempts[task])
        if attempts[worst] >= ATTEMPTS:
            raise OperatorError(
                f"a worker died {ATTEMPTS} times{_on(worst)} (out of memory?);"
                " try fewer workers or a smaller batch_size"
            ) from error

    def _start(self) -> Any:
        if self._pool is None:
            from loky import ProcessPoolExecutor

            self._pool = ProcessPoolExecutor(self.workers, env=ONE_THREAD, initializer=prepare, initargs=(os.getpid(),))
        return self._pool


def _on(task: Task) -> str:
    """The shards a task is about, in words."""
    if task.kind == "candidates":
        return ""
    names = [load_plan(task.plan).shards[number].name for number in task.shards]
    return f" on {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"


def prepare(driver: int) -> None:
    """In a new worker: one thread each, Ctrl-C is the driver's business, and no worker outlives its driver."""
    import signal
    import threading

    import pyarrow as pa

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    threading.Thread(target=end_with, args=(driver,), daemon=True).start()


def end_with(driver: int) -> None:
    """Leave when the driver is gone, however it went."""
    while os.getppid() == driver:
        time.sleep(1)
    os._exit(1)
