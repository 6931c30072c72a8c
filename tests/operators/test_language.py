"""The language operator: embedded model or fastText, chosen by a parameter."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate import fast_text
from curate.errors import PlanError
from curate.languages import code
from curate.operators.language import EMBEDDED, Language, embedded_model, fasttext_model

LID = Path(__file__).resolve().parents[2] / "../shared/data/lists/lid176"
TEXTS = [
    "The ferry leaves at noon,\nand the bakery closes an hour later.",
    "Die Fähre legt mittags ab,\nund die Bäckerei schließt eine Stunde später.",
    "Паром отходит в полдень, а булочная закрывается часом позже.",
    "渡し船は正午に出て、パン屋はその一時間後に閉まる。",
    "",
    "\n",
]


def test_language_and_score() -> None:
    table = Language()(pa.table({"text": TEXTS}))
    assert table["language"].to_pylist() == ["en", "de", "ru", "ja", "und", "und"]
    scores = table["language_score"].to_pylist()
    assert all(0.9 < score <= 1 for score in scores[:4])
    assert scores[4:] == [0, 0]


def test_null_text_has_no_language() -> None:
    table = Language()(pa.table({"text": pa.array([None, TEXTS[0]])}))
    assert table["language"].to_pylist() == [None, "en"]
    assert table["language_score"][0].as_py() is None


def test_languages_restricts_the_choice() -> None:
    assert Language(languages=["de", "ja"]) == Language(languages=("de", "ja"))  # type: ignore[arg-type]
    table = Language(languages=("de", "ja"))(pa.table({"text": TEXTS[:4]}))
    assert set(table["language"].to_pylist()) <= {"de", "ja"}
    assert table["language"][1].as_py() == "de"


def test_an_unknown_language_is_named_before_data_is_read() -> None:
    with pytest.raises(PlanError, match="the embedded model does not know 'eng' - did you mean 'en'"):
        Language(languages=("de", "eng")).check({})


def test_languages_needs_the_embedded_model() -> None:
    with pytest.raises(ValueError, match="restricts the embedded model only"):
        Language(model="lid.176.ftz", languages=("de",))
    with pytest.raises(ValueError, match="languages is empty"):
        Language(languages=())


def test_the_fingerprint_follows_the_model(tmp_path: Path) -> None:
    assert "py3langid" in Language().identity()
    file = tmp_path / "model.bin"
    file.write_bytes(b"one")
    before = Language(model=str(file)).identity()
    file.write_bytes(b"two")
    assert Language(model=str(file)).identity() != before


# ---------------------------------------------------------------- fastText


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fastText classifier of two languages, trained here."""
    import fasttext

    folder = tmp_path_factory.mktemp("fasttext")
    lines = ["__label__sv hunden sover under bordet", "__label__fi koira nukkuu pöydän alla"] * 50
    (folder / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    model = fasttext.train_supervised(str(folder / "train.txt"), dim=8, epoch=20, minn=2, maxn=4, thread=1, verbose=0)
    path = str(folder / "tiny.bin")
    model.save_model(path)
    return path


def assert_equals_fasttext(path: str, texts: list[str]) -> None:
    table = Language(model=path)(pa.table({"text": texts}))
    for text, language, score in zip(texts, *(column.to_pylist() for column in table.columns[1:]), strict=True):
        labels, scores = fasttext_model(path).predict(text.replace("\n", " "))
        assert language == labels[0].removeprefix("__label__")
        assert score == pytest.approx(min(scores[0], 1), abs=1e-7)


def test_a_model_trained_here(tiny: str) -> None:
    found = Language(model=tiny)(pa.table({"text": ["hunden\nsover", "koira nukkuu"]}))
    assert found["language"].to_pylist() == ["sv", "fi"]
    assert_equals_fasttext(tiny, [*TEXTS, "hunden\nsover", "koira nukkuu"])


def test_no_documents(tiny: str) -> None:
    for operator in (Language(), Language(model=tiny)):
        table = operator(pa.table({"text": pa.array([], pa.string())}))
        assert table.num_rows == 0
        assert table.schema.field("language").type == pa.string()


def test_loading_is_silent(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    fast_text.load.cache_clear()
    Language(model=tiny)("hunden sover")
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not LID.exists(), reason="the shared lid.176 model is not here")
def test_lid_176() -> None:
    (path,) = LID.rglob("lid.176.ftz")
    table = Language(model=str(path))(pa.table({"text": TEXTS[:4]}))
    assert table["language"].to_pylist() == ["en", "de", "ru", "ja"]
    assert_equals_fasttext(str(path), TEXTS)


def test_a_missing_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"nowhere.bin is neither a file nor an asset"):
        Language(model=str(tmp_path / "nowhere.bin")).check({})


def test_a_file_that_is_no_classifier(tmp_path: Path) -> None:
    import fasttext

    (tmp_path / "text.bin").write_text("not a model")
    (tmp_path / "train.txt").write_text("one two three four five\n" * 20)
    vectors = fasttext.train_unsupervised(str(tmp_path / "train.txt"), dim=4, minCount=1, epoch=1, thread=1, verbose=0)
    vectors.save_model(str(tmp_path / "vectors.bin"))
    for name in ("text.bin", "vectors.bin"):
        with pytest.raises(PlanError, match=rf"{name} is no (whole )?fastText (model|classifier)"):
            Language(model=str(tmp_path / name)).check({})


# ---------------------------------------------------------------- more columns

