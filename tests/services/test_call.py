"""A call's time limits, and its record of effects that its requests may have had."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest

import moorage
from moorage import AttemptTimeout, ConnectionFailed, Service, VendorRejected
from moorage.domain.observation.call_identity import ContractCall
from moorage.domain.resilience.ledger import BLANK, Ledger
from moorage.domain.service.plan import Plan
from moorage.services.calling.call import Call, attempt_timeout_error
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START

CALL = Path("services/calling/call.py")
LEDGER = Path("domain/resilience/ledger.py")


@pytest.mark.parametrize(
    "custom, bound",
    [
        pytest.param(None, 26.0, id="the deadline"),
        pytest.param(3, 3.0, id="its own"),
        pytest.param(60, 26.0, id="the deadline comes first"),
    ],
)
@sync_and_async
async def test_attempt_timeout_is_capped_by_the_rest_of_the_calls_time(
    harness: Harness, custom: float | None, bound: float
) -> None:
    """An attempt may take its configured time, but no longer than the rest of the call's time."""
    flows = harness.manager(Service("vat", attempt_timeout=custom)).manager._flows
    plan = flows.plans.find("vat", None, None)
    call = Call(plan, flows.core.nanoseconds(), plan.span)
    harness.clock.advance(4)

    assert bound == call.bound(flows.core)
    error = attempt_timeout_error()
    assert AttemptTimeout is type(error)
    assert "exceeded its time limit" in error.message


@pytest.mark.parametrize("after, microseconds", [(0, 0), (1, 1), (400, 1), (1000, 1), (-1500, -1)])
@sync_and_async
async def test_wall_time_is_rounded_up(harness: Harness, after: int, microseconds: int) -> None:
    """A monotonic time in nanoseconds is converted to wall time and rounded up to microseconds."""
    core = harness.manager().manager._flows.core

    assert START + timedelta(microseconds=microseconds) == core.moment(core.nanoseconds() + after)


@pytest.mark.parametrize(
    "timeout, span, message",
    [
        pytest.param(None, 3, "The deadline of 3 s has passed.", id="a call"),
        pytest.param(5.0, 4.999, "The operation's timeout of 5 s has passed.", id="the first step"),
        pytest.param(
            5.0,
            0.000171697,
            "The operation's timeout of 5 s has passed; the last step had only 0.172 ms.",
            id="a late step",
        ),
        pytest.param(
            5.0,
            2.25,
            "The operation's timeout of 5 s has passed; the last step had only 2.25 s.",
            id="a later step",
        ),
    ],
)
def test_deadline_error_names_the_callers_timeout(
    timeout: float | None, span: float, message: str
) -> None:
    """A deadline error in a step of an operation states the whole timeout, not the time left."""
    call = Call(Plan(Service("stripe"), None, None), 0, int(span * 1e9))
    if timeout is not None:
        call.contract = ContractCall("payments.charge", "stripe", "stripe", timeout=timeout)

    assert message == call.deadline_error().message


def started_call() -> Call:
    """Return a call whose first request has been sent."""
    call = Call(Plan(Service("vat"), None, None), 0, 1)
    call.begin_attempt()
    call.leave()
    return call


@pytest.mark.parametrize("name", ["ledger", "attempts", "may_have_acted", "is_unsent"])
def test_facts_of_a_call_cannot_be_set(name: str) -> None:
    """The recorded effects of a call cannot be set from outside."""
    with pytest.raises(AttributeError):
        setattr(started_call(), name, 0)


def test_only_module_of_calls_replaces_call_ledger() -> None:
    """Only the module of calls replaces a call's ledger, and only one module creates ledgers."""
    source = Path(moorage.__file__).parent
    uses, makers = set(), set()
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "_ledger" not in text and "Ledger" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and node.attr == "_ledger":
                uses.add(path.relative_to(source))
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Ledger":
                makers.add(path.relative_to(source))

    assert ({CALL}, {LEDGER}) == (uses, makers)


def test_errors_state_possible_effects_correctly() -> None:
    """If the connection is refused, or the vendor rejects, the call had no effect."""
    unsent_call, refused_call, lost_call = started_call(), started_call(), started_call()

    unsent_call.weigh_effects(ConnectionFailed("no route", may_have_been_processed=False))
    refused_call.weigh_effects(VendorRejected("no", status=400))
    lost_call.weigh_effects(ConnectionFailed("cut off", may_have_been_processed=True))

    assert (False, True) == (unsent_call.may_have_acted, unsent_call.is_unsent)
    assert (False, False) == (refused_call.may_have_acted, refused_call.is_unsent)
    assert (True, False) == (lost_call.may_have_acted, lost_call.is_unsent)


def test_hedge_starts_with_the_effects_of_earlier_attempts() -> None:
    """A hedge starts with the effects of earlier attempts, and adds its own to them."""
    call = started_call()
    call.begin_attempt()
    first, second = call.concurrent_call(), call.concurrent_call()

    first.leave()
    first.record_no_effect()
    assert (True, 2, 1) == (first.may_have_acted, first.attempts, second.attempts)
    assert Ledger(1, earlier=True) == call.ledger

    call.join((first, second))
    assert (True, 2) == (call.may_have_acted, call.attempts)


def test_a_new_call_has_done_nothing() -> None:
    """A call that has sent nothing has an empty record of effects."""
    call = Call(Plan(Service("vat"), None, None), 0, 1)
    call.begin_attempt()

    assert BLANK is call.ledger
