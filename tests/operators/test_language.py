"""The language operator: embedded model or fastText, chosen by a parameter."""

from pathlib import Path

import pyarrow as pa
import pytest

from curate.errors import PlanError
from curate.operators.language import Language, fasttext_model

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
    fasttext_model.cache_clear()
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
        with pytest.raises(PlanError, match=f"{name} is no fastText classifier"):
            Language(model=str(tmp_path / name)).check({})
