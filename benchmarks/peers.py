"""What `benchmarks.signals` runs of other systems, by their own Python: python peers.py PEER TEXTS [CHECKOUT LISTS]

Prints one line of JSON: the peer's name with its version, and the CPU seconds it took for the texts.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any


def datatrove(texts: list[str]) -> tuple[str, float]:
    """Its four filters on every document; C4's edits the text, which is put back."""
    from datatrove.data import Document  # type: ignore[import-not-found]
    from datatrove.pipeline.filters import (  # type: ignore[import-not-found]
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(), FineWebQualityFilter()]
    for each in filters:
        each.filter(Document(text="A line of words. Another one.\n" * 5, id="warm"))
    began = time.process_time()
    for number, text in enumerate(texts):
        document = Document(text=text, id=str(number))
        for each in filters:
            each.filter(document)
            document.text = text
    return f"datatrove {version('datatrove')}: Gopher, C4 and FineWeb filters", time.process_time() - began


def redpajama(texts: list[str], checkout: str, lists: str) -> tuple[str, float]:
    """RedPajama-V2's rule signals: content, lines, natural language, repetition, of English documents."""
    sys.path.insert(0, str(Path(checkout, "app/src")))
    from core.document import Document  # type: ignore[import-not-found]
    from core.quality_signals.content import register_content_callables  # type: ignore[import-not-found]
    from core.quality_signals.lines import register_lines_callables  # type: ignore[import-not-found]
    from core.quality_signals.natural_language import (  # type: ignore[import-not-found]
        register_natural_language_callables,
    )
    from core.quality_signals.repetitions import register_repetitions_callables  # type: ignore[import-not-found]

    signals: list[Any] = [
        *register_content_callables("en", Path(lists, "bad_urls"), Path(lists, "bad_words")),
        *register_lines_callables(),
        *register_natural_language_callables(),
        *register_repetitions_callables(),
    ]
    began = time.process_time()
    for text in texts:
        document = Document(text, domain="example.com", precompute_ngrams=True)
        for signal in signals:
            signal(document)
    return f"RedPajama-Data: {len(signals)} signals", time.process_time() - began


def datajuicer(texts: list[str]) -> tuple[str, float]:
    """Its filters of text that need no list, which measure a batch at a time and keep what they measured."""
    from data_juicer.ops import filter as filters  # type: ignore[import-not-found]

    names = ["Alphanumeric", "AverageLineLength", "CharacterRepetition", "MaximumLineLength", "SpecialCharacters"]
    names += ["TextLength", "WordsNum", "WordRepetition"]
    chosen = [getattr(filters, f"{name}Filter")() for name in names]
    for each in chosen:
        each.compute_stats_batched({"text": ["A line of words. Another one."], "__dj__stats__": [{}]})
    began = time.process_time()
    for at in range(0, len(texts), 1000):
        part = texts[at : at + 1000]
        batch: dict[str, Any] = {"text": part, "__dj__stats__": [{} for _ in part]}
        for each in chosen:
            batch = each.compute_stats_batched(batch)
    return f"Data-Juicer {version('py-data-juicer')}: {len(names)} filters", time.process_time() - began


def text_dedup(texts: list[str], threshold: str) -> list[int]:
    """The cluster of each text by its MinHash script, at the script's defaults but for the threshold."""
    import numpy as np
    from text_dedup.minhash import (  # type: ignore[import-not-found]
        NON_ALPHA,
        RNG,
        UnionFind,
        embed_func,
        optimal_param,
        sha1_hash,
    )

    slots, ngram, least = 250, 5, 5
    bands, rows = optimal_param(float(threshold), slots, false_positive_weight=0.5, false_negative_weight=0.5)
    prime, highest = np.uint64((1 << 61) - 1), np.uint32((1 << 32) - 1)
    slopes = RNG.randint(1, prime, size=(slots,), dtype=np.uint64)
    settings = {
        "num_perm": slots,
        "ngram_size": ngram,
        "min_length": least,
        "hashranges": [(at * rows, (at + 1) * rows) for at in range(bands)],
        "permutations": (slopes, RNG.randint(0, prime, size=(slots,), dtype=np.uint64)),
        "hash_func": lambda token: sha1_hash(token, d=32),
        "dtype": np.uint64,
        "max_hash": highest,
        "modulo_prime": prime,
    }
    found = UnionFind()
    first: dict[tuple[int, bytes], int] = {}
    for at, text in enumerate(texts):
        if len(NON_ALPHA.split(text.lower())) >= least:
            for band, key in enumerate(embed_func(text, at, **settings)["__signatures__"]):
                found.union(at, first.setdefault((band, key), at))
    return [int(found.find(at)) for at in range(len(texts))]


def main() -> None:
    peer, path, *rest = sys.argv[1:]
    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    if peer == "text-dedup":
        print(json.dumps({"labels": text_dedup(texts, *rest)}))
        return
    if peer == "redpajama":
        name, seconds = redpajama(texts, *rest)
    else:
        name, seconds = {"datatrove": datatrove, "data-juicer": datajuicer}[peer](texts)
    print(json.dumps({"name": name, "seconds": seconds}))


if __name__ == "__main__":
    main()
