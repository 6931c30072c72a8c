"""exports/: the mixture in the words of tools that train on it. Each exporter is a function from mixture to files.

What a tool counts decides the weights it gets: token weights for Megatron, OLMo-core and Dolma; row weights for
Hugging Face, Ray Data, Mixtera, MosaicML and the queries, so that the wanted shares of tokens come out.
"""

from __future__ import annotations

import json
import pprint
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from curate.release.mixture import Mixture, domain_sizes, row_weights
from curate.store import write_text

FOLDER = "exports"
MIXTERA_CHUNK = 1_000  # rows; with fewer, a domain of a small share gets none (Mixtera then fails)


class Mixed(NamedTuple):
    """What exporters know: files, rows, tokens, and the two kinds of weights of each domain with a weight."""

    mixture: Mixture
    manifest: dict[str, Any]
    files: dict[str, list[str]]
    rows: dict[str, int]
    sizes: dict[str, int]
    token_weights: dict[str, float]
    row_weights: dict[str, float]


def mixed(mixture: Mixture, manifest: dict[str, Any]) -> Mixed:
    """The mixture with what the manifest says of its domains."""
    shares = mixture.shares()
    parts = {d["name"]: d for d in manifest["domains"] if d["split"] == mixture.split and d["name"] in shares}
    sizes = domain_sizes(manifest, mixture.split, mixture.unit)
    return Mixed(
        mixture,
        manifest,
        {name: parts[name]["files"] for name in shares},
        {name: parts[name]["rows"] for name in shares},
        {name: sizes[name] for name in shares},
        shares,
        row_weights(manifest, mixture),
    )


def write_exports(folder: Path, mixture: Mixture, manifest: dict[str, Any]) -> list[str]:
    """Write the files of every exporter; their paths below the release. A release without a weight has none."""
    if not mixture.weights or not sum(mixture.weights.values()):
        return []
    it = mixed(mixture, manifest)
    found = {f"{FOLDER}/{name}": text for exporter in EXPORTERS.values() for name, text in exporter(it).items()}
    for name, text in found.items():
        write_text(folder / name, text)
    return list(found)


def hugging_face(it: Mixed) -> dict[str, str]:
    """`interleave_datasets`, which draws rows."""
    values = {"FILES": it.files, "WEIGHTS": it.row_weights, "SEED": it.mixture.seed}
    return {"hugging_face.py": filled("hugging_face.py", values)}


def ray_data(it: Mixed) -> dict[str, str]:
    """A sample of each domain's rows, joined: no domain is repeated, the scarcest is used whole."""
    values = {"FILES": it.files, "RATES": rates(it), "SEED": it.mixture.seed}
    return {"ray_data.py": filled("ray_data.py", values)}


def queries(it: Mixed) -> dict[str, str]:
    """DuckDB and Polars: the release as a table, and a sample of it that has the mixture's shares."""
    chosen = rates(it)
    rows = ",\n    ".join(f"({_sql(name)}, {rate:.9f})" for name, rate in chosen.items())
    paths = ",\n    ".join(_sql(path) for files in it.files.values() for path in files)
    query = resources.files("curate.release").joinpath("templates", "duckdb.sql").read_text(encoding="utf-8")
    query = query.replace("@FILES", paths).replace("@RATES", rows).replace("@SEED", _sql(str(it.mixture.seed)))
    values = {"FILES": it.files, "RATES": chosen, "SEED": it.mixture.seed}
    return {"duckdb.sql": query, "polars_mixture.py": filled("polars_mixture.py", values)}


def megatron(it: Mixed) -> dict[str, str]:
    """Megatron-LM's `--data-args-path` file: weights of tokens and prefixes of what preprocess_data.py writes."""
    parts = [f"{weight:.6f} megatron/{name}_text_document" for name, weight in it.token_weights.items()]
    return {"megatron_blend.txt": " ".join(parts) + "\n"}


