"""croissant.json: the release as Croissant 1.1 (MLCommons) with its responsible-AI vocabulary and PROV-O."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from curate.recipe import Recipe
from curate.release.author import Said, worded
from curate.release.sections import gaps
from curate.store import write_text

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "arrayShape": "cr:arrayShape",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
CONFORMS = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
STATED = {
    "dataCollection": "collection",
    "dataReleaseMaintenancePlan": "maintenance",
    "personalSensitiveInformation": "sensitive",
    "dataSocialImpact": "social_impact",
    "dataBiases": "biases",
    "dataUseCases": "uses.suitable",
}


def write_croissant(root: Path, manifest: dict[str, Any], recipe: Recipe) -> None:
    text = msgspec.json.format(msgspec.json.encode(croissant(manifest, recipe)), indent=1).decode()
    write_text(root / "croissant.json", text + "\n")


def croissant(m: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The JSON-LD of a release; what the author did not say is left out, and named in the card."""
    found: dict[str, Any] = {"@context": CONTEXT, "@type": "sc:Dataset", "conformsTo": list(CONFORMS)}
    found |= {
        "name": recipe.name,
        "description": worded(recipe.card.get("summary") or recipe.description or recipe.name),
    }
    found |= _about(recipe.card) | _responsible(m, recipe) | _lineage(m)
    codes = [name for name in m["properties"].get("language", {}) if len(name) in (2, 3)]
    found |= {"inLanguage": sorted(codes)} if codes else {}
    found["distribution"] = [*map(_file_object, m["files"]), *(_file_set(split) for split in m["splits"])]
    found["recordSet"] = [_record_set(split, m) for split in m["splits"]]
    return found


def _about(card: dict[str, Any]) -> dict[str, Any]:
    licence = card.get("license")
    if isinstance(licence, dict):
        licence = licence.get("url") or licence.get("spdx") or licence.get("name")
    creators = card.get("creators")
    makers = [{"@type": "Organization", "name": name} for name in creators] if isinstance(creators, list) else creators
    given = {"license": licence, "creator": makers, "url": card.get("url"), "datePublished": card.get("date")}
    given |= {"version": card.get("version"), "citeAs": card.get("citation"), "publisher": card.get("publisher")}
    return {key: value if key == "creator" else str(value) for key, value in given.items() if value}


def _responsible(m: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The responsible-AI fields: what the run knows, and what the author says."""
    said = Said(recipe.card)
    found = {f"rai:{name}": said(key) for name, key in STATED.items()}
    found = {name: text for name, text in found.items() if not text.startswith("Not stated")}
    limits = [*gaps(m, recipe)]
    if recipe.card.get("limitations"):
        limits.append(worded(recipe.card["limitations"]))
    found["rai:dataLimitations"] = " ".join(limits)
    steps = [step.name for step in recipe.steps]
    found["rai:dataPreprocessingProtocol"] = f"The steps of recipe.yaml, in order: {', '.join(steps)}."
    lost = [f"{row['step']} {row['documents']}" for row in m["funnel"]["steps"] if "failed" in row and row["documents"]]
    found["rai:dataManipulationProtocol"] = f"Documents dropped, by reason: {', '.join(lost) or 'none'}."
    tools = sorted({f"{c['operator']} {c['version']}" for c in m["columns"] if "operator" in c})
    if tools:
        found["rai:machineAnnotationTools"] = ", ".join(tools)
    synthetic = recipe.card.get("has_synthetic_data")
    return found | ({} if synthetic is None else {"rai:hasSyntheticData": synthetic})


def _lineage(m: dict[str, Any]) -> dict[str, Any]:
    sources = [{"@id": line["url"], "prov:label": line["name"]} for line in m["inputs"] if line.get("url")]
    by = {
        "@type": "prov:Activity",
        "prov:label": f"curate {m['environment']['curate']}, run {m['dataset']['run']}",
        "prov:used": f"recipe.yaml, SHA-256 {m['dataset']['recipe_sha256']}",
    }
    return {"prov:wasGeneratedBy": by} | ({"prov:wasDerivedFrom": sources} if sources else {})


def _file_object(file: dict[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file["path"],
        "name": file["path"],
        "contentUrl": file["path"],
        "contentSize": f"{file['bytes']} B",
        "encodingFormat": "application/x-parquet",
        "sha256": file["sha256"],
    }


def _file_set(split: str) -> dict[str, Any]:
    """Without containedIn: with it readers find no records in Parquet."""
    about = {"@type": "cr:FileSet", "@id": f"files-{split}", "name": f"files-{split}"}
    return about | {"encodingFormat": "application/x-parquet", "includes": f"data/{split}/*.parquet"}


def _record_set(split: str, m: dict[str, Any]) -> dict[str, Any]:
    fields = [field for column in m["columns"] if (field := _field(split, column))]
    return {"@type": "cr:RecordSet", "@id": split, "name": split, "field": fields}


def _field(split: str, column: dict[str, Any]) -> dict[str, Any] | None:
    """A column as a field; tables inside columns have none."""
    kind, is_list = column["type"], False
    if kind.startswith("list<") and kind.count("<") == 1:
        kind, is_list = kind.split(": ", 1)[1].rstrip(">").removesuffix(" not null"), True
    data_type = _data_type(kind)
    if data_type is None:
        return None
    source = {"fileSet": {"@id": f"files-{split}"}, "extract": {"column": column["name"]}}
    name = f"{split}/{column['name']}"
    about = {"@type": "cr:Field", "@id": name, "name": name, "description": column.get("definition", "not described")}
    array = {"isArray": True, "arrayShape": "-1"} if is_list else {}
    return about | {"dataType": data_type, "source": source} | array


def _data_type(kind: str) -> str | None:
    if kind == str(pa.bool_()):
        return "sc:Boolean"
    if kind.startswith(("int", "uint")):
        return "sc:Integer"
    if kind in ("float", "double", "halffloat"):
        return "sc:Float"
    return "sc:Text" if kind == "string" else None
