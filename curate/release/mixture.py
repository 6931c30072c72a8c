"""A mixture: which share of the tokens each domain gives. Weights are of tokens; who mixes rows gets row weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from curate.errors import RecipeError, nearest
from curate.release.settings import SPLIT
from curate.store import write_text

FILE = "mixture.yaml"


class Mixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of domains, as mixture.yaml says them.

    unit        what the weights are shares of: a column of token counts, or `text_bytes`
    split       the split that is mixed
    seed        for tools that draw at random
    max_repeat  how often a document may be seen, for tools that know such a bound
    weights     domain -> share; they are divided by their sum, a domain that is left out has none
    """

    name: str = "natural"
    unit: str = "text_bytes"
    split: str = SPLIT
    seed: int = 0
    max_repeat: float = 4.0
    weights: dict[str, float]

    def shares(self) -> dict[str, float]:
        """Weights that sum to one, without the domains that have none."""
        total = sum(self.weights.values())
        return {name: weight / total for name, weight in self.weights.items() if weight > 0}


def natural(manifest: dict[str, Any]) -> Mixture:
    """Every domain by its size: tokens where they were counted, else bytes of text."""
    unit = next(iter(manifest["tokenizers"]), "text_bytes")
    sizes = domain_sizes(manifest, SPLIT, unit)
    total = sum(sizes.values()) or 1
    return Mixture(unit=unit, weights={name: round(size / total, 6) for name, size in sizes.items()})


def domain_sizes(manifest: dict[str, Any], split: str, unit: str) -> dict[str, int]:
    """Domains of a split and how large each is, in a unit of the manifest."""
    domains = [domain for domain in manifest["domains"] if domain["split"] == split]
    return {d["name"]: d["rows"] if unit == "rows" else d["tokens"].get(unit, d["text_bytes"]) for d in domains}


def row_weights(manifest: dict[str, Any], mixture: Mixture) -> dict[str, float]:
    """Shares of rows that give the wanted shares of tokens: divided by the mean length of the domain's documents."""
    units = domain_sizes(manifest, mixture.split, mixture.unit)
    rows = domain_sizes(manifest, mixture.split, "rows")
    raw = {name: share * rows[name] / units[name] for name, share in mixture.shares().items()}
    total = sum(raw.values())
    return {name: weight / total for name, weight in raw.items()}


def read_mixture(folder: Path, manifest: dict[str, Any]) -> Mixture:
    """The release's mixture.yaml. RecipeError for domains that are not there, and weights that are none."""
    path = folder / FILE
    try:
        mixture = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Mixture)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise RecipeError(f"{path}: {error}") from error
    units = [*manifest["tokenizers"], "text_bytes"]
    if mixture.unit not in units:
        raise RecipeError(f"{path}: no unit {mixture.unit!r}; there are {', '.join(units)}")
    sizes = domain_sizes(manifest, mixture.split, mixture.unit)
    for name, weight in mixture.weights.items():
        if name not in sizes:
            raise RecipeError(f"{path}: no domain {name!r} in split {mixture.split!r}{nearest(name, sizes)}")
        if not 0 <= weight < float("inf"):
            raise RecipeError(f"{path}: the weight of {name} is {weight}: write 0 or more")
        if weight and not sizes[name]:
            raise RecipeError(f"{path}: {name} has a weight but no {mixture.unit}")
    if not sum(mixture.weights.values()):
        raise RecipeError(f"{path}: all weights are 0")
    return mixture


def write_mixture(folder: Path, mixture: Mixture, manifest: dict[str, Any]) -> None:
    """mixture.yaml, with the size of each domain beside its weight."""
    sizes = domain_sizes(manifest, mixture.split, mixture.unit)
    rows = domain_sizes(manifest, mixture.split, "rows")
    head = {key: getattr(mixture, key) for key in ("name", "unit", "split", "seed", "max_repeat")}
    lines = ["# Shares of the tokens that a model sees. Edit, then `curate mixture DIR` writes exports/ anew."]
    lines += [*yaml.safe_dump(head, sort_keys=False).splitlines(), "weights:" if sizes else "weights: {}"]
    key = {name: yaml.safe_dump(name, width=10**6).removesuffix("\n").removesuffix("\n...") for name in sizes}
    for name, weight in mixture.weights.items():
        lines.append(f"  {key[name]}: {weight:g}  # {sizes[name]:,} {mixture.unit}, {rows[name]:,} documents")
    write_text(folder / FILE, "\n".join(lines) + "\n")
