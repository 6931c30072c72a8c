"""Reads instruction data: ShareGPT, Alpaca, and the messages of OpenAI and Tulu, as one form with a view as text.

`text` is the conversation as Tulu writes it: `<|role|>` on a line of its own before each turn. `user_text` and
its like are what one role says, so that any signal can be measured of each role.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from curate.errors import DataError
from curate.io.batched import Row, batched
from curate.io.blocks import Blocks
from curate.io.columns import excerpt, typed_schema, wanted
from curate.io.source import MB, BadRecord, DamagedFile, Shard, Source
from curate.io.stream import Stream

STRING = pa.string()
MESSAGE = pa.struct([("role", STRING), ("content", STRING), ("extra", STRING)])
SPEAKERS = ("system", "user", "assistant", "tool")
FIELDS = pa.schema(
    [("id", STRING), ("text", STRING), ("messages", pa.list_(MESSAGE)), ("dialect", STRING)]
    + [(f"{role}_text", STRING) for role in SPEAKERS]
    + [(f"{role}_turn_count", pa.int32()) for role in SPEAKERS]
    + [("last_role", STRING), ("metadata", STRING)]
)
ROLES = {"human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool"}
WORDS = {"user": "human", "assistant": "gpt"}
Message = dict[str, Any]


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """The columns are the same whatever form the conversations have."""
    return typed_schema(FIELDS, source, shard), True


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The records that are conversations; others are bad."""
    found = _rows(shard, source, quarantine)
    yield from batched(found, FIELDS, shard, source, wanted(schema, needed), batch_bytes)


def _rows(shard: Shard, source: Source, quarantine: Callable[[BadRecord], None]) -> Iterator[Row]:
    stream = Stream(shard.paths[0], source.max_expansion)
    blocks = Blocks(stream, MB, source.max_record_bytes)
    number = 0
    for position, line in _records(shard, source, blocks):
        number = position + 1
        try:
            yield Row(position, _values(line, source.max_record_bytes), len(line))
        except (ValueError, TypeError, msgspec.DecodeError, RecursionError) as error:
            quarantine(BadRecord(shard.name, position, " ".join(str(error).split()), excerpt(line)))
    if stream.damage:
        raise DamagedFile(shard.paths[0], stream.damage, max(number, blocks.line), excerpt(blocks.rest))


