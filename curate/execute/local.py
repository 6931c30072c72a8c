"""Tasks on this machine: in this process for one worker, else in worker processes."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from curate.errors import OperatorError
from curate.execute.tasks import WORKER, Task, load_plan, run_task

AHEAD = 2  # tasks in flight per worker process
# Memory is bounded by `batch_size` and `memory`; loky would replace a worker for having 300 MB more than at first.
LEAK = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
ATTEMPTS = 3  # times a task may take its worker down before the run stops
WORTH = 1.0  # seconds of work that are worth starting processes for, which takes about as long
MUCH = 64_000_000  # bytes of shards that nobody has read yet: so much is worth it for certain
# Seconds after which they are started anyhow, if it is not known how long the work takes; 0: at once.
PATIENCE = float(os.environ.get("CURATE_PATIENCE", "1.5"))
IDLE = 60.0  # seconds after which workers that have nothing to do leave
ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_kept: list[tuple[Any, Any]] = []  # the worker processes of the last run, for the next run of this process


class Local:
    """Maps tasks over worker processes; results come as they are ready.

    Until the first of them is up a thread of this process does the work, so that what takes a moment needs no others.
    """

    def __init__(self, workers: int):
        self.workers = workers
        self._pool: Any = kept(surroundings(workers))
        self._is_up = self._pool is not None
        self._is_idle = True
        self._thread: Any = None
        self._own: Any = None  # what the thread was last given to do

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        if self.workers == 1:
            yield from ((task, run_task(task)) for task in tasks)
        else:
            self._is_idle = False
            yield from self._spread([*tasks])
            self._is_idle = True

    def close(self) -> None:
        """Stop the workers now if they are at work; unfinished tasks leave nothing behind."""
        if self._pool is not None and self._is_idle:
            dismiss()
            _kept.append((surroundings(self.workers), self._pool))  # libraries set variables when they are imported
            self._pool = None
        self._stop_processes()
        if self._thread is not None:
            if not self._own.done():
                interrupt(self._thread)
            self._thread.shutdown(cancel_futures=True)
            self._thread = None

    def _spread(self, waiting: list[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        from concurrent.futures import FIRST_COMPLETED, Future, wait
        from concurrent.futures.process import BrokenProcessPool

        attempts: dict[Task, int] = {}
        here: dict[Future[Any], Task] = {}
        away: dict[Future[Any], Task] = {}
        began = since = time.monotonic()
        times: list[float] = []  # what tasks took here; the first may be loading libraries
        is_much = self._pool is None and unread(waiting) > MUCH
        while waiting or here or away:
            if PATIENCE and waiting and not here and not self._is_up:
                since = time.monotonic()
                self._own = self._here().submit(run_task, waiting[0])
                here[self._own] = waiting.pop(0)
            is_worth_it = is_much or (len(times) > 1 and min(times) * len(waiting) > WORTH)
            until = began if is_worth_it else began + PATIENCE
            patience = None if self._pool or not waiting else max(0.0, until - time.monotonic())
            try:
                while waiting and not patience and len(away) < AHEAD * self.workers:
                    pool = self._processes()
                    with ctrl_c_waits():  # processes are started here, and begin as this one is
                        away[pool.submit(run_task, waiting[0])] = waiting[0]
                    waiting.pop(0)
                for future in wait([*here, *away], patience, FIRST_COMPLETED).done:
                    facts = future.result()
                    self._is_up |= future in away
                    times += [time.monotonic() - since] if future in here else []
                    yield (away if future in away else here).pop(future), facts
            except BrokenProcessPool as error:
                lost = [*away.values()]
                away.clear()
                self._again(lost or waiting[:1], attempts, error)
                waiting = lost + waiting

    def _again(self, lost: list[Task], attempts: dict[Task, int], error: Exception) -> None:
        """A worker died: start anew, unless the same tasks keep doing that."""
        self._stop_processes()
        for task in lost:
            attempts[task] = attempts.get(task, 0) + 1
        worst = max(attempts, key=lambda task: attempts[task])
        if attempts[worst] >= ATTEMPTS:
            raise OperatorError(
                f"a worker died {ATTEMPTS} times{_on(worst)} (out of memory?);"
                " try fewer workers or a smaller batch_size"
            ) from error

    def _here(self) -> Any:
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor

            self._thread = ThreadPoolExecutor(1)
        return self._thread

    def _processes(self) -> Any:
        if self._pool is None:
            from multiprocessing import resource_tracker

            from loky import ProcessPoolExecutor
            from loky.backend import resource_tracker as lokys

            for tracker in (resource_tracker, lokys):  # that which starts a worker would let Ctrl-C through again
                tracker.ensure_running()
            self._pool = ProcessPoolExecutor(
                self.workers,
                timeout=IDLE,
                env=ONE_THREAD | LEAK | {WORKER: "1"},
                initializer=prepare,
                initargs=(os.getpid(),),
            )
        return self._pool

    def _stop_processes(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


def kept(wanted: tuple[Any, ...]) -> Any:
    """The worker processes that an earlier run has left, if they started in these surroundings; others end."""
    found: tuple[Any, Any] = _kept.pop() if _kept else (wanted, None)
    known, pool = found
    if known == wanted:
        return pool
    if known[0] == os.getpid():
        pool.shutdown(wait=True, kill_workers=True)
    return None


def dismiss() -> None:
    """End the worker processes that a run has left: this process runs no other."""
    kept(())


def surroundings(workers: int) -> tuple[Any, ...]:
    """How many workers there are, and what they inherit when they start."""
    return os.getpid(), workers, os.getcwd(), dict(os.environ), [*sys.path]


def unread(tasks: list[Task]) -> int:
    """Bytes of the shards that these tasks are the first to read."""
    named = [
        (task, load_plan(task.plan).shards[number]) for task in tasks if task.kind == "pass" for number in task.shards
    ]
    return sum(shard.bytes for task, shard in named if not task.store.index(shard.key).exists())


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Hold Ctrl-C back for a block. Processes that are started in it never see one: it is their driver's business."""
    came: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()  # only there Python lets handlers be set
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number)) if is_main else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what new processes inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if is_main:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
    if came:
        raise KeyboardInterrupt


def interrupt(threads: Any) -> None:
    """Ctrl-C for the threads of an executor, so that they leave the task they are at as this process would."""
    import ctypes

    for thread in threads._threads:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))


def _on(task: Task) -> str:
    """The shards a task is about, in words."""
    if task.kind not in ("pass", "export"):  # others are about partitions
        return f" on {task.kind} {task.shards[:1]}"
    names = [load_plan(task.plan).shards[number].name for number in task.shards]
    return f" on {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"


def prepare(driver: int) -> None:
    """In a new worker: one thread each, and no worker outlives its driver."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    gc.set_threshold(50_000)  # what is loaded from here on makes many objects and no garbage
    gc.freeze()
    threading.Thread(target=end_with, args=(driver,), daemon=True).start()


def end_with(driver: int) -> None:
    """Leave when the driver is gone, however it went."""
    while os.getppid() == driver:
        time.sleep(1)
    os._exit(1)
