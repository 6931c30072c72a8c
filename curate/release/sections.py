"""The sections of a release's Data Card. Every number is from the manifest; every judgement is the author's."""

from __future__ import annotations

from typing import Any, NamedTuple

from curate.card import cell, code
from curate.operator import Deduplicator
from curate.recipe import Recipe
from curate.release.author import Said, licence_name, worded

MOST = 40  # rows of a table; manifest.json has all
LARGEST = 20  # domains
FEW = 100  # documents
NO_LICENCE = "Not stated (recipe: card.license)"
Table = dict[str, list[list[Any]]]


class Part(NamedTuple):
    """A section: its title, and its paragraphs (text), lists and tables ({"rows": [head, ...]})."""

    title: str
    blocks: list[Any]

    def to_plain(self) -> dict[str, Any]:
        return {"title": self.title, "blocks": self.blocks}


def glance(m: dict[str, Any], said: Said) -> Table:
    """How much there is of what, in a table that has no heading."""
    total = m["total"]
    rows: list[list[Any]] = [["", ""], ["documents", f"{total['rows']:,}, of {m['records']:,} records read"]]
    rows.append(["bytes of text", total["text_bytes"]])
    rows += [[f"tokens ({m['tokenizers'][name]['name']})", count] for name, count in total["tokens"].items()]
    languages = sorted(m["properties"].get("language", {}).items(), key=lambda item: -item[1]["rows"])
    if languages:
        shown = ", ".join(f"{name} {share(part['rows'], total['rows'])}" for name, part in languages[:6])
        rows.append(["languages", f"{shown}{f' and {len(languages) - 6} more' if len(languages) > 6 else ''}"])
    rows.append(["sources", sum(line["released"] > 0 for line in m["inputs"])])
    rows.append(
        ["licence of the release", licence_name(said.card.get("license")) or "Not stated (recipe: card.license)"]
    )
    rows += [["holds text made by models", said("has_synthetic_data")], ["Parquet files", len(m["files"])]]
    return {"rows": rows}


def permission(m: dict[str, Any], said: Said) -> Part:
    """May I use it? Licences of the release and of its documents, and what it is and is not meant for."""
    licence = licence_name(said.card.get("license"))
    if not licence:
        said.missing.append("card.license")
    whole = m["total"]["rows"]
    blocks: list[Any] = [[f"**licence of the release**: {licence or NO_LICENCE}"]]
    found = m["properties"].get("license", {})
    unknown = found.get("unknown", {}).get("rows", 0)
    if unknown:
        blocks[0].append(
            f"⚠ {unknown:,} of {whole:,} documents ({share(unknown, whole)}) have no stated licence, neither of their"
            " own nor of their source: whether they may be used is not known."
        )
    else:
        blocks[0].append(f"Each of the {whole:,} documents has a stated licence, in the column `license`.")
    wanted = m["export"].get("require_license")
    if wanted:
        blocks[0].append(f"Released were only documents under {', '.join(cell(name) for name in wanted)}.")
    blocks[0] += [said("uses.suitable", "suitable"), said("uses.unsuitable", "unsuitable")]
    rows = [["licence of the documents", "documents", "share", "bytes of text"]]
    rows += [[name, n["rows"], share(n["rows"], whole), n["text_bytes"]] for name, n in [*found.items()][:MOST]]
    return Part("May I use it?", [*blocks, *([{"rows": rows}] if found else [])])


