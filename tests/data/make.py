"""Builds the test shards from corpus/*.txt: same sources, same bytes.

Usage: python tests/data/make.py [FOLDER]   (default: the folder of this file)
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import random
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

HERE = Path(__file__).resolve().parent
SEED = "lampwick-1"
HEADER = re.compile(r"^=== (id: .*)$", re.MULTILINE)
ID = re.compile(r"(?P<language>[a-z]{2,3})-(?P<kind>[a-z-]+)-\d{3}")
HEADER_KEYS = {"id", "language", "source", "url", "path", "note", "escapes", "eol", "repeat", "allow_empty"}
SOURCES = {"web", "forum", "books", "code"}
SHINGLE_WORDS = 5
# Each near-duplicate aims at one of these bands of Jaccard similarity, in turn.
JACCARD_BANDS = [(0.50, 0.65), (0.65, 0.80), (0.80, 0.90), (0.90, 0.98)]
MIN_WORDS_FOR_NEAR = 70
WEB_SHARDS = ["web-000.jsonl.zst", "web-001.jsonl.zst", "mixed-000.jsonl.xz"]


@dataclass(frozen=True)
class Document:
    """One text with the fields that every shard carries."""

    id: str
    text: str
    url: str | None
    language: str
    source: str
    path: str | None = None

    @property
    def kind(self) -> str:
        match = ID.fullmatch(self.id)
        return match["kind"] if match else "copy"


@dataclass(frozen=True)
class Planted:
    """A copy that was made on purpose, and how far it is from its original."""

    copy: Document
    original: Document
    kind: str  # exact | near
    changes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "copy": self.copy.id,
            "original": self.original.id,
            "kind": self.kind,
            "changes": list(self.changes),
            "jaccard": round(jaccard(self.copy.text, self.original.text), 6),
        }


# --- reading the sources -------------------------------------------------------------------------------------------


def read_corpus(folder: Path) -> list[Document]:
    """All documents below folder, in order of file name and place in the file; ValueError names file and id."""
    documents: list[Document] = []
    for path in sorted(folder.rglob("*.txt")):
        parts = HEADER.split(path.read_text(encoding="utf-8"))
        if parts[0].strip():
            raise ValueError(f"{path.name}: text before the first '=== id:' line")
        documents += [parse(path.name, head, body) for head, body in zip(parts[1::2], parts[2::2], strict=True)]
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise ValueError(f"two documents have the id {document.id!r}")
        seen.add(document.id)
    return documents


def parse(file: str, head: str, body: str) -> Document:
    """One document from its header line and what follows it."""
    fields = dict(part.strip().split(": ", 1) for part in head.split(" | "))
    name = fields.get("id", "?")
    match = ID.fullmatch(name)
    if match is None or match["language"] != fields.get("language"):
        raise ValueError(f"{file}: id {name!r} is not <language>-<kind>-<three digits> with its own language")
    if unknown := set(fields) - HEADER_KEYS:
        raise ValueError(f"{file}: {name}: unknown header key {sorted(unknown)}; known: {sorted(HEADER_KEYS)}")
    if fields.get("source") not in SOURCES:
        raise ValueError(f"{file}: {name}: source must be one of {sorted(SOURCES)}")
    text = decode(body.strip("\n"), fields)
    if not text and "allow_empty" not in fields:
        raise ValueError(f"{file}: {name}: no text")
    return Document(name, text, fields.get("url"), fields["language"], fields["source"], fields.get("path"))


def decode(text: str, fields: dict[str, str]) -> str:
    """Applies the header's `repeat`, `escapes` (\\uXXXX and \\r stand for characters nobody can see) and `eol`."""
    if "repeat" in fields:
        text = "\n".join([text] * int(fields["repeat"]))
    if fields.get("escapes") == "yes":
        text = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text).replace("\\r", "\r")
    return text.replace("\n", "\r\n") if fields.get("eol") == "crlf" else text


# --- planted duplicates --------------------------------------------------------------------------------------------


def shingles(text: str) -> set[tuple[str, ...]]:
    """The word 5-shingles of the lowercased text, words being what white space separates."""
    words = text.lower().split()
    return {tuple(words[i : i + SHINGLE_WORDS]) for i in range(max(1, len(words) - SHINGLE_WORDS + 1))}


