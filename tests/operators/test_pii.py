"""Personal data: found where it is, measured on a labelled set, taken out of texts."""

from __future__ import annotations

import collections
import importlib.metadata
import json
import random
import re
import string
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate import Config, ops, read
from curate.errors import PlanError
from curate.operators.pii import TYPES, Pii, Redact

DATA = Path(__file__).resolve().parents[1] / "data"
SETS = {"seen": DATA / "pii.txt", "unseen": DATA / "pii-unseen.txt"}
PAGE = DATA.parents[1] / "docs/pii.md"
MARK = re.compile(r"⟦(\w+)\|([^⟧]*)⟧")
REGIONS = ("US", "GB", "DE", "FR")
ALNUM = string.ascii_letters + string.digits


def keys() -> dict[str, str]:
    """Keys of the shapes that services give out, made here: a file with such strings sets off every scanner."""
    chance = random.Random(7)

    def some(n: int, letters: str = ALNUM) -> str:
        return "".join(chance.choices(letters, k=n))

    base64 = ALNUM + "-_"
    return {
        "aws": "AKIA" + some(16, string.ascii_uppercase + "234567"),
        "github": "ghp_" + some(36),
        "github_pat": "github_pat_" + some(22) + "_" + some(59),
        "openai": "sk-proj-" + some(48, base64) + "T3Blbk",
        "anthropic": "sk-ant-api03-" + some(93, base64) + "AA",
        "google": "AIza" + some(35, base64),
        "slack": f"xoxb-{some(12, string.digits)}-{some(12, string.digits)}-{some(24)}",
        "stripe": "sk_live_" + some(24),
        "huggingface": "hf_" + some(34, string.ascii_letters),
        "npm": "npm_" + some(36),
        "jwt": "eyJ" + some(33, base64) + ".eyJ" + some(60, base64) + "." + some(42, base64) + "A",
        "gitlab": "glpat-" + some(20, base64),
        "sendgrid": f"SG.{some(22, base64)}.{some(43, base64)}",
        "telegram": some(9, "123456789") + ":AA" + some(33, base64),
        "pem": f"-----BEGIN PRIVATE KEY-----\n{some(64)}\n{some(40)}==\n-----END PRIVATE KEY-----",
    }


Span = tuple[str, int, int]


def labelled(name: str = "seen") -> list[tuple[str, set[Span]]]:
    """Each document without marks, and its spans in bytes."""
    made = keys()
    documents = []
    for line in SETS[name].read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            continue
        text, spans, at = "", set(), 0
        for match in MARK.finditer(line):
            text += line[at : match.start()]
            value = made[match[2][1:]] if match[2].startswith("@") else match[2]
            begin = len(text.encode())
            text += value
            spans.add((match[1], begin, len(text.encode())))
            at = match.end()
        documents.append((text + line[at:], spans))
    return documents


def spans(found: dict[str, Any]) -> list[set[Span]]:
    columns = (found[name].to_pylist() for name in ("pii_type", "pii_start", "pii_end"))
    return [set(zip(*row, strict=True)) for row in zip(*columns, strict=True)]


def measured(name: str) -> dict[str, tuple[int, int, int]]:
    """By type: found rightly, found wrongly, not found. Only the very same bytes count."""
    documents = labelled(name)
    found = spans(Pii(regions=REGIONS)(pa.table({"text": [text for text, _ in documents]})))
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
    for mine, (_, theirs) in zip(found, documents, strict=True):
        for kind, group in enumerate((mine & theirs, mine - theirs, theirs - mine)):
            for name, *_ in group:
                counts[name][kind] += 1
    return {name: tuple(counts[name]) for name in TYPES}  # type: ignore[misc]


def table_rows(name: str) -> list[str]:
    """Rows of the table in docs/pii.md."""
    rows = []
    for kind, (right, wrong, missed) in measured(name).items():
        shares = f"{right / (right + wrong):.2f} | {right / (right + missed):.2f}"
        rows.append(f"| {name} | {kind} | {right + missed} | {wrong} | {missed} | {shares} |")
    return rows


@pytest.mark.parametrize("name", SETS)
def test_precision_and_recall_are_those_of_the_docs(name: str) -> None:
    """Those of telephone numbers are of one version of phonenumbers: which numbers are in use changes every month."""
    page = PAGE.read_text(encoding="utf-8")
    is_same = f"phonenumbers {importlib.metadata.version('phonenumbers')}" in page
    assert [row for row in table_rows(name) if row not in page and (is_same or "| phone |" not in row)] == []


@pytest.mark.parametrize("name", TYPES)
def test_types_are_found_alone_as_with_others(name: Any) -> None:
    table = pa.table({"text": [text for text, _ in labelled()]})
    alone, both = Pii(types=(name,), regions=REGIONS)(table), Pii(regions=REGIONS)(table)
    for mine, all_of_them in zip(spans(alone), spans(both), strict=True):
        assert {span for span in all_of_them if span[0] == name} <= mine