def composition(m: dict[str, Any]) -> list[Part]:
    """Splits, the largest domains, and the values of each property."""
    split = [["split", "documents", "bytes of text", *m["tokenizers"]]]
    split += [[f"`{name}`", *sizes(part)] for name, part in m["splits"].items()]
    whole: dict[str, list[int]] = {}
    for domain in m["domains"]:
        before = whole.get(domain["name"], [0] * len(sizes(domain)))
        whole[domain["name"]] = [a + b for a, b in zip(before, sizes(domain), strict=True)]
    largest = sorted(whole.items(), key=lambda item: (-item[1][0], item[0]))
    domains = [["domain", "documents", "bytes of text", *m["tokenizers"]]]
    domains += [[f"`{name}`", *counts] for name, counts in largest[:LARGEST]]
    what = f"Domains are made of {', '.join(code(name) for name in m['domain_columns'])}; a file holds one domain only."
    blocks: list[Any] = [{"rows": split}, what, {"rows": domains}]
    if len(largest) > LARGEST:
        blocks.append(f"{len(largest) - LARGEST:,} smaller domains are in `manifest.json`.")
    found = [Part("Composition", blocks)]
    for name, values in m["properties"].items():
        if name not in ("source", "license"):  # these have sections of their own
            found.append(_values(name, values, m["total"]["rows"]))
    return found


def _values(name: str, values: dict[str, Any], whole: int) -> Part:
    """A property's values, the most frequent first."""
    rows = [[name, "documents", "share", "bytes of text"]]
    rows += [[v, n["rows"], share(n["rows"], whole), n["text_bytes"]] for v, n in [*values.items()][:MOST]]
    rest = f"{len(values) - MOST:,} more values are in `manifest.json`." if len(values) > MOST else ""
    return Part(f"By {name}", [{"rows": rows}, *([rest] if rest else [])])


def provenance(m: dict[str, Any], recipe: Recipe, said: Said) -> list[Part]:
    """Where it is from, and under which licences."""
    places = [f"`{name}`: {_place(source.path)}" for name, source in recipe.sources.items()]
    kept = [line for line in m["inputs"] if line["released"]]
    rows: list[list[Any]] = [["source", "licence", "where", "licence verified by", "read", "here"]]
    for line in kept[:MOST]:
        licence = licence_name(line.get("license")) or "⚠ no licence stated"
        rows.append(
            [line["name"], licence, line.get("url"), line.get("license_verified_by"), line["read"], line["released"]]
        )
    blocks: list[Any] = ["Read were the sources of the recipe:", places, "Of their documents, by the column `source`:"]
    blocks.append({"rows": rows})
    more, nothing = len(kept) - MOST, [cell(line["name"]) for line in m["inputs"] if not line["released"]]
    blocks += [f"{more:,} smaller sources are in `manifest.json`."] if more > 0 else []
    blocks += [f"Nothing is here of {', '.join(nothing[:MOST])}."] if nothing else []
    open_ = [line["name"] for line in kept if not line.get("license")]
    if open_ and m["properties"].get("license", {}).get("unknown"):
        said.missing.append(f"card.sources: the licence of {', '.join(open_[:5])}{_others(len(open_) - 5)}")
    blocks.append([said("collection", "how it was collected")])
    return [Part("Where it is from", blocks)]


def _place(path: str | list[str]) -> str:
    return ", ".join(cell(name) for name in ([path] if isinstance(path, str) else path)[:MOST])


def _others(count: int) -> str:
    return f" and {count:,} others" if count > 0 else ""


def gaps(m: dict[str, Any], recipe: Recipe) -> list[str]:
    """What the facts themselves say is missing."""
    rows = m["total"]["rows"]
    told = {step.operator.card_section for step in recipe.steps}
    found = []
    unknown = m["properties"].get("license", {}).get("unknown", {}).get("rows", 0)
    if unknown:
        found.append(f"No licence is stated for {share(unknown, rows)} of the documents.")
    few = [name for name, part in m["properties"].get("language", {}).items() if part["rows"] < FEW]
    if few:
        names = ", ".join(map(cell, sorted(few)[:MOST]))
        found.append(f"Fewer than {FEW} documents in {_languages(len(few))}: {names}.")
    if "language" not in m["properties"]:
        found.append("Languages were not measured.")
    if "Personal data" not in told:
        found.append("Personal data was not looked for.")
    if "Decontamination" not in told:
        found.append("Test sets were not looked for.")
    if not any(isinstance(step.operator, Deduplicator) for step in recipe.steps):
        found.append("Copies were not looked for.")
    if not m["tokenizers"]:
        found.append("Tokens were not counted: mixtures weigh bytes of text.")
    if m["quarantined"]:
        found.append(f"{m['quarantined']:,} records could not be read or processed, and are not in it.")
    of = {column["name"]: column for column in m["columns"]}
    empty = [(n, s["nulls"]) for n, s in m["statistics"].items() if s["nulls"] and of[n]["role"] != "dedup"]
    if empty:
        found.append(f"Empty in part: {', '.join(f'{code(name)} in {share(many, rows)}' for name, many in empty)}.")
    return found or ["None known from the facts."]


