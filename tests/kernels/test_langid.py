"""The language kernel gives what py3langid gives, for every text."""

import io
import json
import random
import sys
import time
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier, visit_counts

from curate.kernels import langid, langid_model, langid_text
from curate.kernels.text import buffers

MIX = Path(__file__).resolve().parents[2] / "../shared/data/mix_5mb.jsonl.zst"

SNIPPETS = {
    "ar": "تهب الريح من الجبل في المساء، ويعود الرعاة مع أغنامهم إلى القرية.",
    "bg": "Старата мелница край реката отдавна не работи, но децата още играят там.",
    "bn": "বিকেলে নদীর ধারে বসে আমরা নৌকা গুনতাম আর গল্প করতাম।",
    "cs": "Každé ráno si stará paní kupuje v rohovém obchodě čerstvé rohlíky a mléko.",
    "da": "Hun satte cyklen op ad muren og gik ind for at hente sin glemte paraply.",
    "de": "Am Bahnhof warteten nur zwei Leute, und keiner von ihnen hatte einen Koffer.",
    "el": "Το καράβι έφυγε νωρίς το πρωί και κανείς δεν πρόλαβε να το αποχαιρετήσει.",
    "en": "Nobody noticed that the clock in the hallway had stopped three weeks ago.",
    "es": "Mi abuela guardaba las cartas en una caja de galletas debajo de la cama.",
    "et": "Vana kalamees parandas oma võrke ja rääkis lastele, kuidas meri talvel jäätus.",
    "fa": "هر شب پدربزرگ کنار پنجره می‌نشست و برای ما از سفرهایش می‌گفت.",
    "fi": "Järven rannalla oli vanha sauna, jonka katolla kasvoi pieni koivu.",
    "fr": "Le boulanger ouvre sa boutique avant l'aube, quand la rue dort encore.",
    "he": "השכנה מהקומה השנייה מגדלת עגבניות במרפסת ומחלקת אותן לכולם.",
    "hi": "बारिश के बाद गाँव की सड़क पर बच्चे काग़ज़ की नावें चलाते थे।",
    "hu": "A kertben álló diófa alatt minden nyáron nagy asztalnál ebédelt a család.",
    "id": "Setiap sore nelayan itu memperbaiki jalanya sambil menunggu perahu pulang.",
    "it": "La finestra della cucina dava su un cortile pieno di biciclette e gatti.",
    "ja": "駅前の小さな喫茶店では、朝から晩まで同じ曲が流れている。",
    "ka": "ბებია ყოველ საღამოს აივანზე ჯდებოდა და მეზობლებს ესაუბრებოდა.",
    "ko": "우체국 앞 은행나무는 가을마다 길을 노랗게 물들인다.",
    "lt": "Senelis kiekvieną rudenį rinkdavo obuolius ir spausdavo iš jų sultis.",
    "nl": "De brug bleef de hele middag open, omdat er telkens weer een schip aankwam.",
    "pl": "W szufladzie leżał klucz, którego nikt w domu nie umiał już dopasować.",
    "pt": "O carteiro conhecia todos os cães da rua pelo nome e nunca tinha pressa.",
    "ro": "În fiecare duminică, vecinii se adunau la umbra nucului și jucau table.",
    "ru": "На чердаке пахло сухими яблоками и старыми газетами, которые никто не читал.",
    "sv": "Han tappade nyckeln i snön och fick vänta på trappan tills grannen kom hem.",
    "ta": "மழை நின்ற பிறகு குழந்தைகள் தெருவில் விளையாட ஓடி வந்தார்கள்.",
    "th": "ทุกเช้าคุณยายจะรดน้ำต้นไม้แล้วนั่งดื่มชาอยู่ที่ระเบียงบ้าน",
    "tr": "Komşumuz her akşam balkonda oturur, geçen vapurlara el sallardı.",
    "uk": "Біля криниці росла стара вишня, і щоліта під нею стояв довгий стіл.",
    "vi": "Mỗi buổi sáng ông ngoại tôi đều ra vườn tưới hoa rồi pha một ấm trà.",
    "zh": "巷子口的老书店只在下雨天开门，老板说这样才有人愿意坐下来看书。",
}


@cache
def library() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def model() -> langid_model.Model:
    return langid_model.load(MODEL_DIR / MODEL_FILE)


