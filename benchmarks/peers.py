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


def main() -> None:
    peer, path, *rest = sys.argv[1:]
    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    if peer == "redpajama":
        name, seconds = redpajama(texts, *rest)
    else:
        name, seconds = {"datatrove": datatrove, "data-juicer": datajuicer}[peer](texts)
    print(json.dumps({"name": name, "seconds": seconds}))


if __name__ == "__main__":
    main()
