"""What only the author of a release can say, `card:` of the recipe, in words; what is not said is noted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from curate.card import cell
from curate.errors import RecipeError
from curate.recipe import Recipe

PLACED = ("pretty_name", "sources", "tags", "license")  # have a place of their own in the card


class Said:
    """What the author says in the recipe's `card:`; notes what is asked for and is not there."""

    def __init__(self, card: dict[str, Any]) -> None:
        self.card = card
        self.missing: list[str] = []
        self.asked: set[str] = set()

    def __call__(self, key: str, label: str | None = None) -> str:
        """The author's words for a key such as `motivation.purpose`."""
        value: Any = self.card
        self.asked.add(key.split(".")[0])
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        head = f"**{label}**: " if label else ""
        if value in (None, "", [], {}):
            self.missing.append(f"card.{key}")
            return f"{head}Not stated (recipe: card.{key})."
        return f"{head}{worded(value)}"

    def rest(self) -> list[str]:
        """What the author says under keys that the card does not ask for."""
        return [f"**{cell(k)}**: {worded(v)}" for k, v in self.card.items() if k not in {*self.asked, *PLACED}]


def worded(value: Any) -> str:
    """A value of the author's as text in one paragraph."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(item.strip().removesuffix(".") for item in value)
    return yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def licence_name(licence: Any) -> str | None:
    """A licence as a name in words: SPDX's, or the author's with a link.

    >>> licence_name({"name": "research only", "url": "https://a.example"}), licence_name("mit"), licence_name(None)
    ('research only (https://a.example)', 'mit', None)
    """
    if isinstance(licence, Mapping):
        name = licence.get("spdx") or licence.get("name")
        link = f" ({licence['url']})" if licence.get("url") else ""
        return f"{name}{link}" if name else worded(dict(licence))
    return worded(licence) if licence else None


def carded(recipe: Recipe, card: str | Path | Mapping[str, Any] | None) -> Recipe:
    """The recipe with what the author says now: a mapping, or a YAML file; its keys take the place of the recipe's.

    Raises RecipeError for a file that cannot be read or holds no mapping.
    """
    if card is None:
        return recipe
    said: Any = card
    if isinstance(card, str | Path):
        try:
            said = yaml.safe_load(Path(card).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise RecipeError(f"--card {card}: {error}") from error
    if not isinstance(said, Mapping):
        raise RecipeError(f"--card {card}: write what stands under `card:` in a recipe, such as `summary: ...`")
    said = said.get("card", said) if [*said] == ["card"] else said
    return msgspec.structs.replace(recipe, card={**recipe.card, **said})
