"""The notebook's way to a recipe: read, chain operators with `|`, branch, join with `+`, look, run.

corpus = read("web/*.jsonl.zst") | ops.Gopher() | ops.Keep(rules={"words": "gopher_word_count >= 50"})
corpus.sample(1000)      # a table
corpus.run("out/web")    # the whole of it
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from curate.config import Config
from curate.errors import PlanError
from curate.io.source import Source
from curate.operator import Operator
from curate.recipe import Recipe, Step

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.result import Result


def read(data: Any, name: str = "documents", folder: str | Path | None = None, **settings: Any) -> Corpus:
    """Documents from a path, glob or URL, or from a Hugging Face or Ray dataset, Arrow, Polars or pandas table.

    `settings` are the fields of a source: `columns={"text": "content"}`, `format=`, `other=`, ...
    What is no file becomes one in `folder` (default: a temporary folder of this machine), so that workers can read it:
    on a cluster give one that all nodes see.
    """
    source = Source(path=data, **settings) if isinstance(data, str | list) else _spilled(data, folder, settings)
    return Corpus(recipe=Recipe(name=name, sources={name: source}), on=(name,))


class Corpus(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Documents on their way through operators: an immutable recipe and the rows it now speaks of."""

    recipe: Recipe
    on: tuple[str, ...]
    condition: str | None = None

    @staticmethod
    def from_recipe(recipe: Recipe) -> Corpus:
        return Corpus(recipe=recipe, on=_everything(recipe.sources))

    def then(self, operator: Operator, as_: str | None = None, columns: dict[str, str] | None = None) -> Corpus:
        """This corpus after one more operator; `as_` names the instance, `columns` renames what it reads."""
        from_ = () if self.on == _everything(self.recipe.sources) else self.on
        step = Step(operator=operator, as_=as_, from_=from_, where=self.condition, columns=columns or {})
        return self._with(steps=(*self.recipe.steps, step))

    def __or__(self, operator: Operator) -> Corpus:
        return self.then(operator)

    def only(self, *sources: str) -> Corpus:
        """The branch of these sources; further operators leave other rows alone until `+` joins them again."""
        unknown = [name for name in sources if name not in self.recipe.sources]
        if unknown:
            raise PlanError(f"no source {unknown[0]!r}; there are: {', '.join(self.recipe.sources)}")
        return msgspec.structs.replace(self, on=sources)

    def where(self, condition: str) -> Corpus:
        """The branch of rows for which an SQL condition holds."""
        both = f"({self.condition}) AND ({condition})" if self.condition else condition
        return msgspec.structs.replace(self, condition=both)

    def everything(self) -> Corpus:
        """All rows again, after a branch; but for references."""
        return msgspec.structs.replace(self, on=_everything(self.recipe.sources), condition=None)

    def __add__(self, other: Corpus) -> Corpus:
        """Both corpora, or two branches of one joined again. A reference that joins is there to be fitted on."""
        ours, theirs = self.recipe.sources, other.recipe.sources
        clash = next((name for name in ours if name in theirs and ours[name] != theirs[name]), None)
        if clash:
            raise PlanError(f"two different sources are called {clash!r}: give one another name in read(...)")
        steps = _joined(_scoped(self, ours | theirs), _scoped(other, ours | theirs))
        joined = msgspec.structs.replace(self.recipe, sources=ours | theirs, steps=tuple(steps))
        on = tuple(dict.fromkeys((*self.on, *other.on)))
        return Corpus(recipe=joined, on=tuple(name for name in on if not joined.sources[name].reference) or on)

    def named(self, name: str) -> Corpus:
        return self._with(name=name)

    def draw(self) -> str:
        """The graph as SVG text (a notebook shows the picture)."""
        from curate.flow import svg

        return svg(self.recipe)

    def plan(self) -> str:
        """What a run would do, in words."""
        from curate.engine import plan_recipe
        from curate.explain import plan_text
        from curate.store import Store, located

        return plan_text(plan_recipe(self.recipe), Store(located(self.recipe.path)))

    def run(self, path: str | None = None, config: Config | None = None) -> Result:
        """Run it all; the result goes to `path` (default: out/<name>)."""
        from curate.engine import run

        output = msgspec.structs.replace(self.recipe.output, path=path or self.recipe.output.path)
        return run(msgspec.structs.replace(self.recipe, output=output), config)

    def sample(self, rows: int = 1000) -> pa.Table:
        """The first `rows` documents of each source through all steps: text, columns, `dropped_by`, `failed_rules`."""
        from curate.sampling import sample

        return sample(self.recipe, rows)

    def _with(self, **changes: Any) -> Corpus:
        return msgspec.structs.replace(self, recipe=msgspec.structs.replace(self.recipe, **changes))

    def __repr__(self) -> str:
        return self.recipe.to_yaml()

    def _repr_html_(self) -> str:
        return self.draw()


