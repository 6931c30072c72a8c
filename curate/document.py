"""A YAML file with the line of every value, `${variable:-default}` filled in, and duplicate keys refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from curate.errors import RecipeError, nearest

Place = tuple[str | int, ...]
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Loader(yaml.SafeLoader):
    """Safe, and with the booleans of YAML 1.2 alone: `on` is a parameter, `no` is Norwegian."""


BOOLEAN = "tag:yaml.org,2002:bool"
Loader.yaml_implicit_resolvers = {
    first: [resolver for resolver in resolvers if resolver[0] != BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(BOOLEAN, re.compile("(true|True|TRUE|false|False|FALSE)$"), [*"tTfF"])


class Document:
    """What a YAML file says: `data`, `where(place)` for messages, and the variables it asks for or declares."""

    def __init__(self, text: str, file: str, variables: Mapping[str, Any] | None = None):
        self.file = file
        self.inside: tuple[Path, ...] = ()  # this file and those that include it
        self.code: Path | None = Path.cwd()  # the folder whose Python files `uses:` may name; None: any
        self.variables: dict[str, str | None] = {}
        self._given = {key: _plain(value) for key, value in (variables or {}).items()}
        self._lines: dict[Place, int] = {}
        try:
            self.data = self._read(text)
        except yaml.YAMLError as error:
            raise RecipeError(_not_yaml(error, text, file)) from error
        except RecursionError as error:
            raise RecipeError(f"{file}:1: nested too deeply, or an alias inside what it stands for") from error

    def where(self, place: Place) -> str:
        """file:line of a value, or of the nearest value around it."""
        while place and place not in self._lines:
            place = place[:-1]
        return f"{self.file}:{self._lines.get(place, 1)}"

    def set(self, dotted: str, value: str) -> None:
        """Override one value: `steps.2.keep.min`, `output.path`. A section that the file lacks is made."""
        keys = [int(key) if key.isdigit() else key for key in dotted.split(".")]
        if len(keys) > 1 and isinstance(self.data, dict):
            self.data.setdefault(keys[0], {})
        holder = self.data
        for key in keys[:-1]:
            holder = _child(holder, key, dotted)
        if not isinstance(holder, dict):
            _child(holder, keys[-1], dotted)
        try:
            holder[keys[-1]] = yaml.load(value, Loader)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {dotted}: {value!r} is not valid YAML") from error

    def nest(self, *place: str | int) -> None:
        """Read the file as if it stood at this place of a larger one."""
        for key in reversed(place):
            self.data = [self.data] if isinstance(key, int) else {key: self.data}
        self._lines = {(*place, *inner): line for inner, line in self._lines.items()}

    def _read(self, text: str) -> Any:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            self._visit(node, (), loader)
            return loader.construct_document(node)
        finally:
            loader.dispose()

    def _visit(self, node: yaml.Node, place: Place, loader: yaml.SafeLoader) -> None:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            self._fill(node, place, loader)
        elif isinstance(node, yaml.SequenceNode):
            for at, item in enumerate(node.value):
                self._visit(item, (*place, at), loader)
        elif isinstance(node, yaml.MappingNode):
            pairs = sorted(self._pairs(node, place), key=lambda pair: place != () or pair[0] != "variables")
            for key, (key_node, value_node) in pairs:
                self._lines[(*place, key)] = key_node.start_mark.line + 1
                self._visit(value_node, (*place, key), loader)
                if (*place, key) == ("variables",):
                    self._take_defaults(loader.construct_document(value_node), value_node)

    def _pairs(self, node: yaml.MappingNode, place: Place) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in seen:
                here = f"{self.file}:{key_node.start_mark.line + 1}"
                raise RecipeError(f"{here}: key {key!r} appears twice (first on line {seen[key]})")
            seen[key] = key_node.start_mark.line + 1
            yield key, (key_node, value_node)

    def _take_defaults(self, defaults: Any, node: yaml.Node) -> None:
        """The file's own `variables:` stand behind the given ones."""
        if not isinstance(defaults, dict):
            raise RecipeError(f"{self.file}:{node.start_mark.line + 1}: variables is a mapping of names to defaults")
        plain = {key: _plain(value) for key, value in defaults.items()}
        self.variables.update(plain)
        self._given = {**plain, **self._given}

    def _fill(self, node: yaml.ScalarNode, place: Place, loader: yaml.SafeLoader) -> None:
        if "${" not in node.value:
            return
        is_variable = VARIABLE.fullmatch(node.value) is not None
        node.value = VARIABLE.sub(lambda found: self._value(found, place), node.value)
        # Braces must be quoted inside {...}: a value that is one variable has the variable's type, quoted or not.
        if node.style is None or is_variable:
            node.tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))

    def _value(self, found: re.Match[str], place: Place) -> str:
        name, default = found[1], found[2]
        self.variables.setdefault(name, default)
        value = self._given.get(name, default)
        if value is None:
            known = [*self._given, *self.variables]
            raise RecipeError(
                f"{self.where(place)}: variable ${{{name}}} has no value{nearest(name, set(known) - {name})}"
                f" (give one with --set {name}=..., or a default: ${{{name}:-...}})"
            )
        return value


def read_document(path: Path, variables: Mapping[str, Any] | None = None) -> Document:
    """The YAML file at `path`; RecipeError when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read {path}: {error}") from error
    return Document(text, _shown(path), variables)


def at_line(document: Document, place: Place) -> Callable[[str], RecipeError]:
    """A maker of errors that begin with the place's file:line."""
    return lambda message: RecipeError(f"{document.where(place)}: {message}")


def _shown(path: Path) -> str:
    """The path as a person would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else str(yaml.safe_dump(value, default_flow_style=True)).split("\n")[0]


def _not_yaml(error: yaml.YAMLError, text: str, file: str) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"{file}:{line}: not valid YAML: the character {text[error.position]!r} is not allowed"
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    is_variable = "${" in "".join(text.splitlines()[line - 1 : line])
    hint = " (inside {...} and [...], ${...} must be in quotes)" if is_variable else ""
    return f"{file}:{line}: not valid YAML: {getattr(error, 'problem', error)}{hint}"


def _child(holder: Any, key: str | int, dotted: str) -> Any:
    if isinstance(holder, list) and isinstance(key, int) and key < len(holder):
        return holder[key]
    if isinstance(holder, dict) and key in holder:
        return holder[key]
    if isinstance(holder, list):
        raise RecipeError(f"--set {dotted}: there is no {key!r}, only 0 to {len(holder) - 1}")
    if not isinstance(holder, dict):
        raise RecipeError(f"--set {dotted}: {holder!r} has no {key!r}")
    names = [str(k) for k in holder]
    raise RecipeError(f"--set {dotted}: there is no {key!r}{nearest(str(key), names) or ', only ' + ', '.join(names)}")
