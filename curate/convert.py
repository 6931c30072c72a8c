"""Plain YAML values to typed structures, with messages that name the key, the line and the nearest right name."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from curate.document import Document, Place
from curate.errors import RecipeError, nearest

T = TypeVar("T")
SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*$")


def convert(data: Any, kind: type[T], document: Document, place: Place, what: str) -> T:
    """`data` as a `kind`; RecipeError with file:line when it does not fit. `what` is its name in messages."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        inner = _locate(data, kind, path.strip("`"), str(error))
        unknown = re.search(r"unknown field `([^`]+)`", message)
        if unknown:
            inner, message = (*inner, unknown[1]), _unknown(kind, data, inner, unknown[1], what)
        missing = re.search(r"missing required field `([^`]+)`", message)
        if missing:
            message = f"{_name(what, inner)} needs {missing[1]!r}"
        elif not unknown:
            message = f"{_name(what, inner)}: {_sentence(message, data, kind, inner)}"
        raise RecipeError(f"{document.where((*place, *inner))}: {message}") from None
    except RecipeError as error:  # what a structure's own check says
        inner = _said(data, str(error))
        raise RecipeError(f"{document.where((*place, *inner))}: {_name(what, inner)}: {error}") from None


def size(text: str | int) -> int:
    """Bytes of a size with a unit.

    >>> size("256MB"), size("2 GiB"), size(100)
    (256000000, 2147483648, 100)
    """
    if isinstance(text, int):
        return text
    found = SIZE.match(text)
    if not found:
        raise RecipeError(f"{text!r} is not a size: write 64MB, 1.5GB or 512KiB")
    power = "_kMGT".index(found[2].replace("K", "k") or "_")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def _locate(data: Any, kind: Any, path: str, message: str) -> Place:
    """The place msgspec means. It writes `[...]` for the value of some key, so try the keys one by one."""
    place: Place = ()
    for key, index, any_key in re.findall(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])", path):
        if any_key:
            found = next((k for k in _at(data, place) if _fails_alone(data, kind, place, k, message)), None)
            if found is None:
                return place
            place = (*place, found)
        else:
            place = (*place, key or int(index))
    return place


def _fails_alone(data: Any, kind: Any, place: Place, key: str, message: str) -> bool:
    try:
        msgspec.convert(_with_only(data, place, key), kind)
    except msgspec.ValidationError as error:
        return str(error) == message
    return False


def _with_only(data: Any, place: Place, key: str) -> Any:
    if not place:
        return {key: data[key]}
    if isinstance(data, list):
        return [_with_only(v, place[1:], key) if at == place[0] else v for at, v in enumerate(data)]
    return {**data, place[0]: _with_only(data[place[0]], place[1:], key)}


def _at(data: Any, place: Place) -> Any:
    for key in place:
        data = data[key]
    return data


def _said(data: Any, message: str) -> Place:
    """The place of the value that a message quotes."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        if isinstance(value, dict | list):
            inner = _said(value, message)
            if inner:
                return (key, *inner)
        elif repr(value) in message:
            return (key,)
    return ()


def _value(data: Any, place: Place) -> Any:
    try:
        return _at(data, place)
    except (KeyError, IndexError, TypeError):
        return None


def _unknown(kind: Any, data: Any, inner: Place, key: str, what: str) -> str:
    fields = _fields(kind, inner)
    known = f" (it has: {', '.join(fields)})" if fields and not nearest(key, fields) else nearest(key, fields)
    return f"{_name(what, inner)} has no key {key!r}{known}"


def _fields(kind: Any, inner: Place) -> list[str]:
    """Names of the fields at a place inside a structure type."""
    structs = [option for option in _options(kind, inner) if isinstance(option, msgspec.inspect.StructType)]
    return [field.encode_name for struct in structs for field in struct.fields]


def _options(kind: Any, inner: Place) -> tuple[Any, ...]:
    """The types that a value at a place inside a type may have."""
    options = _alternatives(msgspec.inspect.type_info(kind))
    for key in inner:
        options = tuple(inside for option in options for inside in _inside(option, key))
    return options


def _alternatives(info: Any) -> tuple[Any, ...]:
    return tuple(info.types) if isinstance(info, msgspec.inspect.UnionType) else (info,)


def _inside(info: Any, key: str | int) -> tuple[Any, ...]:
    if isinstance(info, msgspec.inspect.StructType):
        return next((_alternatives(field.type) for field in info.fields if field.encode_name == key), ())
    if isinstance(info, msgspec.inspect.DictType):
        return _alternatives(info.value_type)
    if isinstance(info, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
        return _alternatives(info.item_type)
    return ()


def _name(what: str, inner: Place) -> str:
    return ".".join([what, *map(str, inner)])


def _sentence(message: str, data: Any, kind: Any, inner: Place) -> str:
    """msgspec's message without its marks, with the value that is wrong and what it may be."""
    value = _value(data, inner)
    if message.startswith("Invalid enum value"):
        choices = [choice for option in _options(kind, inner) for choice in getattr(option, "values", ())]
        return f"{value!r} is not one of {', '.join(map(str, choices))}{nearest(str(value), map(str, choices))}"
    text = re.sub(r"`([^`]*)`", r"\1", message)
    if not text.startswith("Expected"):
        return text
    for word, ours in {"Expected": "expected", "object": "a mapping", "array": "a list"}.items():
        text = text.replace(word, ours)
    return f"{text} ({value!r})" if "got" in text else f"{text}, got {value!r}"
