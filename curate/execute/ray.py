"""The same tasks on a Ray cluster. Nodes share nothing but the storage that the run folder and the sources are on.

The driver holds task descriptions and what finished tasks tell of themselves, never documents. A task that is lost with
its worker or its node is given out again; what it had left under temporary names is never read.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from curate.config import Config
from curate.convert import size
from curate.errors import CurateError, OperatorError, PlanError
from curate.execute.metrics import Metrics
from curate.execute.node import Identity, identity, probe, stuck_at, work
from curate.execute.tasks import Task, load_plan
from curate.execute.titles import subject, title
from curate.shared import publish
from curate.store import write_text

AHEAD = 3  # tasks given to Ray for each that can run, so that a worker never waits for the driver
MOST_NODES = 20  # times a task may lose its node before the run stops
LOOK = 10.0  # seconds after which the size of the cluster is looked up again
LEAST_BATCH = 64_000  # bytes; smaller batches save no memory
OBJECT_STORE = 100_000_000  # of a cluster started here: tasks exchange files, not objects


class Ray:
    """Maps tasks over a Ray cluster; results come as they are ready."""

    def __init__(self, config: Config):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        self._ray, self.config, self.identity = ray, config, identity()
        self.ours = not ray.is_initialized()
        if self.ours:
            os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # those of tasks that fail after the first
            _connect(ray, config)
        self._work = ray.remote(max_retries=0)(work)
        # In a session of the user's own, what workers need goes with each task; else with the session.
        self._environment = {} if self.ours or not config.runtime_env else {"runtime_env": config.runtime_env}
        self._looked, self._cpus = 0.0, 1.0
        self._metrics = Metrics(ray)
        self._refuse_other_nodes()

    @property
    def most(self) -> int:
        """Tasks in flight. A cluster that grows gets more."""
        if time.monotonic() - self._looked > LOOK:
            self._looked, self._cpus = time.monotonic(), self._ray.cluster_resources().get("CPU", 1.0)
        return self.config.in_flight or max(2, int(AHEAD * self._cpus / self.config.task_cpus))

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        waiting, flying = iter(tasks), _Flying(self)
        try:
            for task in waiting:
                flying.add(task)
                while len(flying) >= self.most:
                    yield from self._counted(flying.finished())
            while flying:
                yield from self._counted(flying.finished())
        finally:
            flying.stop()

    def close(self) -> None:
        if self.ours:
            self._ray.shutdown()

    def submit(self, task: Task, attempt: int, stop: str) -> Any:
        """Give a task to Ray. After each loss it has a quarter of the batch, twice the memory if it reserves any."""
        config = self.config
        options: dict[str, Any] = {"name": title(task), "num_cpus": config.task_cpus, **self._environment}
        if config.task_memory is not None:
            options["memory"] = min(size(config.task_memory) << attempt, self._largest_node())
        if attempt:
            batch = max(LEAST_BATCH, size(task.config.batch_size) >> 2 * attempt)
            smaller = msgspec.structs.replace(task.config, batch_size=str(min(batch, size(task.config.batch_size))))
            task = msgspec.structs.replace(task, config=smaller)
        return self._work.options(**options).remote(task, self.identity, config.task_timeout, stop)

    def result(self, reference: Any) -> dict[str, Any] | Exception:
        """What a finished task says of itself, or how it was lost. What it raised itself is raised."""
        errors = self._ray.exceptions
        try:
            found: dict[str, Any] = self._ray.get(reference)
            return found
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, MemoryError):
                return cause
            raise _told(cause or error) from error
        except (errors.RaySystemError, errors.RuntimeEnvSetupError) as error:
            raise PlanError(f"a Ray node cannot run curate's tasks: {_last_line(error)}") from error
        except errors.RayError as error:  # its worker, its node or its result was lost
            return error

    def _counted(self, found: Iterable[tuple[Task, dict[str, Any]]]) -> Iterator[tuple[Task, dict[str, Any]]]:
        for task, facts in found:
            self._metrics.add(task, facts)
            yield task, facts

    def _largest_node(self) -> int:
        return max(int(node["Resources"].get("memory", 0)) for node in self._alive())

    def _alive(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _refuse_other_nodes(self) -> None:
        """Nodes with other versions would write other bytes: PlanError, before any work is done."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote: Any = self._ray.remote
        ask = remote(max_retries=0, num_cpus=0, **self._environment)(probe)
        nodes = [node for node in self._alive() if node["Resources"].get("CPU")]
        asked = [
            ask.options(
                name="check node", scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote()
            for node in nodes
        ]
        for address, reference in zip((node["NodeManagerAddress"] for node in nodes), asked, strict=True):
            found = self.result(reference)
            if isinstance(found, dict):
                msgspec.convert(found, Identity).refuse_others(self.identity, address)


class _Flying:
    """Tasks that Ray has, each with the times that it was lost."""

    def __init__(self, ray: Ray):
        self.ray = ray
        self.tasks: dict[Any, tuple[Task, int, int]] = {}
        # In a session of the user's own they outlive this run, unless there is a file of this name.
        self.word = "" if ray.ours else f".work/stopped/{uuid.uuid4().hex}"

    def __len__(self) -> int:
        return len(self.tasks)

    def add(self, task: Task, died: int = 0, nodes: int = 0) -> None:
        self.tasks[self.ray.submit(task, died, self.word)] = (task, died, nodes)

    def finished(self) -> Iterator[tuple[Task, dict[str, Any]]]:
        """Wait for a task, and take all that are ready by then; those that were lost are given out again."""
        wait, references = self.ray._ray.wait, list(self.tasks)
        wait(references, num_returns=1)
        ready, _ = wait(references, num_returns=len(references), timeout=0)
        for reference in ready:
            task, died, nodes = self.tasks.pop(reference)
            found = self.ray.result(reference)
            if isinstance(found, dict):
                yield task, found
                continue
            died, nodes = (died, nodes + 1) if _is_node(found) else (died + 1, nodes)
            if died > self.ray.config.retries or nodes > MOST_NODES:
                raise _given_up(task, found, max(died, nodes)) from found
            self.add(task, died, nodes)

    def stop(self) -> None:
        """The run has stopped: leave word for them. `ray.cancel` would end the driver as well when a task happens to
        finish in that moment (in Ray 2.60, by its own check that the task was pending)."""
        if self.word and self.tasks:
            task, *_ = next(iter(self.tasks.values()))
            path = task.store.path(*self.word.split("/"))
            write_text(path, "")
            publish(path)


def _connect(ray: Any, config: Config) -> None:
    """Join a cluster, or start one here. A job of `ray job submit` finds its own."""
    address = config.address or os.environ.get("RAY_ADDRESS")
    here: dict[str, Any] = {"num_cpus": config.parallelism, "object_store_memory": OBJECT_STORE}
    local = {} if address else {**here, "include_dashboard": False}
    try:
        ray.init(
            address=address,
            namespace="curate",
            log_to_driver=False,
            configure_logging=False,
            runtime_env=config.runtime_env or None,
            **local,
        )
    except Exception as error:
        where = f"no Ray cluster at {address!r}" if address else "Ray does not start here"
        hint = "; `ray start --head` starts one, and without an address a run has its own" if address else ""
        raise PlanError(f"{where}: {_last_line(error)}{hint}") from error


def _told(cause: BaseException) -> BaseException:
    """What a task raised, in words that help."""
    if isinstance(cause, CurateError):
        return cause
    if "failed to import" in str(cause) or isinstance(cause, ModuleNotFoundError):
        return PlanError(
            f"a Ray node lacks what this machine has: {_last_line(cause)}; install the same packages on every node,"
            " or name them under `runtime_env: {pip: [...]}` in the config"
        )
    return cause


def _is_node(lost: Exception) -> bool:
    """Whether the machine went, which says nothing about the task; or the result, when it had been made."""
    return any(word in type(lost).__name__ for word in ("Node", "Raylet", "ObjectLost", "Owner"))


def _given_up(task: Task, lost: Exception, times: int) -> OperatorError:
    """The task is lost again and again: say which shard it is about, and how."""
    on, stuck = subject(task, load_plan(task.plan)), stuck_at(task)
    if stuck:
        return OperatorError(f"a task was stuck {times} times on {on} {stuck}; try a larger task_timeout")
    if _is_node(lost):
        return OperatorError(f"{times} nodes were lost on {on}; the same command goes on from here")
    how = "ran out of memory" if type(lost).__name__ in ("OutOfMemoryError", "MemoryError") else "died"
    guess = " (out of memory?)" if how == "died" else ""
    return OperatorError(
        f"a worker {how} {times} times on {on}{guess}; try a smaller batch_size, or reserve more with task_memory"
    )


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "ModuleNotFoundError" in line or "No module named" in line), lines[-1:][0])
