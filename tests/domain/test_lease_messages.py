"""The messages between the broker that leases rate-limit tokens and its client processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage import CircuitBreakerConfig, InvalidData, RateLimitConfig, Service
from moorage.domain.resilience.admission import Admission
from moorage.domain.resilience.gate_commands import Pause
from moorage.domain.resilience.lease_messages import (
    Question,
    Reply,
    error_line,
    gates_of,
    kind_of,
    most_at_once,
    question_end,
    question_start,
    read_question,
    read_reply,
    reply_line,
    withdrawal,
)
from moorage.domain.service.plan import Plan

LIMIT = ["{:hot}:limit:rate", 1, 1_000, 20, 2]
LIMITS = (RateLimitConfig.per_second(100, burst=20), RateLimitConfig.per_minute(5_000, burst=9))


def admission(*, circuit: bool = False, **settings: Any) -> Admission:
    """Return the admission command for a call of a service."""
    service = Service(
        "hot",
        limits=settings.pop("limits", LIMITS),
        circuit=CircuitBreakerConfig() if circuit else None,
        **settings,
    )
    gates = Plan(service, settings.pop("tenant", None), None).gates
    return Admission(gates, within=0, lease=0, costs=(1,) * len(gates.limits))


def test_broker_decodes_a_request_with_the_same_limits() -> None:
    """The broker decodes a client's request for tokens with the same limits and costs."""
    kind = kind_of(admission(), ["hot"])

    assert kind is not None
    line = question_start(7, 20_000) + question_end(kind)
    assert Question(7, 20_000, kind) == read_question(line)
    assert [rule.shape for rule in gates_of(kind).limits] == [  # type: ignore[attr-defined]  # buckets
        limit.rule.shape  # type: ignore[attr-defined]  # buckets
        for limit in LIMITS
    ]
    assert 9 == most_at_once(kind)


def test_withdrawal_is_a_request_without_limits() -> None:
    """If a process withdraws its request for tokens, the broker gets a message without limits."""
    assert Question(7, 0, ()) == read_question(withdrawal(7))


@pytest.mark.parametrize(
    "reply",
    [Reply(7, granted=True), Reply(7, granted=False), Reply(7, granted=False, wait=1_000)],
)
def test_replies_are_read_as_written(reply: Reply) -> None:
    """Each kind of broker reply is read back unchanged."""
    assert reply == read_reply(reply_line(reply))


def test_refused_message_is_an_error_of_the_process() -> None:
    """If the broker refuses a message, the error has the broker's reason."""
    with pytest.raises(InvalidData, match="refused a request: 'A key must be'"):
        read_reply(error_line(InvalidData("A key must be")))


def test_only_plain_admissions_of_named_services_are_leased() -> None:
    """The broker serves only simple rate limits of the listed services.

    The store serves all others.
    """
    plain_admission = admission()
    daily = (RateLimitConfig.per_calendar_day(5),)

    assert kind_of(plain_admission, ["vat", "hot"]) is not None
    assert kind_of(plain_admission, ["vat"]) is None
    assert kind_of(admission(circuit=True), ["hot"]) is None
    assert kind_of(admission(limits=daily), ["hot"]) is None
    assert kind_of(plain_admission.evolve(ticketed=True), ["hot"]) is None
    assert kind_of(plain_admission.evolve(claim=("{:hot:k}:key", 1, "")), ["hot"]) is None
    assert kind_of(Pause(plain_admission.gates, 1), ["hot"]) is None


def test_parts_and_tenants_belong_to_the_service() -> None:
    """The rate limits of a service's tenants and parts are leased like the service's own limits."""
    parts = Service("hot", limits=RateLimitConfig.per_second(100, burst=20, parts=2), circuit=None)
    gates = Plan(parts, "acme", None).parts[1].gates

    assert kind_of(Admission(gates, within=0, lease=0), ["hot"]) is not None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET / HTTP/1.1",
        b"\xff\xfe",
        b"[" * 5_000,
        b"[]",
        b"1" * 5_000,
        b'{"id": NaN, "within": 0, "limits": []}',
        b"{}",
        b'{"id": true, "leave": true}',
        b'{"id": -1, "leave": true}',
        b'{"id": 9007199254740992, "leave": true}',
        b'{"id": 1}',
        b'{"id": 1, "within": 1.5, "limits": []}',
    ],
)
def test_line_that_is_not_a_valid_request_is_refused(line: bytes) -> None:
    """A line that is not a valid request is refused; the error contains the wrong field."""
    with pytest.raises(InvalidData) as excinfo:
        read_question(line)
    assert excinfo.value.field in {"message", "id", "within", "limits"}


@pytest.mark.parametrize(
    "limits",
    [
        None,
        [],
        [LIMIT] * 17,
        ["key"],
        [LIMIT[:4]],
        [["", *LIMIT[1:]]],
        [[7, *LIMIT[1:]]],
        [["{:hot}:limit:\n", *LIMIT[1:]]],
        [["{:hot}:limit:" + "x" * 5_000, *LIMIT[1:]]],
        [["{:hot:k}:key", *LIMIT[1:]]],
        [["{:hot}:circuit", *LIMIT[1:]]],
        [[LIMIT[0], 0, 1_000, 20, 2]],
        [[LIMIT[0], 1, "1000", 20, 2]],
        [[LIMIT[0], 1, 1_000, 20, 21]],
        [[LIMIT[0], 1, 2**52, 20, 2]],
    ],
)
def test_limits_out_of_range_are_refused(limits: object) -> None:
    """A request with unknown limit keys, or with numbers out of range, is refused."""
    line = json.dumps({"id": 1, "within": 0, "limits": limits}).encode()
    with pytest.raises(InvalidData):
        read_question(line)
