"""The notebook's way to a recipe: read, chain operators with `|`, branch, join with `+`, look, run.

corpus = read("web/*.jsonl.zst") | ops.Gopher() | ops.Keep(rules={"words": "gopher_word_count >= 50"})
corpus.sample(1000)      # a table
corpus.run("out/web")    # the whole of it
"""

from __future__ import annotations

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


def read(data: Any, name: str = "documents", **settings: Any) -> Corpus:
    """Documents from a path, glob or URL, or from a Hugging Face dataset, Arrow, Polars or pandas table.

    `settings` are the fields of a source: `columns={"text": "content"}`, `format=`, `other=`, ...
    """
    source = Source(path=data, **settings) if isinstance(data, str | list) else _spilled(data, **settings)
    return Corpus(recipe=Recipe(name=name, sources={name: source}), on=(name,))


class Corpus(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Documents on their way through operators: an immutable recipe and the rows it now speaks of."""

    recipe: Recipe
    on: tuple[str, ...]
    condition: str | None = None

    @staticmethod
    def from_recipe(recipe: Recipe) -> Corpus:
        return Corpus(recipe=recipe, on=tuple(recipe.sources))

    def then(self, operator: Operator, as_: str | None = None, columns: dict[str, str] | None = None) -> Corpus:
        """This corpus after one more operator; `as_` names the instance, `columns` renames what it reads."""
        everything = tuple(name for name, source in self.recipe.sources.items() if not source.reference)
        from_ = () if self.on == everything else self.on
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
        """All rows again, after a branch."""
        return msgspec.structs.replace(self, on=tuple(self.recipe.sources), condition=None)

    def __add__(self, other: Corpus) -> Corpus:
        """Both corpora, or two branches of one joined again."""
        sources = {**self.recipe.sources, **other.recipe.sources}
        clash = [n for n in sources if n in self.recipe.sources and n in other.recipe.sources
                 and self.recipe.sources[n] != other.recipe.sources[n]]  # fmt: skip
        if clash:
            raise PlanError(f"two different sources are called {clash[0]!r}: give one another name in read(...)")
        mine = list(self.recipe.steps)
        steps = (*mine, *(step for step in other.recipe.steps if not any(step is known for known in mine)))
        joined = msgspec.structs.replace(self.recipe, sources=sources, steps=_scoped(steps, self, other))
        return Corpus(recipe=joined, on=tuple(dict.fromkeys((*self.on, *other.on))))

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
        from curate.store import Store

        return plan_text(plan_recipe(self.recipe), Store(self.recipe.path))

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


def _scoped(steps: tuple[Step, ...], left: Corpus, right: Corpus) -> tuple[Step, ...]:
    """Steps of a corpus that stood alone keep to its own sources once it is joined with others."""
    if left.recipe.sources.keys() == right.recipe.sources.keys():
        return steps
    scoped = []
    for step in steps:
        home = left if any(step is known for known in left.recipe.steps) else right
        names = tuple(name for name, source in home.recipe.sources.items() if not source.reference)
        scoped.append(step if step.from_ else msgspec.structs.replace(step, from_=names))
    return tuple(scoped)


def _spilled(data: Any, **settings: Any) -> Source:
    """A table in memory as a Parquet source, so that workers can read it."""
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    from curate.store import whole

    if hasattr(data, "with_format") and hasattr(data, "to_parquet"):
        data = data.with_format("arrow")[:]
    table = data if isinstance(data, pa.Table) else data.to_arrow() if hasattr(data, "to_arrow") else pa.table(data)
    folder = Path(tempfile.gettempdir(), f"curate-{__import__('os').getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with whole(folder / "incoming.parquet") as temporary:
        pq.write_table(table, temporary)
        name = hashlib.sha256(temporary.read_bytes()).hexdigest()[:16]
        path = folder / f"{name}.parquet"
        if not path.exists():
            path.hardlink_to(temporary)
    return Source(path=str(path), **settings)
