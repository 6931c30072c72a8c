"""The Data Card of a release: sections of the Data Cards Playbook (Pushkarna et al. 2022) and of Datasheets for
Datasets (Gebru et al. 2021), filled from the manifest; what only an author can say comes from the recipe's `card:`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from curate.card import NO_LANGUAGE, cell, code
from curate.recipe import Recipe
from curate.release import processing, sections
from curate.release.author import Said
from curate.release.sections import Part
from curate.store import write_text

BEGIN, END = "<!-- author:begin -->", "<!-- author:end -->"
EMPTY = "\nWhat stands between these two marks is yours: it is kept when the release is made again.\n"
SIZES = ((3, "n<1K"), (4, "1K<n<10K"), (5, "10K<n<100K"), (6, "100K<n<1M"), (7, "1M<n<10M"), (8, "10M<n<100M"))
BOUNDS = (*SIZES, (9, "100M<n<1B"), (10, "1B<n<10B"), (11, "10B<n<100B"), (12, "100B<n<1T"))


class Card(NamedTuple):
    """A card: what the Hub reads, the sections, and the keys of `card:` that the recipe leaves open."""

    front: dict[str, Any]
    title: str
    parts: list[Part]
    missing: list[str]


def card_of(manifest: dict[str, Any], recipe: Recipe) -> Card:
    """The card, from nothing but the manifest and the recipe."""
    said = Said(recipe.card)
    parts = parts_of(manifest, recipe, said)
    title = str(recipe.card.get("pretty_name") or recipe.name)
    missing = list(dict.fromkeys(said.missing))
    return Card(front_matter(manifest, recipe), title, [*parts, sections.missing_part(missing)], missing)


def parts_of(m: dict[str, Any], recipe: Recipe, said: Said) -> list[Part]:
    """All sections but the last, in the order in which a stranger asks."""
    authors = [said(key, key) for key in ("creators", "contact", "publisher", "funding")]
    judged = [said(key, key.replace("_", " ")) for key in ("limitations", "biases", "social_impact")]
    return [
        Part("", [said("summary"), sections.glance(m, said)]),
        sections.permission(m, said),
        sections.load(m),
        *sections.provenance(m, recipe, said),
        *processing.processing(m, recipe),
        *sections.composition(m),
        *processing.measured(m, recipe, said),
        Part("Motivation", [said("motivation.purpose")]),
        Part("Limitations and biases", [judged]),
        Part("Known gaps", [sections.gaps(m, recipe)]),
        sections.again(m, recipe),
        Part("Authors, access and maintenance", [authors, sections.maintenance(said), *said.rest()]),
    ]


def write_card(root: Path, manifest: dict[str, Any], recipe: Recipe, author: str | None = None) -> None:
    """README.md, and card.html and card.json with the same facts."""
    for name, text in rendered(card_of(manifest, recipe), manifest, author).items():
        write_text(root / name, text)


def rendered(card: Card, manifest: dict[str, Any], author: str | None) -> dict[str, str]:
    """The card in its three forms, by file name."""
    from curate.release.page import page

    plain: dict[str, Any] = {"title": card.title, "metadata": card.front, "missing": card.missing}
    plain["sections"] = [part.to_plain() for part in card.parts]
    data = msgspec.json.format(msgspec.json.encode(plain), indent=1).decode() + "\n"
    return {"README.md": markdown(card, author), "card.html": page(card, manifest, author), "card.json": data}


def author_text(text: str) -> str | None:
    """What a person wrote between the marks of a card."""
    found = re.search(f"{re.escape(BEGIN)}(.*?){re.escape(END)}", text, re.DOTALL)
    return found[1] if found else None


def markdown(card: Card, author: str | None) -> str:
    """The card as README.md."""
    front = yaml.safe_dump(card.front, sort_keys=False, allow_unicode=True, width=10**6)
    lines = [f"---\n{front}---", f"# {cell(card.title)}"]
    for part in card.parts:
        lines += [f"## {part.title}"] if part.title else []
        lines += map(_block, part.blocks)
    lines.append(f"{BEGIN}{EMPTY if author is None else author}{END}")
    return "\n\n".join(lines) + "\n"


def _block(block: str | list[str] | dict[str, list[list[Any]]]) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block, list):
        return "\n".join(f"- {item}" for item in block)
    given: list[list[Any]] = block["rows"]
    head, *rows = [[_cell(value) for value in row] for row in given]
    marks = ["--:" if any(_is_number(row[at]) for row in given[1:]) else "---" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, marks, *rows])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | str):
        text = str(value)
        return code(text[1:-1]) if len(text) > 2 and text[0] == text[-1] == "`" else cell(text)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _is_number(value: Any) -> bool:
    """Whether it goes to the right: a number, or a share."""
    if isinstance(value, str):
        return re.fullmatch(r"<?\d+\.\d%", value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def front_matter(manifest: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """What the Hugging Face Hub reads: only what is known."""
    front: dict[str, Any] = {"pretty_name": str(recipe.card.get("pretty_name") or recipe.name)}
    front |= _licence(recipe.card.get("license"))
    codes = sorted(
        name
        for name in manifest["properties"].get("language", {})
        if re.fullmatch("[a-z]{2,3}", name) and name not in NO_LANGUAGE
    )
    if codes:
        front["language"] = codes
        front["multilinguality"] = ["monolingual" if len(codes) == 1 else "multilingual"]
    rows = manifest["total"]["rows"]
    front["size_categories"] = [next((name for power, name in BOUNDS if rows < 10**power), "n>1T")]
    front |= {"task_categories": ["text-generation"], "annotations_creators": ["machine-generated"]}
    if isinstance(recipe.card.get("tags"), list):
        front["tags"] = recipe.card["tags"]
    front["configs"] = configs(manifest)
    return front


def configs(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """What `datasets.load_dataset` can be asked for: all columns, ids and text, dropped documents, lines."""
    files = [{"split": name, "path": f"data/{name}/*.parquet"} for name in manifest["splits"]]
    found: list[dict[str, Any]] = [{"config_name": "default", "data_files": files}]
    found.append({"config_name": "text_only", "data_files": files, "columns": ["id", "text"]})
    if manifest["dropped"]:
        path = [{"split": "train", "path": "dropped/*.parquet"}]
        found.append({"config_name": "dropped", "data_files": path})
    if manifest["lines"]:
        path = [{"split": name, "path": f"lines/{name}/*.parquet"} for name in manifest["splits"]]
        found.append({"config_name": "lines", "data_files": path})
    return json.loads(json.dumps(found))  # no YAML anchors for what is there twice


def _licence(licence: Any) -> dict[str, Any]:
    """The Hub knows SPDX's names in small letters; another licence has a name and a link of its own."""
    if isinstance(licence, str):
        return {"license": licence.lower()}
    if not isinstance(licence, dict):
        return {}
    if "spdx" in licence:
        return {"license": str(licence["spdx"]).lower()}
    keys = {"name": "license_name", "url": "license_link"}
    return {"license": "other"} | {keys[key]: value for key, value in licence.items() if key in keys}
