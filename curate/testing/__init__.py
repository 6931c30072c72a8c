"""What every operator must hold, as short named checks that a third party can run on theirs.

    from curate.testing import parametrize

    @parametrize(MySignal(), MyFilter(limit=3))
    def test_contract(operator, check):
        check(operator)

For classes with required parameters, `example(MyFilter)` takes them from the class's own `example`. The columns that
an operator reads are made up by type. One check alone: `curate.testing.checks.batch_invariance(MySignal())`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curate.errors import nearest
from curate.operator import Operator
from curate.testing.checks import CHECKS, ONLY_FOR, Check
from curate.testing.examples import example, example_columns

__all__ = ["CHECKS", "Check", "checks_for", "example", "example_columns", "parametrize"]


def checks_for(operator: Operator) -> list[Check]:
    """The checks that apply to an operator of this kind.

    >>> from curate.operators.normalize import Normalize
    >>> "sharding_invariance" in [check.__name__ for check in checks_for(Normalize())]
    False
    """
    return [check for check in CHECKS if isinstance(operator, ONLY_FOR.get(check, Operator))]


def parametrize(*operators: Operator, known_gaps: Mapping[str, str] | None = None) -> Any:
    """Pytest decorator that runs a test(operator, check) for every operator and each of its checks.

    Test ids read `gopher-batch_invariance`; a second instance of one operator is called `gopher2`. `known_gaps`
    maps a check's name, or such an id, to a reason: the check is then expected to fail (strictly: when it passes,
    the gap must go). Raises ValueError for a gap that names no check.
    """
    import pytest

    gaps = dict(known_gaps or {})
    seen: dict[str, int] = {}
    cases = []
    for operator in operators:
        seen[operator.name()] = seen.get(operator.name(), 0) + 1
        label = operator.name() + (str(seen[operator.name()]) if seen[operator.name()] > 1 else "")
        cases += [(f"{label}-{check.__name__}", operator, check) for check in checks_for(operator)]
    known = {name for label, _, check in cases for name in (label, check.__name__)}
    for gap in gaps:
        if gap not in known:
            raise ValueError(f"known_gaps: no check {gap!r}{nearest(gap, known)}")
    params = []
    for label, operator, check in cases:
        reason = gaps.get(label, gaps.get(check.__name__))
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        params.append(pytest.param(operator, check, id=label, marks=marks))
    return pytest.mark.parametrize(("operator", "check"), params)
