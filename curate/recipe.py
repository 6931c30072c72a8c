"""A recipe: named sources, a graph of steps and an output. YAML and Python forms say the same thing."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import yaml

from curate import registry
from curate.convert import convert, size
from curate.document import Document, Place, at_line, read_document
from curate.errors import RecipeError, nearest
from curate.io.source import Source
from curate.operator import Operator, edits

Catalogue = dict[str, type[Operator]]


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
        return _load(locate(path), dict(variables or {}), dict(sets or {}), allow_code)

    @staticmethod
    def parse(text: str, variables: Mapping[str, Any] | None = None) -> Recipe:
        """A recipe from YAML text."""
        document = Document(text, "recipe", {**builtin_variables(), **(variables or {})})
        return _recipe(document, Path.cwd(), dict(variables or {}), {})

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


def load_policy(rules: str | Path | Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a policy: what `keep:` takes, steps, or a recipe; as a file, a rule set's name, or plain values."""
    if isinstance(rules, Mapping):
        document, folder = Document(yaml.safe_dump(dict(rules)), "rules", builtin_variables()), Path.cwd()
    else:
        path = locate(rule_set_file(str(rules)))
        document, folder = read_document(path, builtin_variables()), path.parent
        document.inside, document.code = (path.resolve(),), path.parent
    if isinstance(document.data, list):
        document.nest("steps")
    elif isinstance(document.data, dict) and "rules" in document.data:
        document.nest("steps", 0, "keep")
    elif isinstance(document.data, dict) and [*document.data] == ["keep"]:
        document.nest("steps", 0)
    return _recipe(document, folder, {}, {}).steps


class _Head(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The top level of a recipe file, steps and sources still plain."""

    name: str | None = None
    description: str = ""
    variables: dict[str, Any] = {}
    uses: list[str] = []
    sources: dict[str, Any] = {}
    steps: list[Any] = []
    annotate: Literal["kept", "all"] = "kept"
    output: Output = Output()
    card: dict[str, Any] = {}


class _Placed(msgspec.Struct, kw_only=True):
    """What every step may say beside its operator's parameters."""

    as_: str | None = msgspec.field(default=None, name="as")
    from_: str | list[str] = msgspec.field(default_factory=list, name="from")
    where: str | None = None
    columns: dict[str, str] = {}


class _Include(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of an `include:` step."""

    recipe: str
    with_: dict[str, Any] = msgspec.field(default_factory=dict, name="with")


class _RuleSet(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of a `keep:` step that names a rule set, but for what every step may say."""

    rules: str
    with_: dict[str, Any] = msgspec.field(default_factory=dict, name="with")


def shipped() -> dict[str, Path]:
    """Recipes that come with curate, by name: `quickstart`, `rules/gopher`."""
    root = Path(str(resources.files("curate"))) / "recipes"
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob("*.yaml"))}