def _languages(count: int) -> str:
    return "1 language" if count == 1 else f"{count} languages"


def load(m: dict[str, Any]) -> Part:
    """How to load it, with `datasets` and without."""
    lines = [
        "```python",
        "import datasets",
        "",
        'folder = "path/to/this/folder"  # or USER/NAME, once it is on the Hub',
        'train = datasets.load_dataset(folder, split="train")',
        'text = datasets.load_dataset(folder, "text_only", split="train", streaming=True)  # ids and text',
    ]
    if m["dropped"]:
        lines.append('dropped = datasets.load_dataset(folder, "dropped", split="train")  # without text, with reasons')
    if m["lines"]:
        lines.append('lines = datasets.load_dataset(folder, "lines", split="train")  # a row for each line of text')
    lines += ["", "import polars as pl", "", 'frame = pl.scan_parquet(f"{folder}/data/train/*.parquet")', "```"]
    mixing = "`mixture.yaml` has the share of every domain; `exports/` has it in the words of tools that train on it."
    return Part(
        "How to load it", [f"Splits: {', '.join(code(name) for name in m['splits'])}.", "\n".join(lines), mixing]
    )


def again(m: dict[str, Any], recipe: Recipe) -> Part:
    """How to make it again, and the fingerprints by which to tell."""
    places = " ".join(f"--sources {name}=PATH" for name in recipe.sources)
    version = m["environment"]["curate"]
    command = [f"$ pip install curate=={version}", f"$ curate reproduce path/to/this/folder {places}"]
    rows = [["what", "fingerprint"], ["run", m["dataset"]["run"]]]
    rows += [["recipe (SHA-256)", m["dataset"]["recipe_sha256"]], ["all files (SHA-256)", m["dataset"]["files_sha256"]]]
    rows += [["columns (SHA-256)", m["schema_sha256"]], *([name, number] for name, number in m["environment"].items())]
    asked = ", ".join(f"{name} {_setting(value)}" for name, value in m["export"].items()) or "the defaults"
    blocks = [
        "With the same sources, this runs `recipe.yaml` and compares every file:",
        "\n".join(["```console", *command, "```"]),
        f"It was exported with {asked}. The same versions give the same bytes:",
        {"rows": rows},
    ]
    return Part("How to make it again", blocks)


def _setting(value: Any) -> str:
    return code(worded(value) if not isinstance(value, int | float) else str(value))


def maintenance(said: Said) -> list[str]:
    """Access, upkeep, citation: the author's."""
    keys = {"access": "access", "retention": "retention", "takedown": "how to have a document removed"}
    keys |= {"maintenance.status": "maintenance", "version": "version", "date": "published", "citation": "citation"}
    return [said(key, label) for key, label in keys.items()]


def missing_part(missing: list[str]) -> Part:
    """What the recipe's author has not said yet."""
    words = "Only the author can say these; nothing was put in their place." if missing else "Nothing."
    return Part("Missing", [words, *([[cell(key) for key in missing]] if missing else [])])


def sizes(part: dict[str, Any]) -> list[int]:
    """Documents, bytes of text, tokens."""
    return [part["rows"], part["text_bytes"], *part["tokens"].values()]


def share(part: float, whole: float) -> str:
    """A share in per cent; what is there but rounds to nothing is not nothing.

    >>> share(1, 3), share(1, 10**6), share(0, 0)
    ('33.3%', '<0.1%', '0.0%')
    """
    if 0 < part < 0.0005 * whole:
        return "<0.1%"
    return f"{part / (whole or 1):.1%}"
