"""The sections of a release's Data Card. Every number is from the manifest; every judgement is the author's."""

from __future__ import annotations

from typing import Any, NamedTuple

from curate.card import cell, code
from curate.operator import Deduplicator
from curate.recipe import Recipe
from curate.release.author import Said, worded

MOST = 40  # rows of a table; manifest.json has all
FEW = 100  # documents
Table = dict[str, list[list[Any]]]


class Part(NamedTuple):
    """A section: its title, and its paragraphs (text), lists and tables ({"rows": [head, ...]})."""

    title: str
    blocks: list[Any]

    def to_plain(self) -> dict[str, Any]:
        return {"title": self.title, "blocks": self.blocks}


def glance(m: dict[str, Any], said: Said) -> Table:
    total = m["total"]
    licence = said.card.get("license")
    if not licence:
        said.missing.append("card.license")
    rows: list[list[Any]] = [["", ""], ["documents", total["rows"]], ["bytes of text", total["text_bytes"]]]
    rows += [[f"tokens ({m['tokenizers'][name]['name']})", count] for name, count in total["tokens"].items()]
    rows.append(["licence of the release", worded(licence) if licence else "Not stated (recipe: card.license)"])
    rows += [["read for it", f"{m['records']:,} records"], ["Parquet files", len(m["files"])]]
    rows.append(["made by people or by models", said("has_synthetic_data")])
    return {"rows": rows}


def composition(m: dict[str, Any]) -> list[Part]:
    split = [["split", "documents", "bytes of text", *m["tokenizers"]]]
    split += [[f"`{name}`", *_sizes(part)] for name, part in m["splits"].items()]
    domains = [["domain", "split", "documents", "bytes of text", *m["tokenizers"]]]
    largest = sorted(m["domains"], key=lambda d: (-d["rows"], d["name"], d["split"]))
    domains += [[f"`{d['name']}`", d["split"], *_sizes(d)] for d in largest[:MOST]]
    what = f"Domains are made of {', '.join(code(name) for name in m['domain_columns'])}; a file holds one domain only."
    blocks: list[Any] = [{"rows": split}, what, {"rows": domains}]
    if len(largest) > MOST:
        blocks.append(f"{len(largest) - MOST:,} smaller parts are in `manifest.json`.")
    found = [Part("Composition", blocks)]
    for name, values in m["properties"].items():
        if name == "source":
            continue  # has a section of its own
        rows = [[name, "documents", "share", "bytes of text"]]
        counts = [(v, n["rows"], n["text_bytes"]) for v, n in values.items()]
        rows += [[v, n, share(n, m["total"]["rows"]), size] for v, n, size in counts[:MOST]]
        rest = f"{len(counts) - MOST:,} more values are in `manifest.json`." if len(counts) > MOST else ""
        found.append(Part(f"By {name}", [{"rows": rows}, *([rest] if rest else [])]))
    return found


def provenance(m: dict[str, Any], recipe: Recipe, said: Said) -> list[Part]:
    """Where it is from, and under which licences."""
    rows: list[list[Any]] = [["source", "licence", "where", "verified by", "read", "kept"]]
    for line in m["inputs"][:MOST]:
        licence = line.get("license") or "⚠ no licence stated"
        rows.append(
            [line["name"], licence, line.get("url"), line.get("license_verified_by"), line["read"], line["kept"]]
        )
    more = len(m["inputs"]) - MOST
    blocks: list[Any] = [{"rows": rows}, *([f"{more:,} smaller sources are in `manifest.json`."] if more > 0 else [])]
    open_ = [line["name"] for line in m["inputs"] if not line.get("license") and line["kept"]]
    unknown = m["properties"].get("license", {}).get("unknown", {}).get("rows", 0)
    if open_:
        said.missing.append(f"card.sources: the licence of {len(open_):,} sources")
    blocks.append(
        f"{unknown:,} of {m['total']['rows']:,} released documents ({share(unknown, m['total']['rows'])})"
        " have no stated licence, neither of their own nor of their source."
    )
    wanted = m["export"].get("require_license")
    if wanted:
        blocks.append(f"Released were only documents under {', '.join(cell(name) for name in wanted)}.")
    blocks.append(
        [said("collection", "how it was collected"), said("sensitive.residual_pii", "personal data left in it")]
    )
    return [Part("Sources and licences", blocks)]


