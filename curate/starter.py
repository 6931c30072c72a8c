"""A commented starter recipe from a look at the user's files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import yaml

from curate.errors import DataError
from curate.io.source import Source, discover
from curate.sampling import peek

TEXT = ("text", "content", "raw_content", "contents", "body", "document", "page")
KNOWN = {
    "id": ("id", "doc_id", "document_id", "warc_record_id", "uuid"),
    "url": ("url", "uri", "source_url"),
    "language": ("language", "lang"),
}


def starter(path: str) -> str:
    """YAML of a first recipe for the documents at `path`."""
    name = re.sub(r"\W+", "-", Path(path.rstrip("/*")).stem.split(".")[0]).strip("-") or "corpus"
    source, columns, note = _look(path)
    shards = discover(name, source)
    mapping = "".join(f"      {ours}: {_quoted(theirs)}\n" for ours, theirs in columns.items())
    size = sum(shard.bytes for shard in shards) / 1e6
    language = "" if "language" in columns else "  - language                     # writes language, language_score\n"
    return TEMPLATE.format(
        name=name,
        key=_quoted(name),
        path=path,
        quoted_path=_quoted(path),
        output=_quoted(f"out/{name}"),
        found=f"{len(shards)} shards, {size:,.1f} MB as stored; {note}",
        columns=f"    columns:                     # our name: the name in the data\n{mapping}" if mapping else "",
        format=f"    format: {source.format}\n" if source.format != "auto" else "",
        language=language,
    )


def _quoted(text: str) -> str:
    """The text as YAML, in quotes where YAML would take it for something else."""
    try:
        is_plain = yaml.safe_load(f"key: {text}") == {"key": text}
    except yaml.YAMLError:
        is_plain = False
    return text if is_plain and "${" not in text else json.dumps(text, ensure_ascii=False)


def _look(path: str) -> tuple[Source, dict[str, str], str]:
    """A source that reads the files, the column mapping it needs, and what was seen."""
    fields = _fields(path)
    if fields is None:
        return Source(path=path, format="files"), {}, "each file is a document"
    text = next(field for field in TEXT if field in fields)
    columns = {"text": text} if text != "text" else {}
    for ours, theirs in KNOWN.items():
        found = next((field for field in theirs if field in fields), None)
        if found and (ours != "id" or found != "id"):
            columns[ours] = found
    return Source(path=path, columns=columns), columns, f"fields: {', '.join(fields)}"


def _fields(path: str) -> list[str] | None:
    """Names of the fields in the data; None when the files are not records but documents."""
    problems: list[DataError] = []
    for field in TEXT:
        try:
            table = peek("look", Source(path=path, columns={"text": field}, other="metadata"), 20)
        except DataError as error:
            problems.append(error)
            continue
        return _names(table, field)
    if _is_data(path):
        raise problems[0]
    try:
        peek("look", Source(path=path, format="files"), 1)
    except (DataError, StopIteration):
        raise DataError(f"nothing to read at {path}: neither JSON Lines, Parquet nor a folder of documents") from None
    return None


def _is_data(path: str) -> bool:
    """Whether the files are records by their names."""
    try:
        return bool(discover("look", Source(path=path)))
    except DataError:
        return False


def _names(table: pa.Table, text: str) -> list[str]:
    names = [text, *(["id"] if "id" in table.column_names else [])]
    for record in table["metadata"].to_pylist() if "metadata" in table.column_names else []:
        names += [key for key in json.loads(record or "{}") if key not in names]
    return names


TEMPLATE = """\
# A first recipe for {path}
# {found}
# Look before you run:  curate plan {name}.yaml     Run:  curate run {name}.yaml
name: {key}
sources:
  {key}:
    path: {quoted_path}
{format}{columns}
steps:
  - normalize                    # Unicode NFC, no control characters, tidy white space
{language}  - gopher                       # writes gopher_*: word counts, repetition, symbols
  - keep:                        # a rule's name becomes the reason of what it drops; bounds are inclusive
      rules:
        words: {{column: gopher_word_count, min: 50, max: 100000}}
        word_length: {{column: gopher_mean_word_length, min: 3, max: 10}}
        repeated_lines: {{column: gopher_duplicate_line_ratio, max: 0.3}}
        # stop_words: {{column: gopher_stop_word_count, min: 2}}        # English only
        # tongue: "language IN ('en', 'de')"                          # any SQL condition
  - dedup_exact                  # drops copies; the first in corpus order stays
  - dedup_minhash                # drops near-copies (5-word shingles, Jaccard >= 0.8)

output:
  path: {output}
"""