def locate(path: str | Path, beside: Path | None = None) -> Path:
    """A recipe's file from a path (also relative to the file that includes it) or a shipped recipe's name."""
    candidates = [Path(path)] if beside is None else [beside / path, beside / f"{path}.yaml", Path(path)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    names = shipped()
    if str(path) in names:
        return names[str(path)]
    known = nearest(str(path), names) or f"; there are {', '.join(names)}"
    raise RecipeError(f"no recipe {str(path)!r}: neither a file nor one that comes with curate{known}")


def builtin_variables() -> dict[str, str]:
    """Variables that every recipe may use: `${site_packages}`, where this Python keeps its packages."""
    return {"site_packages": sysconfig.get_paths()["purelib"]}


def _load(path: Path, variables: dict[str, Any], sets: dict[str, str], allow_code: bool) -> Recipe:
    plain_sets = {key: value for key, value in sets.items() if "." not in key}
    document = read_document(path, {**builtin_variables(), **variables, **plain_sets})
    document.inside, document.code = (path.resolve(),), None if allow_code else path.parent
    return _recipe(document, path.parent, {**variables, **plain_sets}, sets)


def _recipe(document: Document, folder: Path, variables: dict[str, Any], sets: dict[str, str]) -> Recipe:
    head = _head(document)
    used: set[str] = set()
    for key, value in sets.items():
        if key not in document.variables and ("." in key or key in _Head.__struct_fields__):
            document.set(key, value)
            used.add(key)
    head = _head(document)
    catalogue, files = _catalogue(head.uses, document, folder)
    sources = {
        name: convert(value, Source, document, ("sources", name), f"source {name}")
        for name, value in head.sources.items()
    }
    names = set(document.variables) | used
    steps = tuple(_steps(head.steps, _Reading(document, folder, catalogue, variables, names, set())))
    for key in sets:
        if key not in names:
            raise RecipeError(f"--set {key}: the recipe has no such variable or key{nearest(key, names)}")
    return Recipe(
        name=head.name or Path(document.file).stem,
        description=head.description,
        uses=files,
        sources=sources,
        steps=steps,
        annotate=head.annotate,
        output=head.output,
        card=head.card,
        file=document.file,
        places={name: document.where(("sources", name)) for name in head.sources},
    )


def _head(document: Document) -> _Head:
    if not isinstance(document.data, dict):
        raise RecipeError(f"{document.file}:1: a recipe is a mapping with `sources:` and `steps:`")
    return convert(document.data, _Head, document, (), "recipe")


def _catalogue(uses: list[str], document: Document, folder: Path) -> tuple[Catalogue, tuple[str, ...]]:
    """Operators this recipe may name: built in, plug-ins, and those of its `uses:` files."""
    groups, files = [registry.builtin()], []
    for at, name in enumerate(uses):
        path = folder / name if (folder / name).is_file() else Path(name)
        fail = at_line(document, ("uses", at))
        if path.is_file() and document.code and not path.resolve().is_relative_to(document.code.resolve()):
            raise fail(
                f"uses: {name} is outside the recipe's folder, and would be run as it is; read it, then put it beside "
                "the recipe, or say --allow-code (in Python `Recipe.load(..., allow_code=True)`)"
            )
        try:
            groups.append(registry.load_file(path))
        except RecipeError as error:
            raise fail(str(error)) from error
        files.append(os.path.normpath(path))
    try:
        return registry.merge(*groups), tuple(files)
    except RecipeError as error:
        raise at_line(document, ("uses",))(str(error)) from error


class _Reading(NamedTuple):
    """A file on its way to steps: what its entries may name, and what is known so far of the whole recipe."""

    document: Document
    folder: Path
    catalogue: Catalogue
    given: dict[str, Any]  # variables
    names: set[str]  # of all variables met
    made: set[str]  # columns that steps so far write


def _steps(entries: list[Any], reading: _Reading) -> Iterator[Step]:
    for at, entry in enumerate(entries):
        place: Place = ("steps", at)
        fail = at_line(reading.document, place)
        if isinstance(entry, str):
            entry = {entry: {}}
        if not isinstance(entry, dict) or len(entry) != 1:
            raise fail("a step is an operator's name, or one `name: {parameters}`")
        ((name, body),) = entry.items()
        if not isinstance(name, str):
            raise fail(f"an operator's name is text, got {name!r}")
        if name == "include":
            yield from _included(body, reading, (*place, "include"))
            continue
        is_rule_set = name == "keep" and isinstance(body, dict) and isinstance(body.get("rules"), str)
        steps = _rule_set(body, reading, (*place, name)) if is_rule_set else []
        for step in steps or [_step(name, {} if body is None else body, reading, (*place, name))]:
            reading.made.update(step.columns_written().values())
            yield step


def _included(body: Any, reading: _Reading, place: Place) -> Iterator[Step]:
    """The steps of another recipe or rule set, with its variables given in `with:`."""
    document = reading.document
    body = {"recipe": body} if isinstance(body, str) else body
    include = convert(body, _Include, document, place, "include")
    try:
        path = locate(include.recipe, reading.folder)
    except RecipeError as error:
        raise at_line(document, place)(str(error)) from error
    if path.resolve() in document.inside:
        circle = [*document.inside[document.inside.index(path.resolve()) :], path]
        raise at_line(document, place)(f"recipes include each other: {' -> '.join(file.name for file in circle)}")
    values = {**builtin_variables(), **reading.given, **include.with_}
    inner = read_document(path, values)
    inner.inside, inner.code = (*document.inside, path.resolve()), document.code
    unknown = set(include.with_) - set(inner.variables)
    if unknown:
        word = sorted(unknown)[0]
        raise at_line(document, (*place, "with", word))(
            f"{inner.file} has no variable {word!r}{nearest(word, inner.variables)}"
        )
    reading.names.update(inner.variables)
    head = _head(inner)
    more, _ = _catalogue(head.uses, inner, path.parent)
    catalogue = registry.merge(reading.catalogue, more)
    yield from _steps(head.steps, reading._replace(document=inner, folder=path.parent, catalogue=catalogue))


def rule_set_file(name: str) -> str:
    """What to include for a rule set: `rules/gopher` for a shipped one, else the path."""
    return f"rules/{name}" if f"rules/{name}" in shipped() else name


def _rule_set(body: dict[str, Any], reading: _Reading, place: Place) -> list[Step]:
    """`keep: {rules: NAME, with: {RULE: changes}}`: the set's signals, as far as its rules read them, and its rules."""
    from curate.rules import expand

    document, fail = reading.document, at_line(reading.document, (*place, "rules"))
    placed = {key: body[key] for key in registry.STEP_KEYS if key in body}
    about = convert(placed, _Placed, document, place, "keep")
    rest = {key: value for key, value in body.items() if key not in placed}
    asked = convert(rest, _RuleSet, document, place, "keep")
    sets = [name.removeprefix("rules/") for name in shipped() if name.startswith("rules/")]
    try:
        locate(rule_set_file(asked.rules), reading.folder)
    except RecipeError as error:
        known = nearest(asked.rules, sets) or f"; there are {', '.join(sets)}"
        raise fail(f"no rule set {asked.rules!r}, and no such file{known}") from error
    said = {"as_": about.as_, "from_": _several(about.from_), "where": about.where, "columns": about.columns}
    at_keep = {key: value for key, value in said.items() if value}
    steps = [
        msgspec.structs.replace(
            step, place=document.where(place), **(at_keep if step.operator.name() == "keep" else {})
        )
        for step in _included(rule_set_file(asked.rules), reading._replace(made=set()), place)
    ]
    try:
        return expand(steps, asked.with_, reading.made)
    except RecipeError as error:
        raise at_line(document, (*place, "with"))(f"{asked.rules}: {error}") from error


def _several(names: str | list[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _step(name: str, body: Any, reading: _Reading, place: Place) -> Step:
    document, catalogue = reading.document, reading.catalogue
    fail = at_line(document, place)
    if name not in catalogue:
        raise fail(f"no operator {name!r}{nearest(name, catalogue)} (curate ops lists them)")
    if not isinstance(body, dict):
        raise fail(f"{name} takes parameters by name: `{name}: {{key: value}}`, got {body!r}")
    placed = {key: body[key] for key in registry.STEP_KEYS if key in body}
    rest = {key: value for key, value in body.items() if key not in placed}
    about = convert(placed, _Placed, document, place, name)
    try:
        operator = convert(rest, catalogue[name], document, place, name)
    except (ValueError, TypeError) as error:
        raise fail(f"{name}: {error}") from error
    return Step(
        operator=operator,
        as_=about.as_,
        from_=_several(about.from_),
        where=about.where,
        columns=about.columns,
        place=document.where(place),
    )


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
