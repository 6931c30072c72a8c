"""Token counts: white space, a tokenizer made here, and a real one."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from curate.errors import PlanError
from curate.operators.tokens import Tokens

SHARED = Path(__file__).resolve().parents[3] / "shared/data/lists/dolma2_tokenizer.tar.zst"
TEXTS = ["", " ", "a", "the cat the dog", "ccc the", "<s> the", "ﷺ naïve 漢字 " * 3]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A word tokenizer that also truncates, pads and adds a special token, none of which may count."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "cat": 2, "<s>": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 3)])
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    path = str(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")
    tokenizer.save(path)
    return path


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_white_space(text: str) -> None:
    assert Tokens()(text) == {"tokens": len(text.split())}


def test_a_tokenizer_of_one_s_own(tiny: str) -> None:
    found = Tokens(tokenizer=tiny)(pa.table({"text": [*TEXTS, None]}))
    assert found["tokens"].to_pylist() == [0, 0, 1, 4, 2, 4, 9, None]


def test_the_fingerprint_follows_the_file(tiny: str, tmp_path: Path) -> None:
    assert "tokenizers" in Tokens(tokenizer=tiny).identity() and "tokenizers" not in Tokens().identity()
    other = tmp_path / "tokenizer.json"
    other.write_text(Path(tiny).read_text().replace("cat", "cow"))
    assert Tokens(tokenizer=str(other)).identity()["files"] != Tokens(tokenizer=tiny).identity()["files"]


def test_what_is_no_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(PlanError, match=r"t.json is no tokenizer.json"):
        Tokens(tokenizer=str(tmp_path / "t.json")).check({})
    with pytest.raises(PlanError, match=r"nowhere.json is neither a file nor an asset"):
        Tokens(tokenizer="nowhere.json").check({})


@pytest.mark.skipif(not SHARED.exists(), reason="the shared tokenizer is not here")
def test_a_real_tokenizer(tmp_path: Path) -> None:
    import io
    import tarfile

    import zstandard

    data = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(SHARED.open("rb")).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(
            tmp_path, [member for member in archive if member.name.endswith("dolma2.json")], filter="data"
        )
    path = next(tmp_path.rglob("*.json"))
    twin = Tokenizer.from_file(str(path))
    expected = [len(twin.encode(text, add_special_tokens=False).ids) for text in TEXTS]
    assert Tokens(tokenizer=str(path))(pa.table({"text": TEXTS}))["tokens"].to_pylist() == expected
    assert expected[3] == 4
