"""Documents to look at: kept, dropped for each reason, close to a bound, and copies beside what they are copies of."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate.recipe import Recipe
from curate.report.facts import looked_at
from curate.report.measure import Law
from curate.report.spans import Span, from_bytes, spans

LABELS = ("id", "source", "language", "url")
EXCERPT = 480  # characters
BEFORE = 60  # of them before the first span
COMPARED = 1_600  # characters of a text in a comparison
TWIN = ("twin", "similarity")

Read = Callable[
    [dict[int, str]], Mapping[int, str]
]  # row address -> id; to row address -> text, as far as it is at hand


class Piece(NamedTuple):
    """Some text; `mark`: "" or the class of its mark; `note`: what is left out before it."""

    text: str
    mark: str = ""


class Case(NamedTuple):
    """A document: labels, the columns that its fate looked at, its text in pieces (empty: not at hand)."""

    labels: list[Any]
    values: dict[str, Any]
    pieces: list[Piece]
    fate: str | None
    reasons: list[str]


class Pair(NamedTuple):
    """A copy and what it is a copy of, side by side, word by word."""

    step: str
    similarity: float
    stays: str
    goes: str
    left: list[Piece]
    right: list[Piece]


class Cases(NamedTuple):
    """What is shown, by reason, by rule and side, and of copies."""

    kept: list[Case]
    dropped: dict[str, list[Case]]
    borderline: dict[str, dict[str, list[Case]]]
    pairs: list[Pair]


class Documents:
    """Annotations and texts of some documents."""

    def __init__(self, rows: dict[int, dict[str, Any]], texts: Mapping[int, str]):
        self.rows, self.texts = rows, texts

    def case(self, row: int, looked: list[str]) -> Case:
        about = self.rows[row]
        values = {name: about[name] for name in looked if name in about and name not in LABELS}
        values = {name: value for name, value in values.items() if not isinstance(value, list)}
        labels = [about[name] for name in LABELS if about.get(name) not in (None, "")]
        text = self.texts.get(row)
        pieces = [] if text is None else excerpt(text, self._spans(about, looked, text))
        return Case(labels, values, pieces, about["dropped_by"], about["failed_rules"] or [])

    def _spans(self, about: dict[str, Any], looked: list[str], text: str) -> list[Span]:
        """What the columns point at; spans that a step has written come first."""
        for name in looked:
            if name.endswith("_start") and about.get(name):
                return from_bytes(text, about[name], about[name.removesuffix("_start") + "_end"])
        return next((found for name in looked if (found := spans(name, text))), [])


def cases(
    frame: pl.LazyFrame, recipe: Recipe, picked: dict[str, list[int]], rules: list[Law], reasons: list[str], read: Read
) -> Cases:
    """`frame`: the annotations; `picked`: kind -> row addresses (`measure.Picks`)."""
    looked = {reason: looked_at(recipe, reason) for reason in reasons}
    steps = list(dict.fromkeys(kind.rsplit(" ", 1)[0] for kind in picked if kind.endswith((" twins", " copies"))))
    documents = _documents(frame, picked, [*looked.values(), [law.column for law in rules]], steps, read)
    dropped = {reason: [documents.case(row, looked[reason]) for row in picked.get(reason, [])] for reason in reasons}
    near: dict[str, dict[str, list[Case]]] = {}
    for law, side in [(each, side) for each in rules for side in each.bounds]:
        found = {kind: picked.get(f"{law.reason} {side} {kind}", []) for kind in ("kept", "dropped")}
        if any(found.values()):
            shown = {kind: [documents.case(row, [law.column]) for row in rows] for kind, rows in found.items()}
            near[f"{law.reason} {side}"] = shown
    kept = [documents.case(row, [law.column for law in rules][:6]) for row in picked.get("kept", [])]
    pairs = [_pair(documents, step, row) for step in steps for row in _pairs_of(picked, step)]
    there = sorted(filter(None, pairs), key=lambda pair: pair.similarity)
    return Cases(kept, {reason: found for reason, found in dropped.items() if found}, near, there)


def _documents(
    frame: pl.LazyFrame, picked: dict[str, list[int]], looked: list[list[str]], steps: list[str], read: Read
) -> Documents:
    """All that are shown, and what those that are copies are copies of."""
    schema = frame.collect_schema().names()
    names = {name for some in looked for name in some} | {f"{step}_{what}" for step in steps for what in TWIN}
    columns = ["row", "dropped_by", "failed_rules", *LABELS, *sorted(names - {*LABELS})]
    columns = [name for name in columns if name in schema]
    rows = _rows(frame, columns, sorted({row for some in picked.values() for row in some}))
    heads = {rows[row][f"{step}_twin"] for step in steps for row in _pairs_of(picked, step)}
    rows |= _rows(frame, columns, sorted(row for row in heads - {*rows, None} if row >= 0))
    return Documents(rows, read({row: str(about["id"]) for row, about in rows.items()}))


def _pairs_of(picked: dict[str, list[int]], step: str) -> list[int]:
    return [*picked.get(f"{step} twins", []), *picked.get(f"{step} copies", [])]


def _rows(frame: pl.LazyFrame, columns: list[str], rows: list[int]) -> dict[int, dict[str, Any]]:
    if not rows:
        return {}
    found = frame.filter(pl.col("row").is_in(rows)).select(columns).collect(engine="streaming").to_dicts()
    return {about["row"]: about for about in found}


def excerpt(text: str, found: list[Span]) -> list[Piece]:
    """The part of a text with its first spans, in pieces.

    >>> [piece.text for piece in excerpt("a bad word", [(2, 5)])], excerpt("a bad word", [(2, 5)])[1].mark
    (['a ', 'bad', ' word'], 'span')
    """
    start = max(0, found[0][0] - BEFORE) if found and found[0][0] > EXCERPT - BEFORE else 0
    stop = min(len(text), start + EXCERPT)
    pieces, at = [Piece("… ", "cut")] if start else [], start
    for first, last in found:
        if first >= stop:
            break
        last = min(last, stop)
        pieces += [Piece(text[at:first]), Piece(text[first:last], "span")]
        at = last
    pieces.append(Piece(text[at:stop]))
    if stop < len(text):
        pieces.append(Piece(" …", "cut"))
    return [piece for piece in pieces if piece.text]


def _pair(documents: Documents, step: str, row: int) -> Pair | None:
    about = documents.rows[row]
    head = about.get(f"{step}_twin")
    if head is None or row not in documents.texts or head not in documents.texts:
        return None
    left, right = side_by_side(documents.texts[head], documents.texts[row])
    return Pair(step, about[f"{step}_similarity"], str(documents.rows[head]["id"]), str(about["id"]), left, right)


def side_by_side(stays: str, goes: str) -> tuple[list[Piece], list[Piece]]:
    """Two texts word by word: what only one of them has is marked. Long stretches in common are cut.

    >>> [side_by_side("the old cat", "the new cat")[side] for side in (0, 1)]
    [[Piece(text='the ', mark=''), Piece(text='old ', mark='only'), Piece(text='cat', mark='')], \
[Piece(text='the ', mark=''), Piece(text='new ', mark='only'), Piece(text='cat', mark='')]]
    """
    texts = [text[:COMPARED] for text in (stays, goes)]
    words = [_words(text) for text in texts]
    made: tuple[list[Piece], list[Piece]] = ([], [])
    for kind, a, b, c, d in difflib.SequenceMatcher(a=words[0], b=words[1], autojunk=False).get_opcodes():
        for side, (first, last) in enumerate(((a, b), (c, d))):
            text = "".join(words[side][first:last])
            if text:
                made[side].append(
                    Piece(_shortened(text) if kind == "equal" else text, "" if kind == "equal" else "only")
                )
    for side, text in enumerate((stays, goes)):
        if len(text) > COMPARED:
            made[side].append(Piece(" …", "cut"))
    return made


def _words(text: str) -> list[str]:
    """Words with the white space after them; together they are the text."""
    found: list[str] = []
    for part in text.split(" "):
        found.append(part + " ")
    found[-1] = found[-1][:-1]
    return [word for word in found if word]


def _shortened(text: str, most: int = 240) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def texts_of(folder: Path, manifest: dict[str, Any], wanted: dict[int, str]) -> dict[int, str]:
    """Texts as they were read, of documents among the first of a shard; of other kept documents as they are now."""
    from curate.execute.stored import texts
    from curate.store import Store

    root = Path(manifest["decided_from"]) if "decided_from" in manifest else folder
    return texts(Store(str(root)), wanted, None if "decided_from" in manifest else manifest["key"])
