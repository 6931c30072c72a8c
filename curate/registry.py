"""Operators are found, not registered: the operators folder, the entry points `curate.operators`, and `uses:` files."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from curate.errors import RecipeError, nearest
from curate.operator import KINDS, Operator

STEP_KEYS = ("as", "from", "where", "columns")


@functools.cache
def builtin() -> dict[str, type[Operator]]:
    """Operators of this package and of installed plug-ins, by name."""
    import curate.operators

    modules = [
        importlib.import_module(f"curate.operators.{found.name}")
        for found in pkgutil.iter_modules(curate.operators.__path__)
    ]
    modules += [point.load() for point in importlib.metadata.entry_points(group="curate.operators")]
    return merge(*(in_module(module) for module in modules))


def in_module(module: ModuleType) -> dict[str, type[Operator]]:
    """Operators that `module` defines (not those it imports)."""
    found = {}
    for value in vars(module).values():
        is_operator = inspect.isclass(value) and issubclass(value, Operator) and value not in (Operator, *KINDS)
        if is_operator and value.__module__ == module.__name__ and not value.__name__.startswith("_"):
            clash = [key for key in STEP_KEYS if key in value.__struct_fields__]
            if clash:
                raise RecipeError(f"operator {value.name()} has a parameter {clash[0]!r}, which every step has already")
            found[value.name()] = value
    return found


def load_file(path: Path) -> dict[str, type[Operator]]:
    """Operators of a Python file that a recipe `uses:`; they travel to the workers by value."""
    if not path.is_file():
        raise RecipeError(f"uses: no file {path}")
    stamp = hashlib.sha256(str(path.resolve()).encode() + path.read_bytes()).hexdigest()[:12]
    name = f"curate_uses_{path.stem}_{stamp}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise RecipeError(f"uses: {path} cannot be imported: {type(error).__name__}: {error}") from error
        import cloudpickle

        cloudpickle.register_pickle_by_value(module)
    found = in_module(sys.modules[name])
    if not found:
        raise RecipeError(f"uses: {path} defines no operator (a class derived from Signal, Mapper, Filter, ...)")
    return found


def merge(*groups: dict[str, type[Operator]]) -> dict[str, type[Operator]]:
    """One catalogue; two operators of one name are refused."""
    merged: dict[str, type[Operator]] = {}
    for name, cls in (item for group in groups for item in group.items()):
        if name in merged and merged[name] is not cls:
            raise RecipeError(f"two operators are called {name!r}: {merged[name].__module__} and {cls.__module__}")
        merged[name] = cls
    return dict(sorted(merged.items()))


def find(name: str, catalogue: dict[str, type[Operator]] | None = None) -> type[Operator]:
    """The operator called `name`; RecipeError with the nearest name when there is none."""
    known = builtin() if catalogue is None else catalogue
    if name not in known:
        raise RecipeError(f"no operator {name!r}{nearest(name, known)} (curate ops lists them)")
    return known[name]
