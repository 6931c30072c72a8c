"""The same tasks on a Ray cluster. The run folder must be on storage that all nodes share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from curate.config import Config
from curate.execute.tasks import Task, run_task

AHEAD = 3


class Ray:
    """Maps tasks over a Ray cluster; results come as they are ready."""

    def __init__(self, config: Config):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            local: dict[str, Any] = (
                {} if config.address else {"num_cpus": config.parallelism, "include_dashboard": False}
            )
            ray.init(address=config.address, log_to_driver=False, configure_logging=False, **local)
        self._remote = ray.remote(run_task)
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        waiting, flying = iter(tasks), {}
        for task in waiting:
            flying[self._submit(task)] = task
            if len(flying) >= AHEAD * self.workers:
                yield self._next(flying)
        while flying:
            yield self._next(flying)

    def close(self) -> None:
        if self._ours:
            self._ray.shutdown()

    def _submit(self, task: Task) -> Any:
        return self._remote.options(name=f"{task.kind} {task.at} {task.shards[:1]}").remote(task)

    def _next(self, flying: dict[Any, Task]) -> tuple[Task, dict[str, Any]]:
        (done,), _ = self._ray.wait(list(flying), num_returns=1)
        try:
            return flying.pop(done), self._ray.get(done)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
