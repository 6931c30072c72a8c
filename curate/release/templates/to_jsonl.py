"""The documents of a release as Dolma's and Megatron's JSON Lines: `python exports/to_jsonl.py RELEASE TARGET`.

Writes TARGET/documents/<domain>/<file>.jsonl.gz with id, text and source, a file for each Parquet file. Then, for
example, Megatron's `preprocess_data.py --json-keys text --output-prefix megatron/<domain>`, or `dolma tokens`.
"""

import gzip
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq


def convert(release, target):
    """Write the files; how many documents each domain has."""
    counts = {}
    manifest = json.loads(Path(release, "manifest.json").read_text(encoding="utf-8"))
    for file in manifest["files"]:
        path = Path(target, "documents", file["domain"], Path(file["path"]).stem + ".jsonl.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt", encoding="utf-8") as stream:
            for batch in pq.ParquetFile(Path(release, file["path"])).iter_batches(columns=["id", "text", "source"]):
                for row in batch.to_pylist():
                    stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        counts[file["domain"]] = counts.get(file["domain"], 0) + file["rows"]
    return counts


if __name__ == "__main__":
    print(convert(*sys.argv[1:3]))
