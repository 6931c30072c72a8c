"""Every operator that is found, built in or from an installed plug-in, holds the whole contract."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate import registry
from curate.errors import RecipeError
from curate.operator import Operator
from curate.operators.classifiers import FasttextScore, TrainFasttext
from curate.operators.cluster import Cluster
from curate.operators.dedup import DedupExact, DedupMinhash
from curate.operators.dedup_semantic import DedupSemantic
from curate.operators.embeddings import Embed, TrainEmbed
from curate.operators.extract import ExtractText
from curate.operators.importance import DsirImportance, Resample, TrainDsir
from curate.operators.judge import LlmScore
from curate.operators.keep import Keep
from curate.operators.language import Language
from curate.operators.normalize import Normalize
from curate.operators.perplexity import CcnetPerplexity, PerplexityBuckets
from curate.operators.pii import Pii, Redact
from curate.operators.redpajama import RedpajamaSignals
from curate.operators.repeats import DedupLines, DedupSubstrings
from curate.operators.sample import Sample
from curate.operators.select import SelectTop
from curate.operators.select_diverse import SelectDiverse
from curate.operators.split import Split
from curate.operators.train_kenlm import TrainKenlm
from curate.operators.url import UrlCategories
from curate.recipe import Recipe
from curate.testing import Check, example, parametrize
from tests.chat_server import Server

RULES: dict[str, Any] = {
    "words": {"min": 5, "max": 50},
    "noise": {"column": "symbol_ratio", "max": 0.3, "nulls": "pass"},
    "tongue": "language IN ('en', 'de')",
    "by_language": {"column": "words", "min": 3, "overrides": {"de": {"min": 2}, "zh": None}},
}

SITES = str(Path(__file__).resolve().parents[1] / "data/sites")
LM_SP = str(Path(__file__).resolve().parents[1] / "data/lm_sp")
SENTENCES = str(Path(__file__).resolve().parents[1] / "data/sentence-model")
CLASSIFIER = str(Path(__file__).resolve().parents[1] / "data/classifier.bin")
COUNTS = [str(Path(__file__).resolve().parents[1] / f"data/{name}.counts.npy") for name in ("target", "raw")]
RPV2 = Path(__file__).resolve().parents[1] / "data/redpajama"
RPV2_LISTS: dict[str, Any] = {
    "stop_words": str(RPV2 / "stop_words.json"),
    "bad_words": str(RPV2 / "bad_words"),
    "ut1": str(RPV2 / "ut1"),
}

# Operators with required parameters, and second instances where parameters choose another way through the code.
EXAMPLES: dict[type[Operator], list[Operator]] = {
    CcnetPerplexity: [CcnetPerplexity(models=LM_SP)] if find_spec("kenlm") else [],  # it needs a C++ compiler
    Cluster: [
        Cluster(vector="vector", count=3),
        Cluster(vector="vector", count=4, method="full", iterations=3),
        Cluster(vector="vector", count=100, sample=1, batch=7),
    ],
    DedupSemantic: [
        DedupSemantic(vector="vector", cluster="language", keep="random"),
        DedupSemantic(vector="vector", cluster="language", keep={"highest": "score"}, threshold=0.8),
    ],
    DedupExact: [DedupExact(), DedupExact(by="raw")],
    DedupLines: [
        DedupLines(),
        DedupLines(unit="sentence", span=3, by="raw", keep="none"),
        DedupLines(unit="paragraph", by="unaccented", within="source", edit=False),
    ],
    DedupSubstrings: [
        DedupSubstrings(min_tokens=8),
        DedupSubstrings(min_tokens=5, tokens="characters", keep="none", edit=False),
        DedupSubstrings(min_tokens=20, tokens="bytes"),
    ],
    DedupMinhash: [DedupMinhash(), DedupMinhash(ngram=2, slots=16, bands=4, rows=4, threshold=0.5)],
    DsirImportance: [
        DsirImportance(target=COUNTS[0], raw=COUNTS[1]),
        DsirImportance(target=COUNTS[0], raw=COUNTS[1], features="rpv2", target_length=200, raw_length=90.5),
    ],
    Embed: [Embed(model=CLASSIFIER), Embed(model=SENTENCES, precision="float32")],
    ExtractText: [ExtractText(), ExtractText(main=False), ExtractText(extractor="trafilatura", form="markdown")],
    FasttextScore: [FasttextScore(model=CLASSIFIER, label="positive")],
    Keep: [Keep(rules=RULES)],
    Language: [
        Language(),
        Language(languages=("en", "de", "zh")),
        Language(by="lines", add=("iso639_3", "name", "script", "top", "mixed_ratio")),
    ],
    LlmScore: [
        LlmScore(endpoint=Server().endpoint, model="tiny", share=0.5, cache=f"{tempfile.mkdtemp()}/answers.sqlite")
    ],
    Normalize: [Normalize(), Normalize(form="NFKD", control="keep", whitespace="collapse")],
    Pii: [Pii(), Pii(types=("email", "phone"), regions=("DE", "CN"), addresses="all")],
    Redact: [Redact(), Redact(how="hash"), Redact(how="drop", types=("email", "ip"), addresses="all")],
    RedpajamaSignals: [
        RedpajamaSignals(),
        RedpajamaSignals(**RPV2_LISTS),
        RedpajamaSignals(**RPV2_LISTS, language="de"),
    ],
    SelectDiverse: [
        SelectDiverse(share=0.4, cluster="language"),
        SelectDiverse(count=9, cluster="language", method="prototypes", similarity="score"),
    ],
    SelectTop: [SelectTop(by="score", share=0.3), SelectTop(by="score", count=7, lowest=True)],
    Split: [Split(), Split(by="lines", min_chars=20)],
    UrlCategories: [UrlCategories(lists=SITES), UrlCategories(lists=SITES, categories=("games",))],
    PerplexityBuckets: [PerplexityBuckets(), PerplexityBuckets(per=None, quantiles=(0.1, 0.9))],
    TrainKenlm: [
        TrainKenlm(reference=("wiki",), tokens="words", order=2, sentence="line", prune=(0, 1)),
        TrainKenlm(reference=("wiki",), vocabulary=500, sample_mb=0.004, order=3),
    ],
    Resample: [Resample(by="score", share=0.3), Resample(by="score", count=5, per="language", temperature=20)],
    TrainDsir: [
        TrainDsir(target=("books",), raw=("web", "forum")),
        TrainDsir(target=("books", "forum"), raw=("web",), share=0.5, features="rpv2", buckets=100),
        TrainDsir(target=("books",), raw=("web",), features="authors"),
    ],
    TrainEmbed: [
        TrainEmbed(dim=2, min_count=1, samples=10, epoch=1),
        TrainEmbed(
            dim=2, min_count=2, minn=2, maxn=3, bucket=50, samples=10, epoch=1, method="cbow", precision="float32"
        ),
    ],
    TrainFasttext: [
        TrainFasttext(positives=("books",), negatives=("web", "forum"), dim=2, samples=10, epoch=1),
        TrainFasttext(positive="source = 'web'", dim=2, word_ngrams=2, bucket=100, epoch=1),
    ],
    Sample: [Sample(share=0.5), Sample(share=0.25, by="language", seed=7)],
}
OPERATORS = [one for cls in registry.builtin().values() for one in EXAMPLES.get(cls, [])] + [
    example(cls) for cls in registry.builtin().values() if cls not in EXAMPLES
]


@parametrize(*OPERATORS)
def test_contract(operator: Operator, check: Check) -> None:
    check(operator)


@pytest.mark.parametrize("cls", registry.builtin().values(), ids=registry.builtin())
def test_a_recipe_says_where_a_parameter_is_wrong(cls: type[Operator]) -> None:
    """The checks convert one step; this is the whole way through a recipe."""
    for field in msgspec.structs.fields(cls):
        with pytest.raises(RecipeError, match=rf"^recipe:4: {cls.name()} has no key '{field.name}x' - did you mean"):
            Recipe.parse(f"name: x\nsteps:\n- {cls.name()}:\n    {field.name}x: 1\n")
    with pytest.raises(RecipeError, match=rf"^recipe:3: no operator '{cls.name()}x' - did you mean"):
        Recipe.parse(f"name: x\nsteps:\n- {cls.name()}x\n")
