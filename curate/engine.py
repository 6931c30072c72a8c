"""A recipe, a config and a run folder -> a result. Passes in order, a barrier after each, then the files."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import msgspec

import curate
from curate.config import Config
from curate.errors import DataError
from curate.execute import corpus, export
from curate.execute.batches import DamagedWork, read_table
from curate.execute.damage import healing
from curate.execute.tasks import Task, save_plan
from curate.execute.warm import is_cold, warm
from curate.funnel import Funnel
from curate.io.parquet import remove_unfinished
from curate.operator import Deduplicator
from curate.plan import Pass, Plan
from curate.planner import look_at_sources, make_plan
from curate.progress import Progress
from curate.recipe import Recipe
from curate.result import Result, open_run
from curate.shared import is_remote, publish
from curate.store import Store, located, write_text


class Executor(Protocol):
    """The whole interface between the engine and where it runs."""

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, dict[str, Any]]]: ...

    def close(self) -> None: ...


def plan_recipe(recipe: Recipe, config: Config | None = None) -> Plan:
    """The plan of a recipe: sources are listed and their first records looked at, nothing else is read."""
    return make_plan(recipe, *look_at_sources(recipe, (config or Config()).corrupt_archives))


def run(recipe: Recipe | str | Path, config: Config | None = None, progress: Progress | None = None) -> Result:
    """Run a recipe (or continue a run that was stopped) and return its result.

    Raises RecipeError and PlanError before any text is read, DataError when too many records are unreadable.
    """
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    config, progress = config or Config(), progress or Progress("quiet")
    plan = plan_recipe(recipe, config)
    store = Store(located(recipe.path))
    with store.claimed(recipe.name):
        progress.log_to(store.path("log.jsonl"))
        if _is_done(plan, store, config):
            progress.say(f"nothing to do: {recipe.path} is up to date")
            return open_run(store.root, recipe)
        remove_unfinished(store.work())
        run_ = _Run(plan, store, config, progress)
        try:
            with settled():
                run_.work()
        except DamagedWork as error:
            raise healing(store, error) from error
        finally:
            run_.executor.close()
    return open_run(store.root, recipe)


@contextmanager
def settled() -> Iterator[None]:
    """The garbage collector does not look again and again at what is loaded by now (4 % of a run)."""
    if gc.get_freeze_count():  # somebody's own
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def make_executor(config: Config) -> Executor:
    if config.executor == "ray":
        from curate.execute.ray import Ray

        return Ray(config)
    from curate.execute.local import Local

    return Local(config.parallelism)


def _is_done(plan: Plan, store: Store, config: Config) -> bool:
    manifest = store.manifest() or {}
    if manifest.get("key") != export.export_key(plan):
        return False
    if manifest["quarantined"] > config.quarantine_share * manifest["records"]:
        return False
    files = [file for part in ("data", "annotations") for file in manifest[part]]
    made = ["report.html", "README.md", *(["contamination.parquet"] if "contamination" in manifest else [])]
    if not store.has((*(file["path"] for file in files), *made)):
        return False
    return is_remote(store.root) or all(store.path(file["path"]).stat().st_size == file["bytes"] for file in files)


class _Run:
    """One run of one plan."""

    def __init__(self, plan: Plan, store: Store, config: Config, progress: Progress):
        self.plan, self.store, self.config, self.progress = plan, store, config, progress
        self.task = Task("pass", save_plan(plan, store, export.export_key(plan)), store, config, 0)
        self.clock: dict[str, float] = {}
        self.executor = self._warm_executor()

    def work(self) -> None:
        began = time.perf_counter()
        for this in self.plan.passes:
            self._pass(this)
            self._check_quarantine(this)
            if this.end is not None:
                self._barrier(this)
        funnel = self._funnel()
        files = self._export()
        self._finish(funnel, files)
        self.progress.log("run", seconds=time.perf_counter() - began, clock=self.clock)

    def _warm_executor(self) -> Executor:
        """Compile kernels once, before workers start and would each do it."""
        if is_cold(self.plan):
            self.progress.say("compiling kernels for this machine (once; some twenty seconds)")
            if self.config.executor == "local":
                warm(self.plan)
        return make_executor(self.config)

    def _pass(self, this: Pass) -> None:
        part = self.plan.taking_part(this)
        todo = [number for number, facts in zip(part, self._receipts(this), strict=True) if not facts]
        tasks = [msgspec.structs.replace(self.task, at=this.index, shards=(number,)) for number in todo]
        total = sum(self.plan.shards[number].bytes for number in todo)
        title = f"pass {this.index + 1} of {len(self.plan.passes)}"
        with self.progress.stage(title, len(todo), total, reused=len(part) - len(todo)) as stage:
            for task, facts in self._largest_first(tasks):
                stage.advance(facts["rows"], self.plan.shards[task.shards[0]].bytes, facts["bytes"])
                self._add_clock(facts["clock"])
                self.progress.log("shard", stage=title, shard=self.plan.shards[task.shards[0]].name, **_brief(facts))

    def _largest_first(self, tasks: list[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        """Long tasks begin first, so that workers finish together."""
        yield from self.executor.map(sorted(tasks, key=lambda task: -self.plan.shards[task.shards[0]].bytes))

    def _barrier(self, this: Pass) -> None:
        step = self.plan.steps[this.end or 0]
        with self.progress.stage(f"{step.step.name}: corpus-wide", 1, 0):
            began = time.perf_counter()
            facts = corpus.decide(self.plan, self.store, this, self.task, self.executor.map)
            self._add_clock({f"step {step.step.name}": time.perf_counter() - began})
            self.progress.log("barrier", step=step.step.name, **facts)

    def _receipts(self, this: Pass) -> list[dict[str, Any]]:
        return self.store.receipts(this.key, (self.plan.shards[n].key for n in self.plan.taking_part(this)))

    def _check_quarantine(self, this: Pass) -> None:
        """Too many unreadable records: stop before more work is spent on them."""
        facts = self._receipts(this)
        unreadable, rows = sum(f["bad"] for f in facts), sum(f["rows"] for f in facts)
        bad, records = unreadable + sum(len(f.get("quarantined", [])) for f in facts), unreadable + rows
        if bad > self.config.quarantine_share * records:
            self._write_quarantine(this, facts)
            raise DataError(
                f"{bad} of {records} records are quarantined, above the share that the config allows"
                f" (quarantine_share: {self.config.quarantine_share:g}); see {self.store.path('quarantine.jsonl')}"
            )

    def _funnel(self) -> Funnel:
        facts = self._receipts(self.plan.passes[-1])
        pairs = zip(self.plan.shards, facts, strict=True)
        funnel = Funnel(self.plan.reasons, [(shard.source, fact) for shard, fact in pairs if self.plan.exported(shard)])
        funnel.check()
        self._write_quarantine(self.plan.passes[-1], facts)
        return funnel

    def _write_quarantine(self, this: Pass, facts: list[dict[str, Any]]) -> None:
        """All quarantined records that a pass has met, in corpus order."""
        lines = []
        for number, fact in zip(self.plan.taking_part(this), facts, strict=True):
            shard = self.plan.shards[number]
            for line in self.store.bad(shard.key).read_text().splitlines():
                lines.append(json.dumps({"source": shard.source, **json.loads(line)}, ensure_ascii=False))
            for record in fact.get("quarantined", []):
                lines.append(json.dumps({"source": shard.source, **record}, ensure_ascii=False))
        write_text(self.store.path("quarantine.jsonl"), "".join(line + "\n" for line in lines))

    def _export(self) -> dict[str, list[dict[str, Any]]]:
        """Write all files into a folder of their own, then put it in the place of the last result."""
        kept = [fact.get("kept_bytes", 0) for fact in self._receipts(self.plan.passes[-1])]
        tasks = [
            msgspec.structs.replace(self.task, kind="export", at=at, shards=shards)
            for at, shards in enumerate(export.groups(self.plan, kept))
        ]
        folder = export.staging(self.task.plan)
        self.store.remove(".work", *folder.split("/"))
        for part in ("data", "annotations"):
            self.store.work(folder, part).mkdir(parents=True)
        files: dict[int, dict[str, Any]] = {}
        with self.progress.stage("writing files", len(tasks), sum(kept)) as stage:
            for task, facts in self.executor.map(tasks):
                files[task.at] = facts
                written = sum(kept[number] for number in task.shards)
                stage.advance(sum(file["rows"] for file in facts["data"]), written, written)
                self._add_clock(facts["clock"])
        # From here to the new manifest the folder is in between: no manifest may vouch for it.
        self.store.remove("manifest.json")
        for part in ("data", "annotations"):
            self.store.put_in_place(f"{folder}/{part}", part)
        self.store.remove(".work", *folder.split("/"))
        return {part: _listed(part, files) for part in ("data", "annotations")}

    def _finish(self, funnel: Funnel, files: dict[str, list[dict[str, Any]]]) -> None:
        """The manifest is written last: where it stands, the run is whole."""
        from curate.card import write_card
        from curate.report import write_report

        kept, rows = funnel.total(None)["documents"], sum(file["rows"] for file in files["data"])
        if kept != rows:
            raise DataError(f"{kept} documents were kept but {rows} written: please report this")
        at, recipe = self.store.path("recipe.yaml"), self.plan.recipe
        recipe = recipe if is_remote(self.store.root) else recipe.seen_from(at.parent)
        write_text(at, recipe.to_yaml())
        manifest = {
            "curate": curate.__version__,
            "recipe": self.plan.recipe.name,
            "key": export.export_key(self.plan),
            "records": funnel.rows + funnel.bad,
            "kept": kept,
            "quarantined": funnel.quarantined,
            "columns": {field.name: str(field.type) for field in export.schemas(self.plan)[0]},
            "rules": dict(funnel.failed),
            "funnel": funnel.to_plain(),
            "corpus": self._corpus_facts(),
            **self._contamination(),
            **self._models(),
            **self._personal_data(),
            "shards": [[source, len(list(run))] for source, run in groupby(shard.source for shard in self.plan.shards)],
            **files,
        }
        write_text(self.store.work("stored.json"), json.dumps(self._stored()))
        began = time.perf_counter()
        for part in ("data", "annotations"):
            self.store.files(part, "*.parquet")
        write_report(self.store.path("report.html"), manifest, self.plan.recipe, self._shared(manifest), self.clock)
        write_card(self.store.path("README.md"), manifest, self.plan.recipe)
        self._add_clock({"report and card": time.perf_counter() - began})
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode()
        write_text(self.store.path("manifest.json"), text + "\n")

    def _corpus_facts(self) -> dict[str, Any]:
        """What the corpus-wide steps found."""
        ends = [self.plan.steps[this.end] for this in self.plan.passes if this.end is not None]
        return {end.step.name: self.store.receipt(end.corpus_key, "all") for end in ends}

    def _shared(self, manifest: dict[str, Any]) -> Any:
        """What sources share by clusters, for the report."""
        if not any(isinstance(step.operator, Deduplicator) for step in self.plan.steps):
            return None
        from curate.overlap import copies

        return copies(Result(self.store.root, manifest), self.plan.recipe)

    def _stored(self) -> dict[str, Any]:
        """Where what was kept of each document is, to compare sources by: keys of shards and of sketches."""
        sketches = {s.step.name: s.value_key for s in self.plan.steps if isinstance(s.operator, Deduplicator)}
        return {"shards": [shard.key for shard in self.plan.shards], "sketches": sketches}

    def _contamination(self) -> dict[str, Any]:
        """Which items of test sets the documents hold, if a step has looked for them."""
        from curate.operators.decontaminate import Decontaminate

        steps = [step for step in self.plan.steps if isinstance(step.operator, Decontaminate)]
        if not steps:
            self.store.remove("contamination.parquet")
            return {}
        from curate.contamination import write_contamination

        models = [(step.step, read_table(self.store.model(step.corpus_key))) for step in steps]
        found = write_contamination(self.store.path(), models)
        publish(self.store.path() / "contamination.parquet")
        return {"contamination": found}

    def _models(self) -> dict[str, Any]:
        """Files of the models that were trained, at models/STEP/, and of those that were only read: content by step."""
        trained = export.models(self.plan, self.store)
        read = {step.step.name: step.operator.identity()["files"] for step in self.plan.steps if step.operator.files()}
        return {**({"models": trained} if trained else {}), **({"files_read": read} if read else {})}

    def _personal_data(self) -> dict[str, Any]:
        """What was found of e-mail addresses, numbers and keys, if a step has looked for them."""
        from curate.operators.pii import Pii, Redact
        from curate.personal import personal_data

        steps = [step.step for step in self.plan.steps if isinstance(step.operator, Pii | Redact)]
        return {"personal_data": personal_data(self.store.path(), steps)} if steps else {}

    def _add_clock(self, clock: dict[str, float]) -> None:
        for part, seconds in clock.items():
            self.clock[part] = self.clock.get(part, 0.0) + seconds


def _brief(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key in ("rows", "bad", "bytes", "clock")}


def _listed(part: str, files: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    listed = [file for at in sorted(files) for file in files[at][part]]
    return [{**file, "path": f"{part}/{Path(file['path']).name}"} for file in listed]
