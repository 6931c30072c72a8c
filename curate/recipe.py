"""A recipe: named sources, a graph of steps and an output. YAML and Python forms say the same thing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from curate.convert import size
from curate.io.source import Source
from curate.operator import Operator, edits


class Step(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An operator placed in a recipe.

    as_      name of this instance; prefixes the columns and reasons it writes
    from_    corpora it works on: names of sources or of other steps (default: all rows)
    where    SQL condition on columns made before; other rows pass untouched
    columns  which column to read for one of the operator's own, e.g. {"text": "title"}
    place    file:line in the recipe, for messages
    """

    operator: Operator
    as_: str | None = None
    from_: tuple[str, ...] = ()
    where: str | None = None
    columns: dict[str, str] = {}
    place: str = ""

    @property
    def name(self) -> str:
        return self.as_ or self.operator.name()

    def columns_written(self) -> dict[str, str]:
        """Columns the step writes: the operator's own name -> the name in the corpus (`as:` prefixes new ones)."""
        prefix = f"{self.as_}_" if self.as_ else ""
        names = {own: prefix + own for own in self.operator.writes()}
        edited = [own for own in names if edits(self.operator, own)]
        return names | {own: self.columns.get(own, own) for own in edited}

    def reasons_given(self) -> dict[str, str]:
        """Reasons the step can drop for: the operator's own name -> the name in the output."""
        if self.as_ is None:
            return {own: own for own in self.operator.reasons()}
        own_name = self.operator.name()
        return {own: self.as_ if own == own_name else f"{self.as_}.{own}" for own in self.operator.reasons()}

    def to_plain(self) -> str | dict[str, Any]:
        """The step as it stands in YAML; parameters at their defaults are left out."""
        given = changed(self.operator)
        given |= {"as": self.as_} if self.as_ else {}
        given |= {"from": list(self.from_) if len(self.from_) > 1 else self.from_[0]} if self.from_ else {}
        given |= {"where": self.where} if self.where else {}
        given |= {"columns": dict(self.columns)} if self.columns else {}
        return {self.operator.name(): given} if given else self.operator.name()


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the result goes and in what shape.

    path            folder; its `data`, `annotations` and `manifest.json` are what users read
    file_size       target size of a Parquet file (uncompressed bytes, e.g. 256MB)
    row_group_rows  at most this many documents in a row group; trainers read whole groups, at random
    compression     ZSTD level
    """

    path: str | None = None
    file_size: str = "256MB"
    row_group_rows: int = 2_000
    compression: int = 1

    def __post_init__(self) -> None:
        size(self.file_size)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sources, steps and output. `Recipe.load(path)`, `recipe.save(path)`, `print(recipe)`."""

    name: str
    description: str = ""
    uses: tuple[str, ...] = ()
    sources: dict[str, Source] = {}
    steps: tuple[Step, ...] = ()
    annotate: Literal["kept", "all"] = "kept"
    output: Output = Output()
    card: dict[str, Any] = {}
    file: str = ""
    places: dict[str, str] = {}  # file:line of each source, for messages

    @staticmethod
    def load(
        path: str | Path,
        variables: Mapping[str, Any] | None = None,
        sets: Mapping[str, str] | None = None,
        allow_code: bool = False,
    ) -> Recipe:
        """Read a recipe file, or a shipped recipe by its name. `sets` are `--set key=value` overrides.

        `uses:` of Python files outside the recipe's folder is a RecipeError unless `allow_code`: they would be run.
        """
        from curate import recipe_file

        return recipe_file.load(path, dict(variables or {}), dict(sets or {}), allow_code)

    @staticmethod
    def parse(text: str, variables: Mapping[str, Any] | None = None) -> Recipe:
        """A recipe from YAML text."""
        from curate import recipe_file

        return recipe_file.parse(text, dict(variables or {}))

    def to_plain(self) -> dict[str, Any]:
        """The recipe as plain values, as it stands in YAML."""
        plain: dict[str, Any] = {"name": self.name, "description": self.description, "uses": list(self.uses)}
        plain["sources"] = {name: changed(source) for name, source in self.sources.items()}
        plain["steps"] = [step.to_plain() for step in self.steps]
        plain |= {"annotate": self.annotate} if self.annotate != "kept" else {}
        plain |= {"output": changed(self.output), "card": self.card}
        return {key: value for key, value in plain.items() if value or key in ("sources", "steps")}

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_plain(), sort_keys=False, allow_unicode=True, width=120)

    def save(self, path: str | Path) -> Path:
        """Write the recipe as YAML."""
        Path(path).write_text(self.to_yaml(), encoding="utf-8")
        return Path(path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.to_plain() == other.to_plain()

    def __hash__(self) -> int:
        return hash(self.to_yaml())

    def __str__(self) -> str:
        return self.to_yaml()

    def anywhere(self) -> Recipe:
        """The recipe without its output folder and those of its `uses:`: what its results depend on."""
        output, uses = msgspec.structs.replace(self.output, path=None), tuple(Path(file).name for file in self.uses)
        return msgspec.structs.replace(self, output=output, uses=uses)

    def seen_from(self, folder: Path) -> Recipe:
        """The recipe as a file in `folder` has it: its `uses:` are found from there, wherever it is read."""
        uses = tuple(Path(os.path.relpath(file, folder)).as_posix() for file in self.uses)
        return msgspec.structs.replace(self, uses=uses)

    @property
    def path(self) -> str:
        """The output folder."""
        return self.output.path or f"out/{self.name}"


def changed(value: Any) -> Any:
    """A structure as plain values, without the fields that are at their defaults."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        given = {field.encode_name: getattr(value, field.name) for field in fields}
        return {
            field.encode_name: changed(given[field.encode_name])
            for field in fields
            if field.required or given[field.encode_name] != default(field)
        }
    if isinstance(value, dict):
        return {key: changed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [changed(inner) for inner in value]
    return value


def default(field: msgspec.structs.FieldInfo) -> Any:
    """The default of a field that has one."""
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory()
