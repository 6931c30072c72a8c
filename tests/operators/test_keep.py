"""Rules with bounds that differ by language."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import PlanError
from curate.operators.keep import Bounds, Keep, Rule

LANGUAGES = ["en", "de", "zh", "xx", None]


def keeping(**rules: Any) -> Keep:
    return Keep(rules=rules)


def kept(rule: dict[str, Any], values: list[Any], languages: list[Any] = LANGUAGES) -> list[bool]:
    table = pa.table({"n": pa.array(values), "language": pa.array(languages, pa.string())})
    return [reason is None for reason in keeping(n={"column": "n", **rule})(table)["dropped_by"].to_pylist()]


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        ({"min": 2, "overrides": {"de": {"min": 4}}}, [3] * 5, [True, False, True, True, True]),
        ({"min": 2, "max": 9, "overrides": {"de": {"max": 3}}}, [4] * 5, [True, False, True, True, True]),
        ({"min": 2, "max": 9, "overrides": {"de": {"max": 3}}}, [1] * 5, [False] * 5),
        ({"min": 2, "overrides": {"zh": None}}, [1] * 5, [False, False, True, False, False]),
        ({"min": 2, "overrides": {"zh": None}}, [None] * 5, [False, False, True, False, False]),
        ({"overrides": {"en": {"min": 1}}}, [1] * 5, [True, False, False, False, False]),
        ({"overrides": {"en": {"min": 1}}, "nulls": "pass"}, [0] * 5, [False, True, True, True, True]),
        ({"min": 0.5, "overrides": {"de": {"min": 0.25}}}, [0.25] * 5, [False, True, False, False, False]),
    ],
)
def test_bounds_by_language(rule: dict[str, Any], values: list[Any], expected: list[bool]) -> None:
    assert kept(rule, values) == expected


def test_another_column_than_language() -> None:
    keep = keeping(n={"column": "n", "min": 2, "by": "source", "overrides": {"web": {"min": 5}}})
    assert keep({"n": 3, "source": "web"}) == {"dropped_by": "n"}
    assert keep({"n": 3, "source": "books"}) == {"dropped_by": None}
    assert set(keep.reads()) == {"n", "source"}


def test_a_table_of_bounds(tmp_path: Path) -> None:
    table = tmp_path / "bounds.csv"
    table.write_text("language,n.min,n.max,other.min\nen,2,,1\nde,,3,1\n")
    assert kept({"overrides": str(table)}, [4] * 5) == [True, False, False, False, False]
    keep = keeping(n={"overrides": str(table), "min": 1})
    assert keep.files() == (str(table),)
    assert keep.rule("n").by_value() == {"en": Bounds(min=2), "de": Bounds(min=1, max=3)}
    before = keep.identity()
    table.write_text("language,n.min,n.max,other.min\nen,3,,1\nde,,3,1\n")
    assert keep.identity() != before
    assert keep.rule("n").by_value()["en"] == Bounds(min=3)
    with pytest.raises(PlanError, match=r"bounds.csv has no column others.min or others.max - did you mean 'other'"):
        keeping(others={"overrides": str(table)}).reads()
    with pytest.raises(PlanError, match=r"there is no table nowhere.csv"):
        keeping(m={"overrides": "nowhere.csv"}).files()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"overrides": {"de": {"min": 5, "max": 4}}}, "de: min 5 is above max 4"),
        ({"min": 6, "overrides": {"de": {"max": 4}}}, "de: min 6 is above max 4"),
        ({"sql": "n > 1", "overrides": {"de": {"max": 4}}}, "a rule has min and/or max, or sql"),
        ({"overrides": {}}, "a rule has min and/or max, or sql"),
    ],
)
def test_bounds_that_cannot_be(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keeping(n=rule)


def test_a_language_that_is_no_string_is_refused_when_planned() -> None:
    keep = keeping(n={"min": 1, "overrides": {"de": {"min": 2}}})
    with pytest.raises(PlanError, match="rule 'n' has overrides by language, which is int64, not a string"):
        keep.check({"n": pa.int64(), "language": pa.int64()})


def test_what_is_said_of_one_document() -> None:
    rule = Rule(min=2, overrides={"de": Bounds(min=4), "zh": None}, source="a paper, table 1")
    (german,) = keeping(n=rule).explain({"n": 3, "language": "de"})
    assert (german["rule_text"], german["passes"], german["distance"]) == ("n >= 4, by language", False, -1)
    assert german["source"] == "a paper, table 1"
    (chinese,) = keeping(n=rule).explain({"n": 0, "language": "zh"})
    assert (chinese["rule_text"], chinese["passes"], chinese["distance"]) == ("n, by language", True, None)