def classify(texts: list[str]) -> tuple[list[str], np.ndarray]:
    column, probability = langid.classify(pa.array(texts, pa.string()), model())
    return [model().languages[k] if k >= 0 else "und" for k in column], probability


def visits(text: str) -> dict[int, int]:
    """The library's own count of n-grams."""
    encoded = library()._encode(text)
    return visit_counts(library().tk_nextmove, library()._rowbase, library().tk_output, encoded) or {}


def assert_equals_library(texts: list[str], tolerance: float = 1e-4) -> None:
    for text, language, probability in zip(texts, *classify(texts), strict=True):
        expected, confidence = library().classify(text) if visits(text) else ("und", 0)
        assert language == expected, text[:200]
        assert probability == pytest.approx(confidence, abs=tolerance)


# ---------------------------------------------------------------- equal to the library


def test_snippets_have_their_language() -> None:
    languages, probability = classify([*SNIPPETS.values()])
    assert languages == [*SNIPPETS]
    assert probability.min() > 0.5
    assert_equals_library([*SNIPPETS.values()])


def test_capitals_are_read_as_small_letters() -> None:
    shouted = [text.upper() for text in SNIPPETS.values()]
    assert classify(shouted)[0] == [*SNIPPETS]
    assert_equals_library(shouted)


def test_decomposed_text_is_read_as_composed() -> None:
    decomposed = [unicodedata.normalize("NFD", text) for text in SNIPPETS.values()]
    assert classify(decomposed)[0] == [*SNIPPETS]
    assert_equals_library(decomposed)


def test_text_without_ngrams_is_undetermined() -> None:
    languages, probability = classify(["", " ", "a", "\n", "7", "\U0010ffff"])
    assert set(languages) == {"und"}
    assert not probability.any()


CASES, MARKS = "aEßſİıΣςǅⅧ𝒜𐐀 \n\t", "ü\u0301\u0323\u0308\u093c\u09be\u09c7\u0bc6\u0bd7\u1161\u11a8\u3099가ᄀ한"
ODD = st.sampled_from([*CASES, *MARKS])
SCRAPS = st.sampled_from([*SNIPPETS.values()]).flatmap(
    lambda text: st.tuples(st.integers(0, 30), st.integers(1, 30)).map(lambda cut: text[cut[0] : cut[0] + cut[1]])
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(ODD, max_size=40),
    st.lists(SCRAPS | st.text(ODD, max_size=3), max_size=8).map("".join),
    st.lists(SCRAPS, max_size=5).map(lambda parts: " ".join(parts).upper()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=12))
def test_equals_library_on_any_text(texts: list[str]) -> None:
    assert_equals_library(texts)


def test_equals_library_on_short_random_text() -> None:
    chance = random.Random(0)
    letters = "".join(SNIPPETS.values())
    assert_equals_library(["".join(chance.choices(letters, k=chance.randint(1, 40))) for _ in range(4000)])


@pytest.mark.skipif(not MIX.exists(), reason="the shared mix corpus is not here")
def test_equals_library_on_the_mix_corpus() -> None:
    with MIX.open("rb") as packed:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), encoding="utf-8")
        texts = [json.loads(line)["text"] for line in lines]
    assert len(texts) > 1000
    assert_equals_library(texts)