def _records(shard: Shard, source: Source, blocks: Blocks) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank; or the items of one array, which is read as a whole and so has to be a short one."""
    held: list[bytes] = []
    for block in blocks:
        if held or (block.line == 0 and bytes(block.data[:4096]).lstrip()[:1] == b"["):
            held.append(bytes(block.data))
            if sum(map(len, held)) > source.max_record_bytes:
                raise DataError(f"{shard.paths[0]}: a JSON array above max_record_bytes; jq -c '.[]' makes lines of it")
            continue
        start = 0
        for number, end in enumerate(block.ends.tolist(), start=block.line):
            line, start = bytes(block.data[start:end]), end + 1
            if line.strip():
                yield number, line
    if held and not blocks.stream.damage:
        try:
            items = msgspec.json.decode(b"".join(held), type=list[msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DamagedFile(shard.paths[0], f"not a JSON array: {error}") from error
        yield from ((number, bytes(item)) for number, item in enumerate(items))


def _values(line: bytes, limit: int) -> tuple[Any, ...]:
    if len(line) > limit:
        raise ValueError(f"the record is longer than {limit} bytes (max_record_bytes)")
    record = msgspec.json.decode(line)
    if not isinstance(record, dict):
        raise ValueError("the record is no JSON object")
    dialect, messages, rest = conversation(record)
    id = rest.pop("id", None)
    if not isinstance(id, str | int | None):
        raise ValueError(f"field 'id' is {type(id).__name__}, expected string or integer")
    text = "\n".join(f"<|{message['role']}|>\n{message['content']}" for message in messages)
    metadata = msgspec.json.encode(rest).decode() if rest else None
    said = [[message["content"] for message in messages if message["role"] == role] for role in SPEAKERS]
    texts = ["\n\n".join(turns) if turns else None for turns in said]
    known = [None if id is None else str(id), text, messages, dialect]
    return (*known, *texts, *map(len, said), messages[-1]["role"], metadata)


# ---------------------------------------------------------------- forms


def conversation(record: dict[str, Any]) -> tuple[str, list[Message], dict[str, Any]]:
    """A record's form (`openai`, `sharegpt`, `alpaca`), its messages, and its other fields.

    A message has a role, a content, and as JSON what else its form says of it. Raises ValueError for other records.

    >>> conversation({"instruction": "Add.", "input": "1 1", "output": "2"})[1][0]
    {'role': 'user', 'content': 'Add.\\n\\n1 1', 'extra': '{"input":"1 1"}'}
    """
    for dialect, (field, read) in FORMS.items():
        if field in record:
            rest = {name: value for name, value in record.items() if name != field}
            messages = read(record[field], rest)
            if not messages:
                raise ValueError(f"field {field!r} has no messages")
            return dialect, messages, rest
    raise ValueError("no conversation: none of the fields 'messages', 'conversations', 'instruction' is there")


def record_of(dialect: str, messages: list[Message], rest: dict[str, Any]) -> dict[str, Any]:
    """The record that `conversation` was given: its inverse.

    >>> record = {"conversations": [{"from": "human", "value": "Hi"}], "id": "a"}
    >>> record_of(*conversation(record)) == record
    True
    """
    return {**BACK[dialect](messages), **rest}


def _message(role: Any, content: Any, **extra: Any) -> Message:
    if not isinstance(role, str) or not isinstance(content, str):
        raise ValueError(f"a message's role and content are {type(role).__name__} and {type(content).__name__}")
    said = {name: value for name, value in extra.items() if value is not None}
    return {"role": role, "content": content, "extra": msgspec.json.encode(said).decode() if said else None}


def _openai(found: Any, rest: dict[str, Any]) -> list[Message]:
    messages = []
    for turn in _turns(found):
        extra = {name: value for name, value in turn.items() if name not in ("role", "content")}
        content = turn.get("content")
        if isinstance(content, str):
            messages.append(_message(turn.get("role"), content, **extra))
            continue
        parts = [part.get("text") or "" for part in content if isinstance(part, dict)] if content else []
        messages.append(_message(turn.get("role"), "\n".join(parts), **extra, content_parts=content or []))
    return messages


def _sharegpt(found: Any, rest: dict[str, Any]) -> list[Message]:
    messages = []
    for turn in _turns(found):
        word = turn.get("from")
        role = ROLES.get(word, word) if isinstance(word, str) else word
        extra = {name: value for name, value in turn.items() if name not in ("from", "value")}
        if isinstance(role, str) and WORDS.get(role, role) != word:
            extra["from"] = word
        messages.append(_message(role, turn.get("value"), **extra))
    return messages


def _alpaca(instruction: Any, rest: dict[str, Any]) -> list[Message]:
    if "output" not in rest:
        raise ValueError("field 'output' is missing")
    history, given, system = rest.pop("history", None), rest.pop("input", None), rest.pop("system", None)
    messages = [] if system is None else [_message("system", system)]
    for pair in history or []:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError("field 'history' is not a list of pairs")
        messages += [_message("user", pair[0]), _message("assistant", pair[1])]
    if not isinstance(instruction, str) or not isinstance(given, str | None):
        raise ValueError("fields 'instruction' and 'input' are not text")
    content = f"{instruction}\n\n{given}" if given else instruction
    empty: list[Any] | None = [] if history == [] else None
    return [*messages, _message("user", content, input=given, history=empty), _message("assistant", rest.pop("output"))]


def _turns(found: Any) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(turn, dict) for turn in found):
        raise ValueError("the conversation is not a list of messages")
    return found


def _extra(message: Message) -> dict[str, Any]:
    return msgspec.json.decode(message["extra"], type=dict[str, Any]) if message["extra"] else {}


def _openai_back(messages: list[Message]) -> dict[str, Any]:
    turns = []
    for message in messages:
        extra = _extra(message)
        content = (extra.pop("content_parts") or None) if "content_parts" in extra else message["content"]
        turns.append({"role": message["role"], "content": content, **extra})
    return {"messages": turns}


def _sharegpt_back(messages: list[Message]) -> dict[str, Any]:
    turns = []
    for message in messages:
        extra = _extra(message)
        word = extra.pop("from", WORDS.get(message["role"], message["role"]))
        turns.append({"from": word, "value": message["content"], **extra})
    return {"conversations": turns}


def _alpaca_back(messages: list[Message]) -> dict[str, Any]:
    *before, asked, answer = messages
    extra = _extra(asked)
    given = extra.get("input")
    record = {"instruction": asked["content"][: -len(given) - 2] if given else asked["content"]}
    record |= {} if given is None else {"input": given}
    record["output"] = answer["content"]
    if before and before[0]["role"] == "system":
        record["system"] = before.pop(0)["content"]
    turns = [message["content"] for message in before]
    pairs = [[ask, said] for ask, said in zip(turns[::2], turns[1::2], strict=True)]
    return {**record, **({"history": pairs} if pairs or "history" in extra else {})}


FORMS: dict[str, tuple[str, Callable[[Any, dict[str, Any]], list[Message]]]] = {
    "openai": ("messages", _openai),
    "sharegpt": ("conversations", _sharegpt),
    "alpaca": ("instruction", _alpaca),
}
BACK = {"openai": _openai_back, "sharegpt": _sharegpt_back, "alpaca": _alpaca_back}
