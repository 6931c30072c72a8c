"""What a language model says of documents by a rubric, as FineWeb-Edu and CLEAR ask it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.chat import Answer, Chat, Service, default_ledger
from curate.errors import PlanError, nearest
from curate.operator import Signal

Positive = Annotated[int, msgspec.Meta(ge=1, le=10**7)]
Dollars = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Address = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@]+$")]
Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
PLACE = "{text}"


class Rubric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked: the prompt with {text} in it, and the least and greatest score."""

    prompt: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if PLACE not in self.prompt:
            raise ValueError("the prompt does not say where the document goes: write {text} there")
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")


class Judgement(NamedTuple):
    """A score with its reason; or, with `problem`, none."""

    score: float | None
    reason: str | None
    problem: str | None
    tokens: int


class LlmScore(Signal, frozen=True):
    """A language model's score of each document by a rubric, over the OpenAI protocol (vLLM, llama.cpp, OpenAI, ...).

    Each answer is kept in a file, by a hash of the endpoint and all that was asked: asking again costs nothing, and a
    run that stops (a service that stays away, a budget that is spent) goes on where it ended. Scores of a share of the
    documents can train a classifier for all (`train_fasttext` with a condition on `llm_score`).

    endpoint             address of the service up to /v1
    model                what the service calls the model
    rubric               educational (FineWeb-Edu: 0..5), reflection (CLEAR: is the answer right, 0..1), confidence
                         (CLEAR: how sure, 0..100), or a YAML file with prompt, low and high
    share                share of the documents to ask about, chosen by a hash of their text; others have no score
    seed                 another seed chooses others
    max_chars            code points of a document that are shown to the model
    samples              answers per document, whose mean is the score (with a temperature above 0)
    temperature          0: always the likeliest word
    max_tokens           tokens that an answer may have
    structured           how JSON is asked for: json_schema (vLLM, OpenAI), json_object, or none: in words only
    key                  name of the environment variable with the secret; the secret is never written anywhere
    concurrency          requests of a worker at the same time
    requests_per_minute  of all workers on a machine; 0: no limit
    timeout              seconds without a byte after which an attempt is given up
    retries              attempts after the first, for errors of the service or network, and for answers without a score
    price                dollars for a million tokens read, and written
    max_cost             dollars, counted by `price`, at which the run stops; all that was ever spent at this endpoint
                         counts
    cache                file of answers (default: `CURATE_ANSWERS`, or answers.sqlite in the user's cache)

    llm_score         mean score, in the rubric's range; null where none was asked for or given
    llm_score_spread  standard deviation of the scores; 0 for one sample
    llm_score_reason  what the model says of the first sample
    llm_score_error   why there is no score though it was asked for
    llm_score_tokens  tokens read and written for it, as the service counts them

    Raises PlanError for a rubric that is not one and when the environment has no such key; OperatorError, which stops
    the run, when the service refuses or does not answer, and when `max_cost` is spent.

    >>> judge = LlmScore(endpoint="http://localhost:8000/v1", model="any", rubric="reflection")
    >>> judge.request("Q: 2 + 2? A: 4")["messages"][0]["content"][:40]
    'Below is an instruction or question and '
    """

    is_remote: ClassVar[bool] = True
    example: ClassVar[dict[str, Any]] = {"endpoint": "http://localhost:8000/v1", "model": "any"}

    endpoint: Address
    model: str
    rubric: str = "educational"
    share: Share = 1.0
    seed: int = 0
    max_chars: Positive = 10_000
    samples: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0
    max_tokens: Positive = 300
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    key: Variable | None = None
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    requests_per_minute: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0
    timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 120.0
    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 5
    price: tuple[Dollars, Dollars] = (0.0, 0.0)
    max_cost: Dollars | None = None
    cache: str | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "price", tuple(self.price))
        if self.samples > 1 and not self.temperature:
            raise ValueError("several samples are the same without chance: set temperature above 0, or samples to 1")
        if self.max_cost is not None and not any(self.price):
            raise ValueError("max_cost needs a price: dollars for a million tokens, [read, written]")

    def writes(self) -> dict[str, pa.DataType]:
        numbers = {"llm_score": pa.float64(), "llm_score_spread": pa.float64()}
        words = {"llm_score_reason": pa.string(), "llm_score_error": pa.string()}
        return {**numbers, **words, "llm_score_tokens": pa.int32()}

    def files(self) -> tuple[str, ...]:
        return (str(_locate(self.rubric)),)

    def identity(self) -> dict[str, Any]:
        """Without what decides how fast and at what cost answers come."""
        about = super().identity()
        how = ("key", "concurrency", "requests_per_minute", "timeout", "price", "max_cost", "cache", "rubric")
        return {**about, "parameters": {k: v for k, v in about["parameters"].items() if k not in how}}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        self._rubric()
        self._secret()

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.hashing import xxh3_128
        from curate.kernels.mixing import mix

        points = mix(xxh3_128(text)[0], self.seed) >> np.uint64(11)
        chosen = points < np.uint64(round(self.share * 2.0**53))
        shown = pc.utf8_slice_codeunits(text.filter(pa.array(chosen)), 0, self.max_chars).to_pylist()
        found = self._judge(list(dict.fromkeys(shown)))
        rows = iter([found[value] for value in shown])
        made = [next(rows) if is_chosen else (None,) * 5 for is_chosen in chosen.tolist()]
        columns = list(zip(*made, strict=True)) or [()] * 5
        return {
            name: pa.array(values, kind) for (name, kind), values in zip(self.writes().items(), columns, strict=True)
        }

    def request(self, text: str) -> dict[str, Any]:
        """What is sent to the service for a document."""
        rubric = self._rubric()
        form = f'Write only JSON: {{"reason": "...", "score": a number from {rubric.low:g} to {rubric.high:g}}}'
        content = f"{rubric.prompt.strip().replace(PLACE, text)}\n\n{form}"
        asked = {"model": self.model, "messages": [{"role": "user", "content": content}], "max_tokens": self.max_tokens}
        return {**asked, "temperature": self.temperature, **self._form(rubric)}

    def _form(self, rubric: Rubric) -> dict[str, Any]:
        if self.structured == "none":
            return {}
        if self.structured == "json_object":
            return {"response_format": {"type": "json_object"}}
        score = {"type": "number", "minimum": rubric.low, "maximum": rubric.high}
        fields = {"reason": {"type": "string"}, "score": score}
        schema = {"type": "object", "properties": fields, "required": [*fields], "additionalProperties": False}
        form = {"name": "judgement", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": form}}

    def _judge(self, texts: list[str]) -> dict[str, tuple[Any, ...]]:
        """The values of each text; several are asked about at the same time."""
        chat, rubric = Chat(self._service()), self._rubric()
        asked = [(text, sample) for text in texts if text.strip() for sample in range(self.samples)]
        with ThreadPoolExecutor(self.concurrency) as pool:
            try:
                judged = list(pool.map(lambda each: self._sample(chat, rubric, *each), asked))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        made: dict[str, list[Judgement]] = {text: [] for text in texts}
        for (text, _), judgement in zip(asked, judged, strict=True):
            made[text].append(judgement)
        return {text: _summed(judgements) for text, judgements in made.items()}

    def _sample(self, chat: Chat, rubric: Rubric, text: str, sample: int) -> Judgement:
        """One judgement. An answer without a score is asked for again: it is another sample."""
        request, tokens, problem = self.request(text), 0, "no answer"
        for attempt in range(self.retries + 1):
            answer = chat.ask(request, sample + attempt * self.samples)
            tokens += answer.prompt + answer.completion
            if answer.problem is not None:
                return Judgement(None, None, answer.problem, tokens)
            found = read_answer(answer, rubric)
            if isinstance(found, tuple):
                return Judgement(*found, None, tokens)
            problem = found
        return Judgement(None, None, problem, tokens)

    def _rubric(self) -> Rubric:
        path = _locate(self.rubric)
        try:
            return msgspec.yaml.decode(path.read_bytes(), type=Rubric)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PlanError(f"llm_score: {path} is no rubric ({error}): it needs prompt, low and high") from error

    def _service(self) -> Service:
        ledger = Path(self.cache).expanduser() if self.cache else default_ledger()
        limits = self.timeout, self.retries, self.requests_per_minute, self.price, self.max_cost
        return Service(self.endpoint, self._secret(), *limits, ledger)

    def _secret(self) -> str:
        if self.key is None:
            return ""
        if not os.environ.get(self.key):
            raise PlanError(f"llm_score: the environment variable {self.key} (parameter key) is not set")
        return os.environ[self.key]


def read_answer(answer: Answer, rubric: Rubric) -> tuple[float, str] | str:
    """Score and reason in what a model has written; else what is wrong with it.

    >>> read_answer(Answer('```json\\n{"score": 4, "reason": "clear"}\\n```', None, 0, 0), Rubric("{text}", 0, 5))
    (4.0, 'clear')
    >>> read_answer(Answer('{"score": 9}', None, 0, 0), Rubric("{text}", 0, 5))
    'the score 9 is not within 0..5'
    """
    found = re.search(r"\{.*\}", answer.content, re.DOTALL)
    try:
        made = json.loads(found[0]) if found else {}
        score = made["score"]
        number = float(score) if isinstance(score, int | float | str) and not isinstance(score, bool) else None
    except (ValueError, KeyError):
        number = None
    if number is None:
        return f"the answer has no score: {answer.content[:80]!r}"
    if not rubric.low <= number <= rubric.high:
        return f"the score {number:g} is not within {rubric.low:g}..{rubric.high:g}"
    return number, str(made.get("reason") or "")


def _summed(judgements: list[Judgement]) -> tuple[Any, ...]:
    """The columns of a document, from its samples."""
    scores = [judgement.score for judgement in judgements if judgement.score is not None]
    tokens = sum(judgement.tokens for judgement in judgements)
    if not scores:
        problem = judgements[0].problem if judgements else "the text is blank"
        return None, None, None, problem, tokens
    reason = next(judgement.reason for judgement in judgements if judgement.score is not None)
    return float(np.mean(scores)), float(np.std(scores)), reason, None, tokens


def _locate(rubric: str) -> Path:
    """The file of a rubric that comes with curate, or of the user's."""
    if Path(rubric).is_file():
        return Path(rubric)
    folder = Path(str(resources.files("curate"))) / "configs/rubrics"
    shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if rubric not in shipped:
        near = nearest(rubric, shipped)
        raise PlanError(f"llm_score: no rubric {rubric!r}: neither a file nor one of {', '.join(shipped)}{near}")
    return shipped[rubric]
