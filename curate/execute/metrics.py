"""Counts of a run for Ray's metrics (Prometheus): documents and bytes by stage, documents by fate."""

from __future__ import annotations

from typing import Any

from curate.execute.tasks import Task, load_plan


class Metrics:
    """Counters `curate_documents`, `curate_bytes` (tags: recipe, stage) and `curate_fates` (recipe, fate)."""

    def __init__(self, ray: Any):
        from ray.util.metrics import Counter

        self._is_here = not ray.util.client.ray.is_connected()  # a client of ray:// has no metrics of its own
        if self._is_here:
            tags = ("recipe", "stage")
            self.documents = Counter("curate_documents", "Documents that a stage has gone through", tags)
            self.bytes = Counter("curate_bytes", "Bytes of text that a stage has gone through", tags)
            self.fates = Counter("curate_fates", "Documents kept, and dropped by each reason", ("recipe", "fate"))

    def add(self, task: Task, facts: dict[str, Any]) -> None:
        """What a finished task says of itself."""
        if not self._is_here or task.kind not in ("pass", "export"):
            return
        recipe = load_plan(task.plan).recipe.name
        tags = {"recipe": recipe, "stage": f"pass {task.at + 1}" if task.kind == "pass" else "export"}
        rows = facts["rows"] if task.kind == "pass" else sum(file["rows"] for file in facts["data"])
        _count(self.documents, rows, tags)
        _count(self.bytes, facts.get("bytes", 0), tags)
        for _, _, fate, documents, *_ in facts.get("cells", ()):
            _count(self.fates, documents, {"recipe": recipe, "fate": fate or "kept"})


def _count(counter: Any, amount: float, tags: dict[str, str]) -> None:
    if amount > 0:
        counter.inc(amount, tags)