MIXED = "Der Hund schläft unter dem alten Tisch in der Küche.\nThe ferry leaves at noon, and nobody waits.\nja\n"


@pytest.mark.parametrize("model", [EMBEDDED, "tiny"])
def test_the_first_of_several_is_the_only_one(model: str, tiny: str) -> None:
    texts = [*TEXTS, "hunden sover", "koira", MIXED]
    path = tiny if model == "tiny" else model
    one = Language(model=path)(pa.table({"text": texts})).to_pylist()
    several = Language(model=path, add=("top",), top=5)(pa.table({"text": texts})).to_pylist()
    for alone, row in zip(one, several, strict=True):
        assert (row["language"], row["language_score"]) == (alone["language"], alone["language_score"])
        scores = [each["score"] for each in row["language_top"]]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) <= 1 + 1e-4
        if row["language_top"]:
            assert row["language_top"][0] == {"language": row["language"], "score": row["language_score"]}
        else:
            assert row["language"] == "und"


def test_several_are_those_of_fasttext(tiny: str) -> None:
    texts = ["hunden koira", "under bordet", "x", "koira nukkuu pöydän"]
    found = Language(model=tiny, add=("top",), top=2)(pa.table({"text": texts}))["language_top"].to_pylist()
    for text, row in zip(texts, found, strict=True):
        labels, scores = fasttext_model(tiny).predict(text, k=2)
        assert [each["language"] for each in row] == [label.removeprefix("__label__") for label in labels]
        assert [each["score"] for each in row] == pytest.approx(np.minimum(scores, 1), abs=1e-7)


def test_several_are_those_of_the_library() -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    library = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found = Language(add=("top",), top=4)(pa.table({"text": TEXTS[:4]}))["language_top"].to_pylist()
    for text, row in zip(TEXTS, found, strict=False):
        expected = library.rank(text)[: len(row)]
        assert [each["language"] for each in row] == [str(label) for label, _ in expected]
        assert [each["score"] for each in row] == pytest.approx([p for _, p in expected], abs=1e-5)


def test_lines_that_are_in_another_language() -> None:
    whole = Language(add=("mixed_ratio", "top"))(MIXED)
    lines = Language(by="lines", add=("mixed_ratio", "top"))(MIXED)
    german, english = (len(line.encode()) for line in MIXED.split("\n")[:2])
    assert whole["language"] == lines["language"] == "de"
    assert whole["language_mixed_ratio"] == lines["language_mixed_ratio"] == pytest.approx(english / (german + english))
    assert [each["language"] for each in lines["language_top"]] == ["de", "en"]
    assert lines["language_top"][0]["score"] == pytest.approx(german / (german + english))
    each = Language()(pa.table({"text": MIXED.split("\n")[:1]}))
    assert lines["language_score"] == pytest.approx(each["language_score"][0].as_py(), abs=1e-6)


def test_documents_without_long_lines_are_judged_whole() -> None:
    short = "Der Hund\nschläft\nunter dem\nTisch"
    for text, expected in ((short, "de"), ("", "und"), ("\n\n", "und"), ("der", Language()("der")["language"])):
        row = Language(by="lines", add=("mixed_ratio",))(text)
        assert (row["language"], row["language_mixed_ratio"]) == (expected, 0)
    table = Language(by="lines")(pa.table({"text": [short, MIXED, "", TEXTS[2]]}))
    assert table["language"].to_pylist() == ["de", "de", "und", "ru"]


def test_names_and_codes(tiny: str) -> None:
    row = Language(add=("iso639_3", "name", "script"), codes="iso639-3")(TEXTS[1])
    assert [row[f"language{part}"] for part in ("", "_iso639_3", "_name", "_script")] == [
        "deu",
        "deu",
        "German",
        "Latn",
    ]
    assert Language(model=tiny, codes="iso639-3")("hunden sover")["language"] == "swe"
    row = Language(add=("name", "iso639_3"))("")
    assert (row["language"], row["language_name"], row["language_iso639_3"]) == ("und", "undetermined", "und")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("eng_Latn", ("en", "eng", "English")),
        ("arz", ("arz", "arz", "Egyptian Arabic")),
        ("zh-Hans", ("zh", "zho", "Chinese")),
    ],
)
def test_labels_of_other_identifiers(label: str, expected: tuple[str, str, str]) -> None:
    assert code(label) == expected


def test_every_language_of_the_embedded_model_has_a_name() -> None:
    labels = {*embedded_model().languages, "zxx", "und"}
    assert {label for label in labels if not code(label).name or len(code(label).three) != 3} == set()


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Straße 7", "Latn"), ("Москва", "Cyrl"), ("渡し船", "Jpan"), ("电话号码", "Hani"), ("전화", "Hang"),
        ("بازار", "Arab"), ("ทะเล", "Thai"), ("नदी", "Deva"), ("ab где ёж", "Cyrl"), ("123 !?", "Zyyy"), ("", "Zyyy"),
        ("𐎀𐎁", "Zzzz"), ("Ελλάδα", "Grek"), ("ქართული", "Geor"),
    ],
)  # fmt: skip
def test_scripts(text: str, script: str) -> None:
    assert Language(add=("script",))(text)["language_script"] == script


def test_a_truncated_model_is_refused_before_it_is_loaded(tiny: str, tmp_path: Path) -> None:
    whole = Path(tiny).read_bytes()
    for size in (3, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.bin").write_bytes(whole[:size])
        with pytest.raises(PlanError, match=r"cut\.bin is no whole fastText model"):
            Language(model=str(tmp_path / "cut.bin")).check({})