def test_spans_are_bytes_and_counts_are_theirs() -> None:
    for row in Pii(regions=REGIONS)(pa.table({"text": [text for text, _ in labelled()]})).to_pylist():
        raw, ends = row["text"].encode(), [0, *row["pii_end"]]
        assert row["pii_count"] == len(row["pii_type"]) == sum(row[f"pii_{name}_count"] for name in TYPES)
        assert all(begin >= end for begin, end in zip(row["pii_start"], ends, strict=False))
        held = sum(raw[b:e].decode() != "" and e - b for b, e in zip(row["pii_start"], row["pii_end"], strict=True))
        assert row["pii_ratio"] == pytest.approx(held / max(len(raw), 1))


@pytest.mark.parametrize("how", ["replace", "hash", "drop"])
def test_nothing_is_found_in_a_redacted_text(how: Any) -> None:
    table = pa.table({"text": [text for text, _ in labelled()]})
    found, new = Pii(regions=REGIONS)(table), Redact(regions=REGIONS, how=how)(table)
    assert new["redact_count"] == found["pii_count"]
    assert set(Pii(regions=REGIONS)(new.select(["text"]))["pii_count"].to_pylist()) == {0}
    for before, after in zip(found.to_pylist(), new.to_pylist(), strict=True):
        assert after["redact_is_changed"] == (before["pii_count"] > 0)
        raw, pieces, at = before["text"].encode(), [], 0
        for kind, begin, end in zip(before["pii_type"], before["pii_start"], before["pii_end"], strict=True):
            pieces += [raw[at:begin], f"<{kind.upper()}>".encode()]
            at = end
        if how == "replace":
            assert after["text"] == b"".join([*pieces, raw[at:]]).decode()


def test_one_address_has_one_name() -> None:
    said = Redact(how="hash")(
        "Ann@example.org, ann@EXAMPLE.org; +1 202 555 0143 is +1 (202) 555-0143, not bob@example.org"
    )
    marks = re.findall(r"<(\w+):([0-9a-f]{16})>", said["text"])
    assert [kind for kind, _ in marks] == ["EMAIL", "EMAIL", "PHONE", "PHONE", "EMAIL"]
    assert len({digest for _, digest in marks}) == 3


def test_the_key_changes_the_hash_and_the_fingerprint_and_is_in_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    keyed, made = Redact(how="hash", key="REDACT_KEY"), []
    for value in ("first-secret", "second-secret"):
        monkeypatch.setenv("REDACT_KEY", value)
        keyed.check({})
        made.append((keyed("ann@example.org")["text"], str(keyed.identity())))
        assert value not in "".join(made[-1])
    assert len({text for text, _ in [*made, (Redact(how="hash")("ann@example.org")["text"], "")]}) == 3
    assert made[0][1] != made[1][1]
    monkeypatch.delenv("REDACT_KEY")
    with pytest.raises(PlanError, match=r"environment variable REDACT_KEY .* is not set"):
        keyed.check({})


def test_marks_and_what_is_cut() -> None:
    assert Redact(marks={"email": "email@example.com"})("ask ann@example.org")["text"] == "ask email@example.com"
    assert Redact(how="drop")("ask ann@example.org or bob@example.org today")["text"] == "ask or today"
    assert Redact(how="drop", types=("ip",))("ask ann@example.org")["text"] == "ask ann@example.org"
    assert Redact(marks={"email": ""})("a ann@example.org")["text"] == "a "


def test_regions_and_addresses() -> None:
    assert Pii(regions=())("call (202) 555-0143 or +1 202 555 0143")["pii_start"] == [23]
    assert Pii(regions=("FR",))("au 01 99 00 12 34")["pii_phone_count"] == 1
    assert Pii()("au 01 99 00 12 34")["pii_phone_count"] == 0
    assert Pii(addresses="all")("192.168.1.1, fe80::1ff:fe23:4567:890a and 2001:db8::1")["pii_ip_count"] == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"types": ()}, "types is empty"),
        ({"how": "drop", "marks": {"ip": "x"}}, "leave it out with how: drop"),
        ({"key": "K"}, "key is for how: hash only"),
    ],
)
def test_parameters_that_make_no_sense(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Redact(**wrong)


def test_an_unknown_region_is_named() -> None:
    with pytest.raises(PlanError, match=r"pii: regions: phonenumbers does not know 'uk'.*"):
        Pii(regions=("uk",)).check({})


def test_a_run_says_on_the_card_what_was_found_and_taken_out(tmp_path: Path) -> None:
    texts = ["Write to ann@example.org.", "Call +1 202 555 0143 or ann@example.org.", "Nothing here at all.", "x"]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    corpus = read(str(tmp_path / "in.jsonl")) | ops.Keep(rules={"all": "length(text) > 30"}) | ops.Redact(how="hash")
    result = corpus.run(str(tmp_path / "out"), Config(workers=1))
    emails = next(row for row in result.manifest["personal_data"] if row["type"] == "email")
    assert emails == {
        "step": "redact", "type": "email", "treatment": "hashed", "documents": 1, "found": 1, "kept": 1,
    }  # fmt: skip
    card = (result.path / "README.md").read_text(encoding="utf-8")
    assert "| phone | 1 | 1 | 1 | hashed | `redact` |" in card
    assert "Not measured: contamination with test sets, licences of single documents." in card
