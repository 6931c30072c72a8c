"""Reads recipes: YAML with variables, includes and rule sets becomes a `curate.recipe.Recipe`."""

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
from curate.convert import convert
from curate.document import Document, Place, at_line, read_document
from curate.errors import RecipeError, nearest
from curate.io.source import Source
from curate.operator import Operator
from curate.recipe import Output, Recipe, Step

Catalogue = dict[str, type[Operator]]


def load(path: str | Path, variables: dict[str, Any], sets: dict[str, str], allow_code: bool) -> Recipe:
    """The recipe of a file, or a shipped one by its name; see `Recipe.load`."""
    path = locate(path)
    plain_sets = {key: value for key, value in sets.items() if "." not in key}
    document = read_document(path, {**builtin_variables(), **variables, **plain_sets})
    document.inside, document.code = (path.resolve(),), None if allow_code else path.parent
    return _recipe(document, path.parent, {**variables, **plain_sets}, sets)


def parse(text: str, variables: dict[str, Any]) -> Recipe:
    """The recipe that YAML text is."""
    return _recipe(Document(text, "recipe", {**builtin_variables(), **variables}), Path.cwd(), variables, {})


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


# ---------------------------------------------------------------- where recipes are


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


def rule_set_file(name: str) -> str:
    """What to include for a rule set: `rules/gopher` for a shipped one, else the path."""
    return f"rules/{name}" if f"rules/{name}" in shipped() else name


# ---------------------------------------------------------------- the parts of a file


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