def jaccard(a: str, b: str) -> float:
    left, right = shingles(a), shingles(b)
    return len(left & right) / len(left | right)


def change_whitespace(text: str, rng: random.Random) -> str:
    spaces = [" ", " ", "  ", "\t", "\n", " \n", "\r\n"]
    return "\n " + re.sub(r"\s+", lambda _: rng.choice(spaces), text.strip()) + " \n"


def change_case(text: str, rng: random.Random) -> str:
    """Upper case where lower() undoes it (not for ß and its like), so that the copy stays exact."""
    change = rng.choice([str.upper, str.title, str.swapcase])
    words = re.split(r"(\s+)", text)
    return "".join(change(word) if change(word).lower() == word.lower() else word for word in words)


def change_words(text: str, rng: random.Random) -> str:
    """Some words give way to words from elsewhere in the same text; the white space stays."""
    parts = re.split(r"(\s+)", text)
    places = range(0, len(parts), 2)
    for place in rng.sample(places, 1 + rng.randrange(max(1, len(places) // 25))):
        parts[place] = parts[rng.choice(places)]
    return "".join(parts)


def drop_sentence(text: str, rng: random.Random) -> str:
    sentences = re.split(r"(?<=[.!?…।])(\s+)", text)
    if len(sentences) < 5:
        return text
    place = 2 * rng.randrange(len(sentences) // 2)
    return "".join(sentences[:place] + sentences[place + 2 :])


def swap_letters(text: str, rng: random.Random) -> str:
    """Typing errors: in a few long words two neighbouring letters change places."""
    parts = re.split(r"(\s+)", text)
    long_words = [i for i, part in enumerate(parts) if len(part) > 5 and part.isalpha()]
    for i in rng.sample(long_words, min(len(long_words), 1 + rng.randrange(4))):
        at = 1 + rng.randrange(len(parts[i]) - 3)
        word = parts[i]
        parts[i] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return "".join(parts)


def add_header(text: str, rng: random.Random) -> str:
    headers = ["Home > Archive > Print view\n\n", "Share | Print | Report this page\n", "[cached copy]\n\n"]
    return rng.choice(headers) + text


def add_footer(text: str, rng: random.Random) -> str:
    lines = ["\n\nPosted in: uncategorised. 0 comments. Leave a reply", "\n\nRead more\nRelated pages\nBack to top"]
    return text + rng.choice(lines)


def cut_end(text: str, rng: random.Random) -> str:
    words = re.split(r"(\s+)", text)
    return "".join(words[: int(len(words) * (0.75 + 0.2 * rng.random()))]) + "..."


Edit = Callable[[str, random.Random], str]
EDITS: list[Edit] = [change_words, drop_sentence, swap_letters, add_header, add_footer, cut_end]


def edited(text: str, edits: list[Edit], rng: random.Random) -> tuple[str, tuple[str, ...]]:
    """The text after the edits, and the names of those that changed something."""
    names = []
    for edit in edits:
        before, text = text, edit(text, rng)
        if text != before:
            names.append(edit.__name__)
    return text, tuple(names)


def exact_copy(number: int, original: Document) -> Planted:
    """The same words in the same order; only white space or letter case may differ."""
    rng = random.Random(f"{SEED}:exact:{number}")
    ways: list[list[Edit]] = [[change_whitespace], [change_case], [change_case, change_whitespace], []]
    text, changes = edited(original.text, ways[number % len(ways)], rng)
    if text.lower().split() != original.text.lower().split():
        raise ValueError(f"copy of {original.id} is not exact after {changes}")
    copy = replace(original, id=f"copy-exact-{number:03d}", text=text, url=f"https://mirror.example/exact/{number}")
    return Planted(copy, original, "exact", changes)


def near_copy(number: int, original: Document) -> Planted:
    """Seeded edits, drawn again until the Jaccard similarity falls into this copy's band."""
    low, high = JACCARD_BANDS[number // 2 % len(JACCARD_BANDS)]  # English and other languages take turns
    for attempt in range(2000):
        rng = random.Random(f"{SEED}:near:{number}:{attempt}")
        text, changes = edited(original.text, rng.sample(EDITS, 1 + rng.randrange(4)), rng)
        if low <= jaccard(text, original.text) < high:
            url = f"https://mirror.example/near/{number}"
            copy = replace(original, id=f"copy-near-{number:03d}", text=text, url=url)
            return Planted(copy, original, "near", changes)
    raise ValueError(f"no edits bring a copy of {original.id} into {low}..{high}; choose another seed")


def plant(documents: list[Document]) -> list[Planted]:
    """12 exact copies of 12 documents; 28 near copies of 24 others, two of which get a family of three."""
    rng = random.Random(f"{SEED}:plant")
    unique = [d for d in documents if len(d.text.split()) > SHINGLE_WORDS and d.language not in {"zxx", "mul"}]
    unique = [d for d in unique if d.kind not in {"unicode", "crlf"}]
    by_language: dict[str, list[Document]] = {}
    for document in unique:
        by_language.setdefault(document.language, []).append(document)
    languages = sorted(by_language)
    exact = [rng.choice(by_language[language]) for language in ["en", "en", "en", *rng.sample(languages, 9)]]
    exact = list(dict.fromkeys(exact))
    taken = {d.id for d in exact}
    long = [d for d in unique if len(d.text.split()) >= MIN_WORDS_FOR_NEAR and d.id not in taken]
    long = [d for d in long if d.kind not in {"spam", "boiler", "edge"}]
    english = rng.sample([d for d in long if d.language == "en"], 12)
    others = rng.sample([d for d in long if d.language != "en"], 12)
    near = [d for pair in zip(english, others, strict=True) for d in pair] + [english[0], others[0]] * 2
    return [exact_copy(i, d) for i, d in enumerate(exact)] + [near_copy(i, d) for i, d in enumerate(near)]


# --- shards --------------------------------------------------------------------------------------------------------


def draw(document: Document, purpose: str) -> random.Random:
    """A generator of its own for each document and purpose, so that a new document moves no other."""
    return random.Random(f"{SEED}:{purpose}:{document.id}")


def shard_of(document: Document) -> str:
    if document.source == "code":
        return "code-000.parquet"
    chance = draw(document, "shard").random()
    if chance < 1 / 6:
        return "mixed-000.jsonl.xz"
    if document.source == "web":
        return WEB_SHARDS[chance < 7 / 12]
    return {"forum": "forum-000.jsonl.gz", "books": "books-000.jsonl"}[document.source]


def shard_of_copy(planted: Planted) -> str:
    """A copy lies in another shard than its original wherever that can be."""
    choices = [name for name in WEB_SHARDS if name != shard_of(planted.original)]
    return draw(planted.copy, "shard").choice(choices)


def row(document: Document, shard: str) -> dict[str, Any]:
    """The five common fields and what this shard alone carries."""
    rng = draw(document, "fields")
    day = f"2024-{1 + rng.randrange(12):02d}-{1 + rng.randrange(28):02d}"
    score = round(rng.random() * 10, 3)
    common = {
        "id": document.id,
        "text": document.text,
        "url": document.url,
        "language": document.language,
        "source": document.source,
    }
    if shard == "web-000.jsonl.zst":
        headers = {"content-type": "text/html; charset=utf-8", "content-language": document.language}
        return {**common, "crawled": day, "meta": {"status": 200, "headers": headers, "bytes": rng.randrange(1 << 20)}}
    if shard == "web-001.jsonl.zst":  # the same fields in another order, and others besides
        reordered = {key: common[key] for key in sorted(common, reverse=True)}
        return {"score": score, **reordered, "crawled": f"{day}T12:00:00Z", "tags": rng.sample(["a", "b", "ü"], 2)}
    if shard == "forum-000.jsonl.gz":
        thread = {"board": f"board-{rng.randrange(5)}", "replies": rng.randrange(40), "locked": rng.random() < 0.2}
        return {**common, "thread": thread, "score": rng.randrange(-5, 50)}
    if shard == "books-000.jsonl":
        title = " ".join(document.text.split()[:4])
        return {**common, "title": title, "year": 1890 + rng.randrange(130)}
    if shard == "code-000.parquet":
        stars = None if rng.random() < 0.2 else rng.randrange(5000)
        return {**common, "path": document.path, "stars": stars, "tags": rng.sample(["small", "old", "tested"], 2)}
    extra: dict[str, Any] = {"score": score} if rng.random() < 0.6 else {"score": None, "meta": {"origin": ["x", {}]}}
    return {**common, **extra}


def json_lines(rows: Iterable[dict[str, Any]], ascii_only: bool = False) -> bytes:
    return b"".join(json.dumps(r, ensure_ascii=ascii_only).encode() + b"\n" for r in rows)


def gzipped(data: bytes) -> bytes:
    """One gzip member without name or time. (gzip.compress would add the platform's mark.)"""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as file:
        file.write(data)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=12, write_checksum=True).compress(data)


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", compression_level=5, row_group_size=8)
    return out.getvalue()


CODE_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "text", "url", "language", "source", "path")]
    + [("stars", pa.int32()), ("tags", pa.list_(pa.string()))]
)


def encode(shard: str, rows: list[dict[str, Any]]) -> bytes:
    """The bytes of a shard, by the ending of its name. Only the mixed shard writes \\uXXXX escapes."""
    if shard.endswith(".parquet"):
        return parquet(pa.Table.from_pylist(rows, schema=CODE_SCHEMA))
    if shard.endswith(".xz"):
        return lzma.compress(json_lines(rows, ascii_only=True), preset=6)
    data = json_lines(rows)
    if shard.endswith(".zst"):
        return zstd(data)
    return gzipped(data) if shard.endswith(".gz") else data


def shards(documents: list[Document], planted: list[Planted]) -> dict[str, bytes]:
    """Name -> bytes. Inside a shard documents lie in the order of a hash, so that languages and kinds mix."""
    placed = [(shard_of(d), d) for d in documents] + [(shard_of_copy(p), p.copy) for p in planted]
    placed.sort(key=lambda item: (item[0], hashlib.sha256(f"{SEED}:{item[1].id}".encode()).digest()))
    names = sorted({name for name, _ in placed})
    return {name: encode(name, [row(d, name) for shard, d in placed if shard == name]) for name in names}


# --- broken shards -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """A small hostile file: what it holds and how many records a careful reader gets from it."""

    name: str
    data: bytes
    holds: str
    good: int
    bad: int
    file_error: bool = False


def good(number: int, **fields: Any) -> dict[str, Any]:
    """A sound record, each with a text of its own."""
    text = f"Sound record number {number}: the kettle boils, the lamp is lit, and nothing is wrong here."
    return {"id": f"good-{number:03d}", "text": text, **fields}


def lines(*items: dict[str, Any] | bytes | str) -> bytes:
    """JSON Lines of sound records and raw lines as they are."""
    texts = [json.dumps(item) if isinstance(item, dict) else item for item in items]
    return b"".join((text.encode() if isinstance(text, str) else text) + b"\n" for text in texts)


def broken_records() -> list[Broken]:
    """Files that can be read, in which some records (or none) are bad."""
    text = '{"id": "bad", "text": %s}'
    bad_utf8 = [b"\xff\xfe", b"caf\xe9", b"\xe2\x82", b"\xc0\xaf", b"\xed\xa0\x80"]
    wrong = ["42", "1.5", "true", '["a", "b"]', '{"en": "a"}']
    cut, two = '{"id": "bad", "text": "cut o', '{"id": "bad", "text": "a"} {"id": "bad"}'
    no_json = [cut, "{'id': 'bad', 'text': 'single quotes'}", "not JSON at all", "\x00" * 8, two]
    lone = [r'"high \ud83d alone"', r'"low \udc10 alone"', r'"swapped \udc10\ud83d pair"', r'"whole \ud83d\udc10 pair"']
    return [
        Broken("invalid-utf8.jsonl", lines(good(1), *(b'{"id": "bad", "text": "x ' + b + b' y"}' for b in bad_utf8),
               good(2)), "bytes that are not UTF-8: a stray mark, Latin-1, a cut character, an overlong form, a "
               "surrogate", 2, 5),
        Broken("not-an-object.jsonl", lines(good(1), "[1, 2]", '"text"', "42", "null", "true", good(2)),
               "lines of valid JSON that are not objects", 2, 5),
        Broken("not-json.jsonl", lines(good(1), *no_json, good(2)),
               "a cut line, single quotes, prose, NUL bytes, two objects on one line", 2, 5),
        Broken("wrong-type-text.jsonl", lines(good(1), *(text % w for w in wrong), good(2)),
               "text that is a number, a boolean, a list, an object", 2, 5),
        Broken("missing-text.jsonl",
               lines(good(1), '{"id": "bad"}', '{"id": "bad", "Text": "a"}', "{}", text % "null"),
               "no text, text under another name, an empty object, a null", 1, 4),
        Broken("lone-surrogate.jsonl", lines(good(1), *(text % s for s in lone)),
               "escapes of half a character, which no UTF-8 can hold; the last line has a whole pair", 2, 3),
        Broken("deep-nesting.jsonl", lines(good(1), '{"id": "bad", "x": ' + "[" * 5000 + "]" * 5000 + "}", good(2)),
               "5000 brackets one in another and no text: must not overflow a stack", 2, 1),
        Broken("json-array.jsonl", json.dumps([good(1), good(2)]).encode() + b"\n",
               "a JSON array of records on one line instead of JSON Lines", 0, 1),
    ]  # fmt: skip


def odd_but_sound() -> list[Broken]:
    """Files that look wrong and are not: every record of them must come out."""
    two_frames = zstd(lines(good(1), good(2))) + zstd(lines(good(3)))
    two_members = gzipped(lines(good(1), good(2))) + gzipped(lines(good(3)))
    long_text = " ".join(f"{n % 97} geese stood on the line." for n in range(76_000))
    separators = json.dumps(good(2, note="a\u2028b\u2029c\u0085d"), ensure_ascii=False)
    ids = ['{"id": 7, "text": "seven"}', '{"id": 12345678901234567890, "text": "big"}', '{"id": 0.5, "text": "half"}',
           '{"id": null, "text": "null"}', '{"text": "none"}', '{"id": "", "text": "empty"}']  # fmt: skip
    duplicate = '{"id": "dup", "text": "first", "id": "dup-2", "text": "second"}'
    return [
        Broken("empty.jsonl", b"", "no bytes at all", 0, 0),
        Broken("blank-lines.jsonl", b"\n" + lines(good(1), "", "   ", "\t", good(2), "", ""),
               "blank lines before, between and after records; a blank line is no record", 2, 0),
        Broken("long-line.jsonl.gz", gzipped(lines(good(1), good(2, text=long_text), good(3))),
               "one line of 2 MB between two short ones", 3, 0),
        Broken("duplicate-keys.jsonl", lines(good(1), duplicate),
               "an object with `id` and `text` twice: the last value counts, as in most parsers", 2, 0),
        Broken("integer-ids.jsonl", lines(*ids), "ids that are an integer, beyond 64 bits, a fraction, null, missing, "
               "empty: the text is sound, an id can be made", 6, 0),
        Broken("repeated-ids.jsonl", lines(good(1), good(1), {**good(2), "id": "good-001"}),
               "three records under one id, two of them equal", 3, 0),
        Broken("bom.jsonl", b"\xef\xbb\xbf" + lines(good(1), good(2)), "a byte-order mark at the start", 2, 0),
        Broken("crlf.jsonl", lines(good(1), good(2)).replace(b"\n", b"\r\n"), "lines that end in CR LF", 2, 0),
        Broken("no-final-newline.jsonl", lines(good(1), good(2))[:-1], "no line end after the last record", 2, 0),
        Broken("line-separators.jsonl", lines(good(1), separators, good(3)),
               "U+2028, U+2029 and U+0085 inside a string: only LF ends a line", 3, 0),
        Broken("multi-member.jsonl.gz", two_members, "two gzip members in one file", 3, 0),
        Broken("multi-frame.jsonl.zst", two_frames, "two zstd frames in one file", 3, 0),
    ]  # fmt: skip


def cut_gzip() -> bytes:
    """Forty records, flushed every ten, cut shortly after the third flush: thirty can be had."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as file:
        for start in (1, 11, 21):
            file.write(lines(*(good(n) for n in range(start, start + 10))))
            file.flush()
        whole = len(out.getvalue())
        file.write(lines(*(good(n) for n in range(31, 41))))
    return out.getvalue()[: whole + 4]


def cut_zstd() -> bytes:
    """As cut_gzip, in zstd blocks."""
    compressor = zstandard.ZstdCompressor(level=12).compressobj()
    data = b""
    for start in (1, 11, 21):
        data += compressor.compress(lines(*(good(n) for n in range(start, start + 10))))
        data += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    rest = compressor.compress(lines(*(good(n) for n in range(31, 41)))) + compressor.flush()
    return data + rest[:4]


def broken_archives() -> list[Broken]:
    """Files that are damaged as a whole. `good` counts the whole records before the damage."""
    rows = [good(n) for n in range(1, 21)]
    table = parquet(pa.Table.from_pylist(rows))
    page = bytearray(table)
    page[60:160] = bytes(100)  # inside the first data page; the footer still looks sound
    crc = bytearray(gzipped(lines(good(1), good(2), good(3))))
    crc[-8] ^= 0xFF
    no_text = parquet(pa.table({"id": ["bad-1", "bad-2"], "body": ["a", "b"]}))
    null_text = parquet(pa.table({"id": ["good-001", "bad"], "text": [good(1)["text"], None]}))
    number_text = parquet(pa.table({"id": ["bad-1", "bad-2"], "text": [1, 2]}))
    return [
        Broken("truncated.jsonl.gz", cut_gzip(), "a gzip file of 40 records, cut after 30", 30, 0, True),
        Broken("truncated.jsonl.zst", cut_zstd(), "a zstd file of 40 records, cut after 30", 30, 0, True),
        Broken("wrong-checksum.jsonl.gz", bytes(crc), "all there, but the check sum at the end is wrong", 3, 0, True),
        Broken("wrong-suffix.jsonl.zst", gzipped(lines(good(1))), "a gzip file that calls itself zstd", 0, 0, True),
        Broken("empty.jsonl.gz", b"", "no bytes, so not even an empty gzip file", 0, 0, True),
        Broken("utf-16.jsonl", lines(good(1), good(2)).decode().encode("utf-16"), "UTF-16 with its mark", 0, 0, True),
        Broken("corrupt-page.parquet", bytes(page), "20 rows, the first data page overwritten with zeros", 0, 0, True),
        Broken("truncated.parquet", table[:1000], "the second half is gone, and so the footer", 0, 0, True),
        Broken("no-text-column.parquet", no_text, "no column `text`", 0, 0, True),
        Broken("number-text.parquet", number_text, "a column `text` of integers", 0, 0, True),
        Broken("null-text.parquet", null_text, "a null among the texts", 1, 1),
    ]


BROKEN_INTRO = """# Broken shards

Written by `make.py`; do not edit. Each file is small and hostile in one way. *Good* is the number of records that a
careful reader hands on, *bad* the number that it must set aside and count, and *file error* says that the file itself
is damaged or not what it claims to be; then *good* counts the records before the damage.

| file | what it holds | good | bad | file error |
|:-----|:--------------|-----:|----:|:-----------|
"""


def broken() -> dict[str, bytes]:
    """Name -> bytes of all hostile files and of the table that describes them."""
    files = sorted(broken_records() + odd_but_sound() + broken_archives(), key=lambda b: b.name)
    rows = [f"| {b.name} | {b.holds} | {b.good} | {b.bad} | {'yes' if b.file_error else ''} |\n" for b in files]
    return {b.name: b.data for b in files} | {"README.md": (BROKEN_INTRO + "".join(rows)).encode()}


# --- all of it -----------------------------------------------------------------------------------------------------


def planted_json(planted: list[Planted]) -> bytes:
    content = {
        "seed": SEED,
        "shingle_words": SHINGLE_WORDS,
        "near_jaccard": {"min": JACCARD_BANDS[0][0], "max": JACCARD_BANDS[-1][1]},
        "pairs": [p.as_json() for p in planted],
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Writes the files and removes what an older run left beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in {path.name for path in folder.iterdir()} - set(files):
        (folder / stale).unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def make(folder: Path) -> dict[str, int]:
    """Builds shards/, broken/ and planted.json below folder; returns a few counts."""
    documents = read_corpus(HERE / "corpus")
    planted = plant(documents)
    files = {"shards": shards(documents, planted), "broken": broken()}
    for name, content in files.items():
        write(folder / name, content)
    (folder / "planted.json").write_bytes(planted_json(planted))
    size = sum(len(data) for content in files.values() for data in content.values())
    return {"documents": len(documents), "planted": len(planted), "bytes": size}


if __name__ == "__main__":
    print(make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE))
