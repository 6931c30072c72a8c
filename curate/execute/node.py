"""What runs on a Ray node around a task: the node's versions are those of the driver, its kernels are compiled once,
and a task that is stuck ends with its worker, leaving word of where it was."""

from __future__ import annotations

import faulthandler
import functools
import hashlib
import importlib.metadata
import os
import platform
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

import curate
from curate.errors import CurateError, PlanError
from curate.execute.local import ONE_THREAD
from curate.execute.tasks import WORKER, Task, load_plan, run_task
from curate.store import Store

# What the output's bytes are made with, and what operators travel in.
MATTERS = ("pyarrow", "numpy", "numba", "polars", "msgspec", "cloudpickle", "zstandard")
LOOK = 5.0  # seconds between looks whether the driver has left word to stop


class Identity(msgspec.Struct, frozen=True):
    """The versions that a node works with: of Python, curate, its source files, and the packages that matter."""

    versions: tuple[tuple[str, str], ...]

    def refuse_others(self, driver: Identity, node: str) -> None:
        """PlanError unless this node is like the driver: versions are not mixed within one run."""
        mine = dict(self.versions)
        for name, wanted in driver.versions:
            found = mine.get(name, "none")
            if found != wanted:
                raise PlanError(
                    f"Ray node {node} has {name} {found}, the driver has {wanted}: a run must not mix them;"
                    " start every node from one image, or name the packages under `runtime_env: {pip: [...]}`"
                )


@functools.cache
def identity() -> Identity:
    """Of this process."""
    digest = hashlib.sha256()
    folder = Path(curate.__file__).parent
    for source in sorted([*folder.rglob("*.py"), *(folder / "operators").glob("*.py")]):
        digest.update(source.read_bytes())
    versions = {"Python": platform.python_version(), "curate": curate.__version__}
    for name in MATTERS:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return Identity((*versions.items(), ("the source files of curate", digest.hexdigest()[:12])))


def probe() -> dict[str, Any]:
    """A node's identity, asked by the driver before the first task."""
    found: dict[str, Any] = msgspec.to_builtins(identity())
    return found


def work(task: Task, driver: Identity, timeout: float, stop: str) -> dict[str, Any]:
    """One task on a node; nothing, if there is the file `stop` by now."""
    if stop and task.store.has([stop]):
        return {}
    try:
        _ready(driver)
        _warmed(task.plan)
    except CurateError as error:
        raise PlanError(str(error)) from error  # plain, so that it crosses to the driver whatever it needs to be made
    with ended_after(timeout, task), ended_by(stop, task.store):
        return run_task(task)


@functools.cache
def _ready(driver: Identity) -> None:
    """Once per worker: one thread each, as local workers have. Nodes may have joined after the driver asked."""
    os.environ.update(ONE_THREAD | {WORKER: "1"})
    import pyarrow as pa

    pa.set_cpu_count(1)
    identity().refuse_others(driver, f"{socket.gethostname()}")


@functools.cache
def _warmed(path: str) -> None:
    """Once per node: kernels are compiled by one worker while the others wait for it."""
    import fcntl

    from curate.execute.warm import is_cold, warm
    from curate.kernels.jit import cache_folder

    plan = _plan_of(path)
    folder = cache_folder()
    if folder is None or not is_cold(plan):
        return
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_cold(plan):
            warm(plan)


def _plan_of(path: str) -> Any:
    node = socket.gethostname()
    try:
        return load_plan(path)
    except FileNotFoundError:
        raise PlanError(
            f"Ray node {node} does not see {path}: the run folder must be on storage that all nodes share,"
            " or on an object store (output: {path: s3://...})"
        ) from None
    except ImportError as error:
        raise PlanError(
            f"Ray node {node} lacks what a step of the recipe needs ({error}): install it on every node, or name it"
            " under `runtime_env: {pip: [...]}` in the config"
        ) from error


# ---------------------------------------------------------------- stuck tasks


@contextmanager
def ended_after(timeout: float, task: Task) -> Iterator[None]:
    """End this worker when the block takes longer. A thread of C's keeps the time, so no lock can stop it."""
    if not timeout:
        yield
        return
    note = _note(task)
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("w") as file:
        faulthandler.dump_traceback_later(timeout, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    note.unlink(missing_ok=True)


@contextmanager
def ended_by(stop: str, store: Store) -> Iterator[None]:
    """End this worker within the block when the file `stop` appears: its driver has left."""
    if not stop:
        yield
        return
    done = threading.Event()
    threading.Thread(target=_watch, args=(stop, store, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _watch(stop: str, store: Store, done: threading.Event) -> None:
    while not done.wait(LOOK):
        if store.has([stop]):
            os._exit(1)


def stuck_at(task: Task) -> str:
    """Where a task was when it was ended for being stuck; empty if it was not."""
    try:
        text = _note(task).read_text()
    except OSError:
        return ""
    threads = [thread for thread in text.split("hread 0x") if " in run_task" in thread]  # the others are Ray's
    places = [line.strip() for line in "".join(threads).splitlines() if line.strip().startswith("File ")]
    return f"(at {places[0].removeprefix('File ')})" if places else ""


def _note(task: Task) -> Path:
    name = "-".join([task.kind, str(task.at), *map(str, task.shards[:3])])
    return task.store.work("stuck", f"{name}.txt")
