"""Operators by value: cloudpickle (behind loky and Ray), taught about msgspec's structs.

cloudpickle makes an empty class and fills it afterwards, but the fields of a struct are fixed when its class is made.
"""

from __future__ import annotations

import io
import types
from typing import Any

import cloudpickle
import msgspec
from cloudpickle.cloudpickle import _lookup_class_or_track

OPTIONS = ("frozen", "eq", "order", "forbid_unknown_fields")
MADE_BY_MSGSPEC = ("__annotations__", "__match_args__")


def dumps(value: Any) -> bytes:
    """A pickle in which classes of notebooks and `uses:` files are whole; `pickle.loads` reads it anywhere."""
    out = io.BytesIO()
    _Pickler(out).dump(value)
    return out.getvalue()


class _Pickler(cloudpickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, msgspec.Meta):
            return _meta, (dict(obj.__rich_repr__()),)
        reduced = super().reducer_override(obj)
        if not isinstance(obj, type(msgspec.Struct)) or not isinstance(reduced, tuple):
            return reduced
        _, (_, name, bases, body, tracker, _), (state, slots), *how = reduced
        state = {key: value for key, value in state.items() if not _is_made(obj, key)}
        options = {option: getattr(obj.__struct_config__, option) for option in OPTIONS}
        options["kw_only"] = not set(_annotations(obj)) <= set(obj.__match_args__)
        given = (name, bases, {**body, "__annotations__": _annotations(obj)}, _defaults(obj), options, tracker)
        return _struct, given, (state, slots), *how


def _is_made(cls: Any, key: str) -> bool:
    """Whether msgspec makes this attribute anew with the class."""
    return key in cls.__struct_fields__ or key in MADE_BY_MSGSPEC or key.startswith("__struct_")


def _annotations(cls: Any) -> dict[str, Any]:
    own: dict[str, Any] = vars(cls).get("__annotations__", {})
    return own


def _defaults(cls: Any) -> dict[str, dict[str, Any]]:
    """For each of the class's own fields that has one: its default, or what makes it."""
    found = {}
    for field in msgspec.structs.fields(cls):
        if field.name in _annotations(cls) and not field.required:
            is_value = field.default is not msgspec.NODEFAULT
            found[field.name] = {"default": field.default} if is_value else {"default_factory": field.default_factory}
    return found


def _struct(name: str, bases: Any, body: dict[str, Any], defaults: Any, options: dict[str, Any], tracker: str) -> Any:
    fields = {field: msgspec.field(**default) for field, default in defaults.items()}
    made = types.new_class(name, bases, options, lambda namespace: namespace.update(body, **fields))
    return _lookup_class_or_track(tracker, made)


def _meta(given: dict[str, Any]) -> msgspec.Meta:
    return msgspec.Meta(**given)
