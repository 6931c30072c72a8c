"""The sections of a release's Data Card. Every number is from the manifest; every judgement is the author's."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import yaml

from curate import assets
from curate.card import cell, code
from curate.operator import Deduplicator
from curate.recipe import Recipe, Step, changed

MOST = 40  # rows of a table; manifest.json has all
FEW = 100  # documents
Table = dict[str, list[list[Any]]]


class Part(NamedTuple):
    """A section: its title, and its paragraphs (text), lists and tables ({"rows": [head, ...]})."""

    title: str
    blocks: list[Any]

    def to_plain(self) -> dict[str, Any]:
        return {"title": self.title, "blocks": self.blocks}


class Said:
    """What the author says in the recipe's `card:`; notes what is asked for and is not there."""

    def __init__(self, card: dict[str, Any]) -> None:
        self.card, self.missing, self.asked = card, [], set()  # type: ignore[var-annotated]

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


PLACED = ("pretty_name", "sources", "tags", "license")


def worded(value: Any) -> str:
    """A value of the author's as text in one paragraph."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(item.strip() for item in value)
    return yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def parts(m: dict[str, Any], recipe: Recipe, said: Said) -> list[Part]:
    """All sections but the last, in the order in which a stranger asks."""
    return [
        Part("", [said("summary"), glance(m, said)]),
        Part("Authorship", [[said(key, key) for key in ("creators", "contact", "publisher", "funding")]]),
        Part("Motivation", [said("motivation.purpose")]),
        Part("Uses", [[said("uses.suitable", "suitable"), said("uses.unsuitable", "unsuitable")]]),
        *composition(m),
        *provenance(m, recipe, said),
        *processing(m, recipe),
        *measured(m, recipe, said),
        Part("Known gaps", [gaps(m, recipe)]),
        Part(
            "Limitations and biases",
            [[said(k, k.replace("_", " ")) for k in ("limitations", "biases", "social_impact")]],
        ),
        *again(m, recipe),
        Part("Access and maintenance", [maintenance(said), *said.rest()]),
    ]


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
        rows += [[v, n, _share(n, m["total"]["rows"]), size] for v, n, size in counts[:MOST]]
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
        f"{unknown:,} of {m['total']['rows']:,} released documents ({_share(unknown, m['total']['rows'])})"
        " have no stated licence, neither of their own nor of their source."
    )
    wanted = m["export"].get("require_license")
    if wanted:
        blocks.append(f"Released were only documents under {', '.join(cell(name) for name in wanted)}.")
    blocks.append(
        [said("collection", "how it was collected"), said("sensitive.residual_pii", "personal data left in it")]
    )
    return [Part("Sources and licences", blocks)]


def processing(m: dict[str, Any], recipe: Recipe) -> list[Part]:
    """What was done, and what was thrown away for which reason."""
    steps = [f"`{step.name}`: {_what(step)}{_parameters(step)}" for step in recipe.steps]
    funnel: list[list[Any]] = [["reason", "documents lost", "bytes lost", "documents left"]]
    for step in m["funnel"]["steps"]:
        is_end = "failed" not in step
        lost = [None, None] if is_end else [step["documents"], step["bytes"]]
        funnel.append([f"`{step['step']}`", *lost, step["documents_left"]])
    left_out = m["funnel"]["steps"][-1]["documents"] - m["total"]["rows"]
    if left_out:
        funnel.append(["`require_license`", left_out, None, m["total"]["rows"]])
    rules: list[list[Any]] = [["rule", "a document stays if", "bound is from", "fail", "dropped first by it"]]
    rules += [
        [f"`{r['rule']}`", f"`{r['asks']}`", r.get("source", "this recipe"), r["fail"], r["dropped"]]
        for r in m["rules"]
    ]
    words = "Bytes are those of the text as it was read; a document is counted at the first reason that took it."
    found = [
        Part("How it was made", [steps]),
        Part("What was thrown away, and why", [words, {"rows": funnel}]),
        Part(
            "Rules",
            ["`fail` counts every document that a rule speaks against, as far as it was asked.", {"rows": rules}],
        ),
    ]
    return found if m["rules"] else found[:2]


def measured(m: dict[str, Any], recipe: Recipe, said: Said) -> list[Part]:
    """Deduplication, decontamination, personal data, models, columns, distributions."""
    dedup = [_found(step, m) for step in recipe.steps if isinstance(step.operator, Deduplicator)]
    tests = [_found(step, m) for step in recipe.steps if "contaminat" in step.operator.name()]
    private = [_found(step, m) for step in recipe.steps if "pii" in step.operator.name()]
    models = [line for step in recipe.steps for line in _models(step)]
    private_words = [said("sensitive.human_attributes", "people"), said("sensitive.risks", "risks")]
    columns: list[list[Any]] = [["column", "type", "role", "meaning", "by", "empty"]]
    for c in m["columns"]:
        by = f"{c['operator']} {c['version']}" if "operator" in c else None
        empty = m["statistics"].get(c["name"], {}).get("nulls")
        columns.append([f"`{c['name']}`", c["type"], c["role"], c.get("definition", "not described"), by, empty])
    points = ("min", "5%", "25%", "50%", "75%", "95%", "max")
    spread = [["column", *points, "mean"]]
    for name, found in m["statistics"].items():
        if "mean" in found:
            spread.append([f"`{name}`", *(found[point] for point in (*points, "mean"))])
    return [
        Part("Deduplication", [dedup or "Not done."]),
        Part("Decontamination", [tests or "Not done: whether it holds test sets was not measured."]),
        Part(
            "Personal data", [private or "Not treated: whether it holds personal data was not measured.", private_words]
        ),
        Part("Models and lists", [models or "None."]),
        Part("Columns", [{"rows": columns}]),
        Part("Distributions", ["Of the released documents.", {"rows": spread}]),
    ]


def gaps(m: dict[str, Any], recipe: Recipe) -> list[str]:
    """What the facts themselves say is missing."""
    rows = m["total"]["rows"]
    names = [step.operator.name() for step in recipe.steps]
    found = []
    unknown = m["properties"].get("license", {}).get("unknown", {}).get("rows", 0)
    if unknown:
        found.append(f"No licence is stated for {_share(unknown, rows)} of the documents.")
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


def _what(step: Step) -> str:
    return inspect.cleandoc(type(step.operator).__doc__ or "").split("\n")[0]


def _parameters(step: Step) -> str:
    """Parameters that are short; rules have a table of their own."""
    given = {k: changed(getattr(step.operator, k)) for k in step.operator.__struct_fields__ if k != "rules"}
    given = {name: value for name, value in given.items() if value not in (None, (), [], {}, "")}
    if not given:
        return ""
    return f" ({', '.join(f'{name} {_value(value)}' for name, value in given.items())})"


def _value(value: Any) -> str:
    text = worded(value) if value is not None else "none"
    return code(text if len(text) < 200 else text[:200] + "…")


def _found(step: Step, m: dict[str, Any]) -> str:
    """What a corpus-wide step was asked and what it found."""
    facts = m["corpus"].get(step.name, {})
    taken = sum(row["documents"] for row in m["funnel"]["steps"] if row["step"] in step.reasons_given().values())
    numbers = [f"{name.replace('_', ' ')} {_count(value)}" for name, value in facts.items()]
    rate = f"{taken:,} documents dropped ({_share(taken, m['records'])} of all read)"
    return f"`{step.name}`: {_what(step)}{_parameters(step)}: {'; '.join([rate, *numbers])}"


def _models(step: Step) -> list[str]:
    """The models and lists a step was given, with what the catalogue of assets knows of them."""
    keys = [
        key
        for key in ("model", "models", "words", "flagged_words", "tokenizer", "lists")
        if hasattr(step.operator, key)
    ]
    named = {key: changed(getattr(step.operator, key)) for key in keys}
    about = [f"{key} {_value(value)}{_asset(value)}" for key, value in named.items() if value not in (None, (), [], "")]
    return [f"`{step.name}` (version {type(step.operator).version}): {', '.join(about)}."] if about else []


def _asset(name: Any) -> str:
    """What is known of a model or list by its name; training data and scores only where they are stated."""
    found = assets.registry().get(name.split("/")[0]) if isinstance(name, str) else None
    unstated = "its training data and scores are not stated" if isinstance(name, str) and name != "whitespace" else ""
    if found is None:
        return f" ({unstated})" if unstated else ""
    return f" ({cell(found.about)}, version {cell(found.version)}, licence {cell(found.licence)})"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else cell(worded(value) if value is not None else "none")


def _sizes(part: dict[str, Any]) -> list[int]:
    return [part["rows"], part["text_bytes"], *part["tokens"].values()]


def _share(part: float, whole: float) -> str:
    return f"{part / (whole or 1):.1%}"
