"""Judgements of a language model, asked of a real HTTP server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate import Config, Recipe, chat, engine, read
from curate.errors import OperatorError, PlanError
from curate.execute.warm import warm
from curate.operators.judge import LlmScore, Rubric, read_answer
from tests.chat_server import KEY, Server, score

FULL = {"llm_score", "llm_score_spread", "llm_score_reason", "llm_score_error", "llm_score_tokens"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(chat, "FIRST_WAIT", 0.01)
    made = Server()
    yield made
    made.shutdown()


def test_many_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            together = threading.Barrier(8)

            def opened(_: int, path: Path = tmp_path / f"{number}.sqlite", together: Any = together) -> int:
                together.wait()
                ledger = chat._opened(path)
                return int(ledger.execute("SELECT count(*) FROM services").fetchone()[0])

            assert [*threads.map(opened, range(8))] == [0] * 8


def judge(server: Server, folder: Path, **parameters: Any) -> LlmScore:
    given: dict[str, Any] = {
        "endpoint": server.endpoint,
        "model": "tiny",
        "cache": str(folder / "answers.sqlite"),
        "retries": 3,
    }
    return LlmScore(**(given | parameters))


def rows(operator: LlmScore, texts: list[str]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in FULL} for row in operator(pa.table({"text": texts})).to_pylist()]


def test_scores_and_reasons(server: Server, tmp_path: Path) -> None:
    found = rows(judge(server, tmp_path), ["abc", "abcdefgh", " ", "abc"])
    assert [row["llm_score"] for row in found] == [3, 2, None, 3]
    assert found[0] == {
        "llm_score": 3,
        "llm_score_spread": 0,
        "llm_score_reason": "it has 3 characters",
        "llm_score_error": None,
        "llm_score_tokens": 120,
    }
    assert found[2]["llm_score_error"] == "the text is blank"
    assert len(server.requests) == 2, "the same text is asked about once"


def test_what_is_asked(server: Server, tmp_path: Path) -> None:
    rows(judge(server, tmp_path, max_chars=4, temperature=0.5, rubric="confidence"), ["böse {text} Wörter"])
    (request,) = server.requests
    assert request["model"] == "tiny"
    assert request["temperature"] == 0.5
    assert "---\nböse\n---" in request["messages"][0]["content"]
    schema = request["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["score"] == {"type": "number", "minimum": 0, "maximum": 100}
    assert judge(server, tmp_path, structured="none").request("x").keys() & {"response_format"} == set()
    assert judge(server, tmp_path, structured="json_object").request("x")["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("word", ["LIMITED", "BROKEN", "HTML", "CUT", "HANGING", "ONCE", "FENCED"])
def test_what_another_attempt_mends(server: Server, tmp_path: Path, word: str) -> None:
    text = f"{word} and the rest"
    (row,) = rows(judge(server, tmp_path, timeout=1.0), [text])
    assert row["llm_score"] == score(text, 5)
    assert row["llm_score_error"] is None


@pytest.mark.parametrize(
    ("word", "said", "attempts"),
    [
        ("NONSENSE", "the answer has no score: 'I would rather", 4),
        ("HIGH", "the score 77 is not within 0..5", 4),
        ("NAN", "the score nan is not within", 4),
        ("LIST", "the answer has no score", 4),
        ("TRUE", "the answer has no score", 4),
        ("WRONG", "the answer has no score", 4),
        ("REFUSED", "HTTP 400 Bad Request: .*this document is not acceptable", 1),
        ("LENGTH", r"no whole answer \(finish_reason length\)", 1),
        ("FILTERED", r"no whole answer \(finish_reason content_filter\)", 1),
    ],
)
def test_documents_without_a_score_say_why(server: Server, tmp_path: Path, word: str, said: str, attempts: int) -> None:
    operator = judge(server, tmp_path)
    found = rows(operator, [f"{word} and the rest", "good"])
    assert found[0]["llm_score"] is None
    assert found[1]["llm_score"] == 4
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found[0]["llm_score_error"])
    assert rows(operator, [f"{word} and the rest"])[0] == found[0]
    assert len(server.requests) == attempts + 1, "what a model has said is not asked again"


@pytest.mark.parametrize(
    ("parameters", "texts", "said"),
    [
        ({}, ["GONE now"], r"no answer after 4 attempts \(HTTP 503 Service Unavailable"),
        ({"model": "unknown"}, ["x"], "HTTP 404 Not Found: .*`unknown` does not exist"),
        ({"endpoint": "http://127.0.0.1:9/v1", "retries": 1}, ["x"], "no answer after 2 attempts .*refused"),
        ({"timeout": 0.1, "retries": 0}, ["SLOW one"], "no answer after 1 attempts .*timed out"),
    ],
)
def test_a_service_that_stays_away_stops_the_run(
    server: Server, tmp_path: Path, parameters: dict[str, Any], texts: list[str], said: str
) -> None:
    with pytest.raises(OperatorError, match=rf"{said}.*the same command goes on from here"):
        rows(judge(server, tmp_path, **parameters), texts)


def test_answers_are_kept(server: Server, tmp_path: Path) -> None:
    first = rows(judge(server, tmp_path), ["abc", "de"])
    assert rows(judge(server, tmp_path, concurrency=1, timeout=9), ["de", "abc"]) == first[::-1]
    assert len(server.requests) == 2
    for other in ({"model": "other"}, {"max_tokens": 9}, {"rubric": "reflection"}, {"temperature": 1.0}):
        before = len(server.requests)
        rows(judge(server, tmp_path, **other), ["abc"])
        assert len(server.requests) == before + 1, other


def test_a_share_is_chosen_by_the_text(server: Server, tmp_path: Path) -> None:
    texts = [f"text {n}" for n in range(400)]
    found = rows(judge(server, tmp_path, share=0.25), texts)
    asked = [row["llm_score"] is not None for row in found]
    assert 70 < sum(asked) < 130
    assert len(server.requests) == sum(asked)
    assert {row["llm_score_error"] for row in found} == {None}
    other_order = rows(judge(server, tmp_path, share=0.25), texts[::-1])
    assert [row["llm_score"] is not None for row in other_order] == asked[::-1]
    assert [r["llm_score"] is None for r in rows(judge(server, tmp_path, share=0.0), texts[:9])] == [True] * 9


def test_nothing_is_asked_about_text_of_our_own(server: Server, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "abc"}))
    steps = f"steps: [{{llm_score: {{endpoint: '{server.endpoint}', model: tiny, cache: '{tmp_path}/a.sqlite'}}}}]"
    warm(engine.plan_recipe(Recipe.parse(f"name: x\nsources: {{x: {{path: {tmp_path}/in.jsonl}}}}\n{steps}\n")))
    assert server.requests == []


def test_several_samples(server: Server, tmp_path: Path) -> None:
    operator = judge(server, tmp_path, samples=3, temperature=1.0, concurrency=1)
    (row,) = rows(operator, ["VARYING text"])
    assert row["llm_score"] == 1  # of 1, 2, 0
    assert row["llm_score_spread"] == pytest.approx((2 / 3) ** 0.5)
    assert row["llm_score_tokens"] == 360
    with pytest.raises(ValueError, match="several samples are the same without chance"):
        judge(server, tmp_path, samples=2)


def test_requests_a_minute(server: Server, tmp_path: Path) -> None:
    rows(judge(server, tmp_path, requests_per_minute=600), [f"text {n}" for n in range(6)])
    gaps = [after - before for before, after in zip(sorted(server.times), sorted(server.times)[1:], strict=False)]
    assert sum(gaps) > 0.4, "five gaps of a tenth of a second"


def test_concurrency(server: Server, tmp_path: Path) -> None:
    began = time.monotonic()
    rows(judge(server, tmp_path, concurrency=4), [f"SLOW {n}" for n in range(8)])
    assert 2 <= server.most_at_once <= 4
    assert time.monotonic() - began < 8 * 0.3


def test_the_budget(server: Server, tmp_path: Path) -> None:
    texts = [f"text {n}" for n in range(9)]
    poor = {"price": (10.0, 100.0), "max_cost": 0.01, "concurrency": 1}  # 0.003 dollars a document
    with pytest.raises(OperatorError, match=r"\$0.0120 are spent, of a max_cost of \$0.0100"):
        rows(judge(server, tmp_path, **poor), texts)
    assert len(server.requests) == 4
    rich = rows(judge(server, tmp_path, **{**poor, "max_cost": 1.0}), texts)
    assert len(server.requests) == 9
    assert all(row["llm_score"] is not None for row in rich)
    with pytest.raises(ValueError, match="max_cost needs a price"):
        judge(server, tmp_path, max_cost=1.0)


# ---------------------------------------------------------------- what a share teaches

LESSON = "the teacher explains how light bends in water and why the moon has phases that pupils can measure"
ADVERT = "buy cheap watches now because this amazing offer ends today and the shop ships free to every town"


def pages(count: int) -> list[dict[str, str]]:
    """Lessons and adverts by turns, which the server gives 4 points and 1."""
    chance, found = np.random.default_rng(0), []
    for at in range(count):
        words, points = (LESSON, 4) if at % 2 else (ADVERT, 1)
        text = " ".join(chance.choice(words.split(), 40))
        found.append({"id": f"d{at}", "text": text + "." * ((points - len(text)) % 6)})
    return found


def test_a_share_is_judged_and_all_are_scored_by_what_it_taught(server: Server, tmp_path: Path) -> None:
    """The shipped recipe, with a real service."""
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, pages(300))))
    sets = {"documents": str(tmp_path / "pages.jsonl"), "endpoint": server.endpoint, "model": "tiny", "share": "0.3"}
    sets |= {"output.path": str(tmp_path / "out"), "steps.3.train_fasttext.epoch": "40"}
    sets |= {"steps.2.llm_score.cache": str(tmp_path / "answers.sqlite")}

    result = engine.run(Recipe.load("fineweb-edu", sets=sets), Config(workers=1))
    found = result.polars("annotations")
    judged = found["llm_score"].is_not_null()
    assert 60 < judged.sum() == len(server.requests) < 120
    is_lesson = found["id"].str.slice(1).cast(int) % 2 == 1
    assert ((found["llm_score"] == 4) == is_lesson).filter(judged).all()
    assert ((found["dropped_by"].is_null()) == is_lesson).all(), "also those that nobody judged"
    facts = result.manifest["corpus"]["train_fasttext"]
    assert facts["texts"] + facts["held_out"] <= judged.sum()
    assert facts["auc"] == 1.0


# ---------------------------------------------------------------- secrets


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_key_is_sent_and_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(needs_key=True)
    operator = judge(server, tmp_path, key="JUDGE_KEY")
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(PlanError, match="the environment variable JUDGE_KEY"):
        operator.check({})
    monkeypatch.setenv("JUDGE_KEY", KEY)
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in ("abc", "REFUSED one")))
    corpus = read(str(tmp_path / "in.jsonl")) | operator
    result = corpus.run(str(tmp_path / "out"), Config(workers=1))
    assert result.polars()["llm_score"].to_list() == [3.0, None]
    assert KEY.encode() not in everything_below(tmp_path)
    server.shutdown()


def test_a_wrong_key_stops_the_run_and_is_not_in_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(needs_key=True)
    monkeypatch.setenv("JUDGE_KEY", "sk-not-the-right-one")
    with pytest.raises(OperatorError, match=r"HTTP 401 .*wrong key: Bearer \*\*\*") as caught:
        rows(judge(server, tmp_path, key="JUDGE_KEY"), ["abc"])
    assert "not-the-right-one" not in str(caught.value)
    assert len(server.requests) == 1
    server.shutdown()


def test_a_secret_in_the_recipe_is_refused() -> None:
    import msgspec

    for parameter in ({"key": "sk-proj-abc"}, {"endpoint": "https://user:pw@host/v1"}):
        with pytest.raises(msgspec.ValidationError, match="Expected `str` matching regex") as caught:
            msgspec.convert({"endpoint": "http://h/v1", "model": "m", **parameter}, LlmScore)
        assert "abc" not in str(caught.value)
        assert "pw" not in str(caught.value)


# ---------------------------------------------------------------- rubrics


def test_a_rubric_of_ones_own(server: Server, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("low: 0\nhigh: 9\nprompt: |\n  How funny is this?\n  ---\n  {text}\n  ---\n")
    operator = judge(server, tmp_path, rubric=str(own))
    operator.check({})
    assert rows(operator, ["a" * 18])[0]["llm_score"] == 8
    before = operator.identity()
    own.write_text(own.read_text().replace("funny", "sad"))
    assert operator.identity() != before
    for name in ("educational", "reflection", "confidence"):
        judge(server, tmp_path, rubric=name).check({})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("low: 0\nhigh: 1\nprompt: no place", "write {text} there"),
        ("low: 3\nhigh: 1\nprompt: '{text}'", r"low \(3\) must be below high \(1\)"),
        ("low: 0\nprompt: '{text}'", "missing required field `high`"),
        ("not: [yaml", "is no rubric"),
    ],
)
def test_what_is_no_rubric(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "r.yaml").write_text(content)
    with pytest.raises(PlanError, match=said):
        LlmScore(endpoint="http://h/v1", model="m", rubric=str(tmp_path / "r.yaml")).check({})
    with pytest.raises(PlanError, match=r"no rubric 'educatonal'.*did you mean 'educational'"):
        LlmScore(endpoint="http://h/v1", model="m", rubric="educatonal").check({})


def test_the_fingerprint_is_of_what_decides_the_scores() -> None:
    plain = LlmScore(endpoint="http://h/v1", model="m")
    for same in (
        {"concurrency": 2},
        {"timeout": 1.0},
        {"key": "K"},
        {"max_cost": 1.0, "price": (1.0, 1.0)},
        {"cache": "c"},
    ):
        assert LlmScore(endpoint="http://h/v1", model="m", **same).identity() == plain.identity()
    for other in (
        {"model": "n"},
        {"share": 0.5},
        {"rubric": "reflection"},
        {"max_chars": 9},
        {"endpoint": "http://i/v1"},
    ):
        assert LlmScore(**({"endpoint": "http://h/v1", "model": "m"} | other)).identity() != plain.identity()


def test_answers_in_strange_shapes() -> None:
    rubric = Rubric("{text}", 0, 5)
    for content, expected in {
        '{"score": "4", "reason": null}': (4.0, ""),
        'Sure! {"reason": "a {b} c", "score": 2.5}': (2.5, "a {b} c"),
    }.items():
        assert read_answer(chat.Answer(content, None, 0, 0), rubric) == expected
    for content in ("", "{", "{}", '{"score": null}', '{"score": []}', '{"score": "four"}', '{"score": 1e999}'):
        assert isinstance(read_answer(chat.Answer(content, None, 0, 0), rubric), str), content