def test_one_long_line() -> None:
    chance = random.Random(0)
    words = " ".join(SNIPPETS.values()).split()
    line = " ".join(chance.choices(words, k=300_000))
    assert_equals_library([line], tolerance=0.01)
    ten = pa.array([line * (1 + 10_000_000 // len(line.encode()))])
    began = time.perf_counter()
    langid.classify(ten, model())
    assert time.perf_counter() - began < 5


# ---------------------------------------------------------------- the parts


def test_ngrams_are_counted_as_the_library_does() -> None:
    """Also at the edges of lanes and tiles, and in the order in which they first occur."""
    whole = (" ".join(SNIPPETS.values()) * 3).encode()
    scratch = langid._scratch(model().automaton)
    _, _, ngrams, counts = scratch
    for length in [*range(80), langid.TILE - 1, langid.TILE, langid.TILE + 1, langid.TILE + 11]:
        part = whole[5 : 5 + length].decode(errors="ignore")
        data, offsets = buffers(pa.array(["before", part, "after"]))
        n = langid._count(data, np.int64(offsets[1]), np.int64(offsets[2]), model().automaton, scratch)
        found = ngrams[:n]
        expected = visits(part)
        assert counts[found].tolist() == [*expected.values()]
        rows = library().nb_ptc[[*expected]].astype(np.float64)
        assert np.array_equal(model().weights[found, : rows.shape[1]] * model().unit, rows)
        counts[found] = 0


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=8))
def test_prepare_is_what_the_library_reads(texts: list[str]) -> None:
    expected = [library()._encode(text).decode() for text in texts]
    assert langid_text.prepare(pa.array(texts, pa.string())).to_pylist() == expected


def test_prepare_sees_every_pair_that_composes() -> None:
    points = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    parts = [unicodedata.decomposition(char).split() for char in points]
    pairs = ["".join(chr(int(part, 16)) for part in pair) for pair in parts if len(pair) == 2 and pair[0][0] != "<"]
    between = [pair[0] + "\u0316" + pair[1] for pair in pairs]
    texts = [*points, *pairs, *between, "\u1100\u1161\u11a8", "가\u11a8", "각\u11a8"]
    composed = [unicodedata.normalize("NFC", text.lower() if text.isupper() else text) for text in texts]
    assert langid_text.prepare(pa.array(texts)).to_pylist() == composed


def test_text_that_does_not_change_is_left_alone() -> None:
    texts = [*SNIPPETS.values(), "Ürümqi, Łódź, Ghūm, “naïve” — 20 °C"]
    is_rewritten = np.zeros(len(texts), bool)
    langid_text._find_rewritten(*buffers(pa.array(texts)), langid_text._traits(), is_rewritten)
    assert is_rewritten.tolist() == [unicodedata.normalize("NFC", text) != text for text in texts]


def test_close_calls_are_decided_by_the_library_s_arithmetic() -> None:
    for text in [*SNIPPETS.values(), "да ли", "xq zz", "한국"]:
        body = np.frombuffer(library()._encode(text), np.uint8)
        column, probability = langid._as_published(body, 0, len(body), model())
        assert (model().languages[column], probability) == library().classify(text)


# ---------------------------------------------------------------- batches


def test_a_document_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)
    letters = "".join(SNIPPETS.values())
    array = pa.array(["".join(chance.choices(letters, k=chance.choice([5, 50, 5000]))) for _ in range(300)])
    column, probability = langid.classify(array, model())
    for rows in (slice(0, 1), slice(7, 200), slice(-3, None), slice(9, 9)):
        some = langid.classify(array[rows], model())
        assert np.array_equal(some[0], column[rows])
        assert np.array_equal(some[1], probability[rows])
    for limit, value in (("DOCUMENTS", 7), ("WAITING", 100)):  # the queue fills up by either
        monkeypatch.setattr(langid, limit, value)
        again = langid.classify(array, model())
        assert np.array_equal(again[0], column)
        assert np.array_equal(again[1], probability)


def test_no_documents() -> None:
    column, probability = langid.classify(pa.array([], pa.string()), model())
    assert len(column) == len(probability) == 0


# ---------------------------------------------------------------- the model


def test_some_languages_only() -> None:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(["de", "sr", "uz"])
    some = langid_model.restrict(model(), ["uz", "de", "sr"])
    column, probability = langid.classify(pa.array([*SNIPPETS.values()]), some)
    for text, k, share in zip(SNIPPETS.values(), column, probability, strict=True):
        language, confidence = identifier.classify(text)
        assert some.languages[k] == language
        assert share == pytest.approx(confidence, abs=1e-4)


def test_an_unknown_language() -> None:
    with pytest.raises(KeyError, match="dee"):
        langid_model.restrict(model(), ["de", "dee"])


def test_not_a_model(tmp_path: Path) -> None:
    import lzma

    packed = io.BytesIO()
    np.savez(packed, ptc=np.zeros(3), other=np.zeros(1))
    file = tmp_path / "model.npz.xz"
    file.write_bytes(lzma.compress(packed.getvalue()))
    with pytest.raises(ValueError, match=r"is not a model of py3langid 0.4: it holds \['other', 'ptc'\]"):
        langid_model.load(file)