def olmo(it: Mixed) -> dict[str, str]:
    """OLMo-core's source mixture over tokens, and Dolma's mixer over documents (which has no weights)."""
    sources = [
        {
            "source_name": name,
            "target_ratio": round(weight, 9),
            "paths": [f"tokens/{name}/*.npy"],
            "max_repetition_ratio": it.mixture.max_repeat,
        }
        for name, weight in it.token_weights.items()
    ]
    ratios = [source["target_ratio"] for source in sources]
    sources[-1]["target_ratio"] = round(1 - sum(ratios[:-1]), 9)  # type: ignore[arg-type]  # they must sum to 1
    streams = [
        {
            "name": name,
            "documents": [f"documents/{name}/*.jsonl.gz"],
            "attributes": [],
            "filter": {"include": ["$.id"], "exclude": []},  # Dolma asks for one; all documents have an id
            "output": {"path": f"mixed/{name}", "max_size_in_bytes": 1_000_000_000},
        }
        for name in it.token_weights
    ]
    budget = int(min(it.sizes[name] * it.mixture.max_repeat / weight for name, weight in it.token_weights.items()))
    head = f"# SourceMixtureList.from_yaml reads this; there is enough for requested_tokens={budget}.\n"
    dolma = {"streams": streams, "processes": 1}
    return {
        "olmo_mix.yaml": head + _yaml({"sources": sources}),
        "dolma_mixer.yaml": _yaml(dolma),
        "to_jsonl.py": filled("to_jsonl.py", {}),
    }


def mixtera(it: Mixed) -> dict[str, str]:
    """Mixtera's metadata parser and registration: properties are text, one flat folder, chunks of enough rows."""
    columns = it.manifest["domain_columns"]
    if not columns:
        return {}  # its queries are about properties
    values_of = {d["name"]: d["values"] for d in it.manifest["domains"] if d["split"] == it.mixture.split}
    smallest = min(it.row_weights.values())
    mixture = {
        "chunk_size": max(MIXTERA_CHUNK, int(10 / smallest) + 1),  # ten rows of the rarest domain in a chunk
        "mixture": [
            {"key": {c: [v] for c, v in zip(columns, values_of[name], strict=True)}, "weight": weight}
            for name, weight in it.row_weights.items()
        ],
    }
    values = {"NAME": it.manifest["dataset"]["name"], "FOLDER": f"data/{it.mixture.split}"}
    values |= {"PROPERTIES": tuple(columns)}
    return {
        "mixtera_parser.py": filled("mixtera_parser.py", {"PROPERTIES": tuple(columns)}),
        "mixtera_register.py": filled("mixtera_register.py", values),
        "mixtera_mixture.json": json.dumps(mixture, indent=1) + "\n",
    }


def mosaic(it: Mixed) -> dict[str, str]:
    """MosaicML Streaming: the script writes MDS shards of each domain and gives the streams with their proportions."""
    return {"mosaic.py": filled("mosaic.py", {"FILES": it.files, "WEIGHTS": it.row_weights, "SEED": it.mixture.seed})}


EXPORTERS: dict[str, Callable[[Mixed], dict[str, str]]] = {
    "hugging_face": hugging_face,
    "ray_data": ray_data,
    "queries": queries,
    "megatron": megatron,
    "olmo": olmo,
    "mixtera": mixtera,
    "mosaic": mosaic,
}


def rates(it: Mixed) -> dict[str, float]:
    """Which part of each domain's rows to take: the domain that is scarcest for its weight is taken whole."""
    need = {name: weight / it.rows[name] for name, weight in it.row_weights.items()}
    most = max(need.values())
    return {name: value / most for name, value in need.items()}


def filled(template: str, values: dict[str, Any]) -> str:
    """A script of ours with the values of this mixture in the place of its `NAME = ...` lines."""
    text = resources.files("curate.release").joinpath("templates", template).read_text(encoding="utf-8")
    for name, value in values.items():
        head = f"{name} = ..."
        assert head in text, f"{template} has no {head}"
        text = text.replace(head, f"{name} = {pprint.pformat(value, width=110, sort_dicts=False)}")
    return text


def _sql(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10**6)