def _everything(sources: dict[str, Source]) -> tuple[str, ...]:
    """The sources that are exported."""
    return tuple(name for name, source in sources.items() if not source.reference)


def _scoped(corpus: Corpus, sources: dict[str, Source]) -> list[Step]:
    """The steps of a corpus that stood alone, kept to its own sources now that it is joined with others."""
    steps = list(corpus.recipe.steps)
    if corpus.recipe.sources.keys() == sources.keys():
        return steps
    own = _everything(corpus.recipe.sources)
    return [step if step.from_ else msgspec.structs.replace(step, from_=own) for step in steps]


def _joined(ours: list[Step], theirs: list[Step]) -> list[Step]:
    """Both chains in their orders; a step that stands in both, for different sources, becomes one for all of them."""
    steps, at = list(ours), 0
    for step in theirs:
        twin = next((k for k in range(at, len(steps)) if steps[k] is step or _differs_in_source(steps[k], step)), None)
        if twin is None:
            steps.insert(at if at else len(steps), step)
            at = at + 1 if at else len(steps)
            continue
        if steps[twin] is not step:
            from_ = tuple(dict.fromkeys((*steps[twin].from_, *step.from_)))
            steps[twin] = msgspec.structs.replace(steps[twin], from_=from_)
        at = twin + 1
    return steps


def _differs_in_source(one: Step, other: Step) -> bool:
    both_have_sources = bool(one.from_ and other.from_)
    bare = [msgspec.structs.replace(step, from_=()).to_plain() for step in (one, other)]
    return both_have_sources and bare[0] == bare[1]


def _spilled(data: Any, folder: str | Path | None, settings: dict[str, Any]) -> Source:
    """What is in memory as a Parquet source, so that workers can read it; the same rows give the same file."""
    from curate.io.parquet import from_dataset, write_table

    kind = type(data).__module__
    if kind.startswith("ray.data"):
        return msgspec.structs.replace(_from_ray(data, folder), **settings)
    place = Path(folder or _inputs_folder()).resolve()
    if kind.startswith("datasets."):
        source = from_dataset(data, place / str(getattr(data, "_fingerprint", id(data))))
        return msgspec.structs.replace(source, **settings)
    place.mkdir(parents=True, exist_ok=True)
    written = write_table(place / f"{os.getpid()}.parquet", _table(data))
    path = place / f"{written.sha256[:20]}.parquet"
    if not path.exists():
        os.replace(written.path, path)
    return Source(path=str(path), **settings)


def _from_ray(data: Any, folder: str | Path | None) -> Source:
    import ray

    from curate.io.ray_data import from_ray

    nodes = sum(node["Alive"] for node in ray.nodes())
    if folder is None and nodes > 1:
        raise PlanError(
            f"a Ray Dataset on {nodes} nodes is written by them: give read(..., folder=) on storage that all of them"
            " share, or write it to an object store (`data.write_parquet`) and read that"
        )
    return from_ray(data, Path(folder or _inputs_folder()).resolve())


def _table(data: Any) -> pa.Table:
    """Arrow, Polars and pandas tables, and dicts of columns, as Arrow."""
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    if hasattr(data, "to_arrow"):
        return data.to_arrow()
    if hasattr(data, "iloc"):
        return pa.Table.from_pandas(data, preserve_index=False)
    if isinstance(data, dict):
        return pa.table(data)
    raise PlanError(f"cannot read a {type(data).__name__}: give a path, a dataset, or an Arrow, Polars or pandas table")


def _inputs_folder() -> Path:
    """A folder of this user's own for tables that were in memory."""
    folder = Path(tempfile.gettempdir(), f"curate-inputs-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PlanError(f"{folder} belongs to another user: set TMPDIR to a folder of your own")
    return folder
