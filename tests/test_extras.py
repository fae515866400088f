"""An extra feature that a call does not need does not change how the call behaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import (
    BulkheadConfig,
    CachePolicy,
    CircuitBreakerConfig,
    HedgeConfig,
    RateLimitConfig,
    Region,
    Request,
    RetryBudget,
    RetryPolicy,
    Service,
)
from tests.fast_path_settings import BASE, Setting

if TYPE_CHECKING:
    from tests.fast_path_settings import ScenarioOutcome

MODES = ["sync", "async", "distant"]
CALLS = 4
PROTECTED: dict[str, Any] = {
    "base_url": BASE,
    "limits": (RateLimitConfig.per_second(1, burst=2),),
    "circuit": CircuitBreakerConfig(failures=3, open_for=5),
    "retry": RetryPolicy(3),
    "timeout": 30.0,
}
ANSWERS = (
    "ok",
    "wrong",
    "unknown",
    "too many",
    "down",
    "refused",
    "cut off",
    "late",
    "foreign",
    "stopped",
    "cancelled",
)


@attrs.frozen(kw_only=True)
class UnusedExtra:
    """An extra setting of a service, a manager or a call, which no call of the test needs.

    Attributes:
        service: the settings of the service.
        setting: other parts of the scenario.
        options: the options of each call.
        keys: whether each call has an idempotency key of its own.
        answers: the vendor's answers that the extra does not concern.
    """

    service: dict[str, Any] = attrs.field(factory=dict)
    setting: dict[str, Any] = attrs.field(factory=dict)
    options: dict[str, Any] = attrs.field(factory=dict)
    keys: bool = False
    answers: tuple[str, ...] = ANSWERS


EXTRAS: dict[str, UnusedExtra] = {
    "observer": UnusedExtra(setting={"listening": True}),
    "failures": UnusedExtra(setting={"failures_only": True}),
    "log": UnusedExtra(setting={"logged": True}),
    "observers and log": UnusedExtra(setting={"observed": True}),
    "attempt time-out": UnusedExtra(service={"attempt_timeout": 29.0}),
    "budget": UnusedExtra(service={"retry_budget": RetryBudget(floor=1_000)}),
    "second limit": UnusedExtra(
        service={"limits": (*PROTECTED["limits"], RateLimitConfig.per_hour(10**6))}
    ),
    "bulkhead": UnusedExtra(service={"bulkhead": BulkheadConfig(8)}),
    "timeout": UnusedExtra(options={"timeout": 30.0}),
    "request id": UnusedExtra(options={"request_id": "order-7"}),
    "subject": UnusedExtra(options={"subject": "ada"}),
    "all of these": UnusedExtra(
        service={
            "attempt_timeout": 29.0,
            "retry_budget": RetryBudget(floor=1_000),
            "limits": (*PROTECTED["limits"], RateLimitConfig.per_hour(10**6)),
            "bulkhead": BulkheadConfig(8),
        },
        setting={"observed": True},
        options={"timeout": 30.0, "request_id": "order-7", "subject": "ada"},
    ),
}
REQUEST_EXTRAS: dict[str, UnusedExtra] = {
    # The key of a function forbids repeating it, but a GET may always be repeated.
    "key": UnusedExtra(keys=True),
    "cache": UnusedExtra(service={"cache": CachePolicy()}),
    # A failed read is hedged at once.
    "hedging": UnusedExtra(
        service={"hedge": HedgeConfig(delay=29.0)}, answers=("ok", "stopped", "cancelled")
    ),
    "region": UnusedExtra(service={"base_url": None, "regions": (Region("eu", BASE),)}),
}


def _setting(mode: str, answers: list[tuple[str, float]], extra: UnusedExtra) -> Setting:
    return Setting(
        mode=mode,
        services=[Service("v", **PROTECTED | extra.service)],
        answers=answers,
        options=extra.options,
        keys=[f"key-{number}" for number in range(CALLS)] if extra.keys else [],
        **extra.setting,
    )


def _facts(story: ScenarioOutcome) -> Any:
    """Return all that the caller, the vendor and the store observed in a scenario."""
    requests = [(request.method, url) for request, url, _ in story.got]
    return [_without_region(end) for end in story.ends], requests, story.slept, story.circuits


def _without_region(end: Any) -> Any:
    """Return a result, or an error's details without the region that its message contains."""
    if not isinstance(end, tuple):
        return end
    return tuple(fact.replace("v in eu:", "v:") if isinstance(fact, str) else fact for fact in end)


def _answers(extra: UnusedExtra) -> st.SearchStrategy[list[tuple[str, float]]]:
    """Return a strategy that draws a vendor's responses, each with a duration in seconds."""
    takes = st.sampled_from([0.0, 0.0, 0.5, 31.0])
    return st.lists(st.tuples(st.sampled_from(extra.answers), takes), max_size=8)


@pytest.mark.untraced
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EXTRAS)
@settings(max_examples=12)
@given(data=st.data())
def test_function_ends_alike_with_an_extra(mode: str, name: str, data: st.DataObject) -> None:
    """An unneeded extra setting changes no result, attempt, wait or state of a function call."""
    extra = EXTRAS[name]
    answers = data.draw(_answers(extra))
    bare_calls = _setting(mode, answers, UnusedExtra()).run(CALLS)
    assert _facts(bare_calls) == _facts(_setting(mode, answers, extra).run(CALLS))


@pytest.mark.untraced
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EXTRAS | REQUEST_EXTRAS)
@settings(max_examples=12)
@given(data=st.data())
def test_request_ends_alike_with_an_extra(mode: str, name: str, data: st.DataObject) -> None:
    """An unneeded extra setting changes no result, attempt, wait or state of a request."""
    extra = (EXTRAS | REQUEST_EXTRAS)[name]
    answers = data.draw(_answers(extra))
    requests = [Request.get(f"/rates/{number}") for number in range(CALLS)]
    bare_calls = _setting(mode, answers, UnusedExtra()).send(requests)
    assert _facts(bare_calls) == _facts(_setting(mode, answers, extra).send(requests))
