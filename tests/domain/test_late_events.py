"""Events and log entries whose fields are computed when they are first read."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import HttpMethod, Service
from moorage.domain.observation.call_events import AttemptFinished, CallFinished, CallStarted
from moorage.domain.observation.call_identity import CallIdentity, CallOutcome
from moorage.domain.observation.integration_log import IntegrationLog, IntegrationStatus, entry_of
from moorage.domain.observation.late_fields import make_late
from moorage.domain.service.plan import Plan

if TYPE_CHECKING:
    from moorage.domain.observation.call_events import AttemptFacts, CallFacts, Facts, SuccessFacts
    from moorage.domain.observation.events import Event

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
PLAN = Plan(Service("stripe"), "acme", None)


def late_events(numbers: count[int] | None = None) -> dict[type[Event], Event]:
    """Return an event of each class that a call emits, with lazily computed fields."""
    numbers = numbers or count(1)
    identity = CallIdentity(5_000, int(NOON.timestamp()) * 10**9, lambda _: f"id-{next(numbers)}")
    start: Facts = (identity, PLAN, 5_000)
    attempt: AttemptFacts = (
        *(identity, PLAN, 2_005_000),
        *(1, 1_500_000, "KeyError", 503, True, 0, None, None, None, CallOutcome.UNKNOWN, "E7"),
    )
    end: CallFacts = (
        *(identity, PLAN, 3_005_000),
        *(2, "VendorFailed", 503, "E7", "order-7", False, True, False, False, True, "ada"),
        CallOutcome.UNKNOWN,
        *("The card 4111111111111111 failed.", HttpMethod.POST, f"00-{'ab' * 16}-{'cd' * 8}-01"),
    )
    return {
        CallStarted: make_late(CallStarted, start),
        AttemptFinished: make_late(AttemptFinished, attempt),
        CallFinished: make_late(CallFinished, end),
    }


def same_events() -> dict[type[Event], Event]:
    """Return the same events, created by their constructors."""
    return {
        CallStarted: CallStarted(at=NOON, service="stripe", tenant="acme", request_id="id-1"),
        AttemptFinished: AttemptFinished(
            at=NOON + timedelta(milliseconds=2),
            service="stripe",
            tenant="acme",
            request_id="id-1",
            attempt=1,
            duration=0.0015,
            vendor_code="E7",
            error="KeyError",
            status=503,
            slow=True,
        ),
        CallFinished: CallFinished(
            at=NOON + timedelta(milliseconds=3),
            service="stripe",
            tenant="acme",
            request_id="id-1",
            started_at=NOON,
            duration=0.003,
            attempts=2,
            error="VendorFailed",
            status=503,
            vendor_code="E7",
            idempotency_key="order-7",
            cached=True,
            internal=True,
            subject="ada",
            error_message="The card 4111***1111 failed.",
            method="POST",
            trace_id="ab" * 16,
        ),
    }


def pickled_copy(value: object) -> object:
    """Return a pickled and unpickled copy of a value, as another process receives it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - what was pickled here


KINDS = list(same_events())


@pytest.mark.parametrize("kind", KINDS)
def test_late_event_is_the_same_value(kind: type[Event]) -> None:
    """A lazily computed event equals, hashes, prints and pickles like an ordinary one."""
    event, expected = late_events()[kind], same_events()[kind]

    assert expected == event
    assert hash(expected) == hash(event)
    assert repr(expected) == repr(late_events()[kind])
    assert expected == pickled_copy(late_events()[kind])
    assert expected == copy.deepcopy(late_events()[kind])
    assert attrs.asdict(expected) == attrs.asdict(late_events()[kind])
    assert attrs.evolve(expected, service="a") == attrs.evolve(late_events()[kind], service="a")


def test_event_of_first_attempt_is_computed_from_facts_of_its_successful_call() -> None:
    """The event of a first attempt is computed from the data of its successful call."""
    identity = CallIdentity(5_000, int(NOON.timestamp()) * 10**9, lambda _: "id-1")
    facts: SuccessFacts = (
        *(identity, PLAN, 2_005_000, 201, "ada", HttpMethod.POST, None),
        (505_000, 7, 9),
    )

    assert make_late(AttemptFinished, facts) == AttemptFinished(
        at=NOON + timedelta(milliseconds=2),
        service="stripe",
        tenant="acme",
        request_id="id-1",
        attempt=1,
        duration=0.0015,
        status=201,
        method="POST",
        bytes_out=7,
        bytes_in=9,
        outcome=CallOutcome.DONE,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_late_event_is_frozen(kind: type[Event]) -> None:
    """No field of a lazily computed event can be set, whether it was read or not."""
    event = late_events()[kind]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.service = "other"  # type: ignore[misc]  # what must not be
    with pytest.raises(AttributeError, match="has no attribute 'servce'"):
        _ = event.servce  # type: ignore[attr-defined]  # a misspelling


def test_all_readers_see_one_id() -> None:
    """Threads that read a call's id at the same time, from any of its events, get the same id."""
    for _ in range(50):
        events = [*late_events().values()] * 2
        start = Barrier(len(events))
        ids: list[str | None] = []

        def read(event: Event, start: Barrier = start, ids: list[str | None] = ids) -> None:
            start.wait()
            ids.append(event.request_id)

        threads = [Thread(target=read, args=(event,)) for event in events]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert 1 == len(set(ids))


def test_reading_other_fields_of_call_event_does_not_create_call_id() -> None:
    """Reading other fields of a call's event does not create the call's id."""
    numbers = count(1)
    event = late_events(numbers)[CallFinished]

    assert ("stripe", NOON + timedelta(milliseconds=3)) == (event.service, event.at)
    assert 1 == next(numbers)


def test_entry_is_computed_from_the_event() -> None:
    """A lazily computed log entry equals an ordinary one."""
    entry = entry_of(late_events()[CallFinished])

    expected = IntegrationLog(
        id="id-1",
        service="stripe",
        tenant="acme",
        status=IntegrationStatus.INTERNAL,
        started_at=NOON,
        duration=0.003,
        attempts=2,
        error="VendorFailed",
        http_status=503,
        vendor_code="E7",
        idempotency_key="order-7",
        subject="ada",
        error_message="The card 4111***1111 failed.",
        method="POST",
        trace_id="ab" * 16,
    )
    assert expected == pickled_copy(entry) == entry
    assert repr(expected) == repr(entry)
