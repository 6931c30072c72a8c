"""How often `language` is right, by language and model, against the libraries alone on the same sentences.

python -m benchmarks.language_accuracy [--data lingua_lid_testdata.tar.zst] [--fasttext lid.176.ftz] [--sentences N]

The data is that of lingua (Apache-2.0): a thousand sentences in each of 75 languages, a file a language, named by its
ISO 639-1 code.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import fasttext
import pyarrow as pa
import zstandard
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from curate.operators.language import EMBEDDED, Language

SHARED = Path(__file__).resolve().parents[1] / "../shared/data"
NORWEGIAN = {"nb": "no", "nn": "no"}  # models tell them apart or not
KINDS = ("sentences", "word-pairs", "single-words")


def read(path: Path, kind: str, most: int) -> Iterator[tuple[str, list[str]]]:
    """Each language and its lines."""
    if not path.exists():
        sys.exit(f"no test data at {path}: name the archive with --data")
    with path.open("rb") as packed:
        unpacked = io.BytesIO(zstandard.ZstdDecompressor().stream_reader(packed).read())
    with tarfile.open(fileobj=unpacked) as files:
        for member in sorted(files.getmembers(), key=lambda member: member.name):
            if member.isfile() and Path(member.name).parent.name == kind:
                content = files.extractfile(member)
                assert content
                yield Path(member.name).stem, content.read().decode().splitlines()[:most]


def plain(label: str) -> str:
    return NORWEGIAN.get(label, label)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "raw/lingua_lid_testdata.tar.zst")
    parser.add_argument("--fasttext", type=Path, default=next(SHARED.rglob("lid.176.ftz"), Path("lid.176.ftz")))
    parser.add_argument("--kind", choices=KINDS, default="sentences")
    parser.add_argument("--sentences", type=int, default=1000)
    options = parser.parse_args()
    library = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    theirs = fasttext.load_model(str(options.fasttext))
    operators = [Language(model=EMBEDDED), Language(model=str(options.fasttext))]
    print("| language | n | embedded | py3langid | lid.176 | fastText | labels that differ |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    sums, languages = [0.0] * 4, 0
    for language, lines in read(options.data, options.kind, options.sentences):
        table = pa.table({"text": lines})
        ours, lid = (operator(table)["language"].to_pylist() for operator in operators)
        alone = [str(library.classify(line)[0]) for line in lines]
        direct = [labels[0].removeprefix("__label__") if labels else "und" for labels in theirs.predict(lines)[0]]
        differ = sum(a != b and a != "und" for a, b in zip(ours, alone, strict=True))
        differ += sum(a != b for a, b in zip(lid, direct, strict=True))
        all_of_them = (ours, alone, lid, direct)
        right = [sum(plain(each) == plain(language) for each in found) / len(lines) for found in all_of_them]
        sums, languages = [a + b for a, b in zip(sums, right, strict=True)], languages + 1
        print(
            f"| {language} | {len(lines):,} | {' | '.join(f'{share:.1%}' for share in right)} | {differ} |", flush=True
        )
    print(f"| mean of {languages} | | {' | '.join(f'{total / languages:.1%}' for total in sums)} | |")


if __name__ == "__main__":
    main()