def gaps(m: dict[str, Any], recipe: Recipe) -> list[str]:
    """What the facts themselves say is missing."""
    rows = m["total"]["rows"]
    names = [step.operator.name() for step in recipe.steps]
    found = []
    unknown = m["properties"].get("license", {}).get("unknown", {}).get("rows", 0)
    if unknown:
        found.append(f"No licence is stated for {share(unknown, rows)} of the documents.")
    few = [name for name, part in m["properties"].get("language", {}).items() if part["rows"] < FEW]
    if few:
        found.append(f"Fewer than {FEW} documents in {len(few)} languages: {', '.join(map(cell, sorted(few)[:MOST]))}.")
    if "language" not in m["properties"]:
        found.append("Languages were not measured.")
    if not any("pii" in name for name in names):
        found.append("Personal data was not looked for.")
    if not any("contaminat" in name for name in names):
        found.append("Test sets were not looked for.")
    if not any(isinstance(step.operator, Deduplicator) for step in recipe.steps):
        found.append("Copies were not looked for.")
    if not m["tokenizers"]:
        found.append("Tokens were not counted: mixtures weigh bytes of text.")
    if m["quarantined"]:
        found.append(f"{m['quarantined']:,} records could not be read or processed, and are not in it.")
    empty = [
        code(name)
        for name, s in m["statistics"].items()
        if s["nulls"] and not name.endswith(("_cluster", "_duplicate_of"))
    ]
    if empty:
        found.append(f"Not every document has {', '.join(empty)}.")
    return found or ["None known from the facts."]


def again(m: dict[str, Any], recipe: Recipe) -> list[Part]:
    load = [
        "```python",
        "import datasets",
        "",
        'train = datasets.load_dataset("path/to/this/folder", split="train")',
        'text = datasets.load_dataset("path/to/this/folder", "text_only", split="train", streaming=True)',
        "```",
    ]
    places = " ".join(f"--sources {name}=PATH" for name in recipe.sources)
    command = ["```console", f"$ curate reproduce path/to/this/folder {places}", "```"]
    lineage = [
        ["what", "fingerprint"],
        ["run", m["dataset"]["run"]],
        ["recipe (SHA-256)", m["dataset"]["recipe_sha256"]],
    ]
    lineage += [["all files (SHA-256)", m["dataset"]["files_sha256"]], ["columns (SHA-256)", m["schema_sha256"]]]
    lineage += [[name, version] for name, version in m["environment"].items()]
    mixing = (
        "`mixture.yaml` has the share of every domain; `exports/` has it in the words of the tools that train on it."
    )
    return [
        Part("How to load it", ["\n".join(load), mixing]),
        Part(
            "How to make it again",
            [
                "With the same sources, this runs `recipe.yaml` and compares every file:",
                "\n".join(command),
                {"rows": lineage},
            ],
        ),
    ]


def maintenance(said: Said) -> list[str]:
    keys = {"access": "access", "retention": "retention", "takedown": "how to have a document removed"}
    keys |= {"maintenance.status": "maintenance", "version": "version", "date": "published", "citation": "citation"}
    return [said(key, label) for key, label in keys.items()]


def missing_part(missing: list[str]) -> Part:
    """What the recipe's author has not said yet."""
    words = "Only the author can say these; nothing was put in their place." if missing else "Nothing."
    return Part("Missing", [words, *([[cell(key) for key in missing]] if missing else [])])


def _sizes(part: dict[str, Any]) -> list[int]:
    return [part["rows"], part["text_bytes"], *part["tokens"].values()]


def share(part: float, whole: float) -> str:
    return f"{part / (whole or 1):.1%}"
