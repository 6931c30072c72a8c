"""Registers this release with Mixtera and gives its mixture: `python exports/mixtera_register.py RELEASE STATE`.

Chunks have so many rows that every domain is in each of them, and a query has one condition or one list of them: a
second `select` would be an OR. Files must not be written anew after this: Mixtera remembers rows by their numbers.
"""

import json
import sys
from pathlib import Path

from mixtera.core.client import MixteraClient
from mixtera.core.datacollection.datasets import ParquetDataset
from mixtera.core.query.mixture import MixtureKey, StaticMixture

NAME = ...
FOLDER = ...
PROPERTIES = ...


def register(release, state):
    """A client that knows the release. The folder is flat: Mixtera looks into no folders below."""
    sys.path.insert(0, str(Path(__file__).parent))
    from mixtera_parser import CurateParser

    client = MixteraClient.from_directory(Path(state))
    client.register_metadata_parser("CURATE", CurateParser)
    location = str(Path(release, FOLDER).resolve())
    if not client.register_dataset(NAME, location, ParquetDataset, lambda row: row["text"], "CURATE"):
        raise SystemExit(f"Mixtera did not take {location}: is the dataset registered already, are there files?")
    return client


def mixture():
    """The mixture, by rows, as exports/mixtera_mixture.json says it."""
    plan = json.loads(Path(__file__).with_name("mixtera_mixture.json").read_text(encoding="utf-8"))
    shares = {MixtureKey(part["key"]): part["weight"] for part in plan["mixture"]}
    return StaticMixture(plan["chunk_size"], shares)


if __name__ == "__main__":
    register(*sys.argv[1:3])
    print(f"registered {NAME}: properties {', '.join(PROPERTIES)}; mixture() has {len(mixture().mixture)} domains")
