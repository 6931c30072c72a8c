"""Where and how a recipe runs: never part of a recipe, of a fingerprint or of the output's bytes."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from curate.convert import convert, size
from curate.document import read_document
from curate.errors import RecipeError, nearest

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to run.

    executor          local (processes on this machine) or ray
    workers           parallel tasks; 0: one per core
    batch_size        text a worker holds at a time; bounds its memory, whatever the size of a shard
    memory            what a task of a corpus-wide step may take; decides how many partitions it works in
    quarantine_share  the run fails when a larger share of the records cannot be read or processed
    corrupt_archives  a truncated or corrupt file: error (stop), or quarantine (what is readable is used)
    operator_errors   an operator fails on a document: quarantine (that document), or error (stop)

    With executor: ray,

    address           of the cluster: auto, ray://host:10001 or host:port; none: Ray is started on this machine
    task_cpus         CPUs that a task reserves
    task_memory       memory that a task reserves, e.g. 2GB: so many run on a node; none: CPUs alone decide
    in_flight         tasks given to Ray at a time; 0: three for each that can run
    retries           times a task is tried again after its worker died, ran out of memory or was stuck
    task_timeout      seconds after which a task counts as stuck: its worker is ended and it is tried again; 0: never
    runtime_env       what workers need beyond the cluster's image (env_vars, pip, working_dir, ...), as Ray has it
    """

    executor: Literal["local", "ray"] = "local"
    workers: Annotated[int, msgspec.Meta(ge=0)] = 0
    batch_size: str = "8MB"
    memory: str = "1GB"
    quarantine_share: Share = 0.001
    corrupt_archives: Literal["error", "quarantine"] = "error"
    operator_errors: Literal["quarantine", "error"] = "quarantine"
    address: str | None = None
    task_cpus: Annotated[float, msgspec.Meta(gt=0)] = 1
    task_memory: str | None = None
    in_flight: Annotated[int, msgspec.Meta(ge=0)] = 0
    retries: Annotated[int, msgspec.Meta(ge=0)] = 2
    task_timeout: Annotated[float, msgspec.Meta(ge=0)] = 0
    runtime_env: dict[str, Any] = {}

    def __hash__(self) -> int:
        return hash(msgspec.json.encode(self))

    def __post_init__(self) -> None:
        if size(self.batch_size) < 1:
            raise RecipeError(f"batch_size must be at least one byte, got {self.batch_size!r}")
        if size(self.memory) < 1:
            raise RecipeError(f"memory must be at least one byte, got {self.memory!r}")
        if self.task_memory is not None and size(self.task_memory) < 1:
            raise RecipeError(f"task_memory must be at least one byte, got {self.task_memory!r}")

    @property
    def parallelism(self) -> int:
        return self.workers or os.cpu_count() or 1


def load_config(path: str | None, **changes: Any) -> Config:
    """A config file (or the name of a shipped one: local, ray), with the given fields replaced."""
    config = Config()
    if path:
        document = read_document(_locate(path))
        config = convert(document.data or {}, Config, document, (), "config")
    return msgspec.structs.replace(config, **{key: value for key, value in changes.items() if value is not None})


def _locate(path: str) -> Path:
    if Path(path).is_file():
        return Path(path)
    folder = Path(str(resources.files("curate"))) / "configs"
    shipped = {found.stem: found for found in sorted(folder.glob("*.yaml"))}
    if path not in shipped:
        raise RecipeError(f"no config {path!r}: neither a file nor one of {', '.join(shipped)}{nearest(path, shipped)}")
    return shipped[path]
