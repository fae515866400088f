"""Events for observers are frozen values."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from moorage.domain.observation import call_events, events
from moorage.domain.observation.call_events import CallStarted
from moorage.domain.observation.call_identity import CallIdentity
from moorage.domain.observation.events import CallRefused, Event
from moorage.domain.resilience.circuit import CircuitState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = [
    kind
    for kind in (vars(events) | vars(call_events)).values()
    if isinstance(kind, type) and issubclass(kind, Event)
]
EXAMPLES: dict[str, Any] = {
    "at": NOW,
    "service": "vat",
    "operation": "rates",
    "tenant": "acme",
    "request_id": "id-1",
    "started_at": NOW,
    "state": CircuitState.OPEN,
    "error": "VendorFailed",
    "idempotency_key": "k",
    "observer": "print",
}


def example(kind: type[Event]) -> Event:
    """Return an event of this class with its required fields."""
    options = {
        field.name: EXAMPLES.get(field.name, 1.0)
        for field in attrs.fields(kind)
        if field.default is attrs.NOTHING
    }
    return kind(**options)


@pytest.mark.parametrize("kind", KINDS)
def test_events_are_frozen_values(kind: type[Event]) -> None:
    """An event is immutable, equals an event with equal fields, and its repr names its class."""
    event = example(kind)

    assert example(kind) == event
    assert hash(example(kind)) == hash(event)
    assert repr(event).startswith(kind.__name__)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.service = "other"  # type: ignore[misc]  # on purpose


@pytest.mark.parametrize("kind", KINDS)
def test_attrs_and_pickle_accept_events(kind: type[Event]) -> None:
    """An event can be pickled, copied and evolved, and attrs reads its fields."""
    event = example(kind)
    values = attrs.asdict(event, recurse=False)

    restored = pickle.loads(pickle.dumps(event))  # noqa: S301 - our own bytes
    assert event == restored == copy.copy(event) == kind(**values)
    changed_event = attrs.evolve(event, service="other")
    assert "other" == changed_event.service
    assert {"at": "datetime", "tenant": "str | None"} == {
        field.name: field.type
        for field in attrs.fields(kind)
        if field.name in {"at", "tenant"} and field.kw_only
    }


def test_arguments_of_an_event_are_its_fields() -> None:
    """An event refuses an unknown argument, and requires each argument without a default."""
    event_type: Any = CallRefused
    with pytest.raises(TypeError, match="CallRefused needs the argument 'retry_after'"):
        event_type(at=NOW, service="vat", error="Refused")
    with pytest.raises(TypeError, match="CallRefused has no field 'delay', 'cause'"):
        event_type(at=NOW, service="vat", error="Refused", retry_after=1.0, delay=1, cause="")
    event: Any = example(Event)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del event.service


def test_events_of_different_classes_differ() -> None:
    """An event equals no event of another class and no other value."""
    event = example(Event)

    assert [True, True] == [event != example(CallStarted), event != "vat"]


def test_identity_needs_an_id_or_a_source_of_ids() -> None:
    """A call needs an id or an id generator; without both, reading the id raises an error."""
    identity = CallIdentity(0, 0)

    with pytest.raises(AssertionError, match="not created lazily"):
        _ = identity.request_id

    identity.request_id = "order-7"
    assert "order-7" == identity.request_id


@pytest.mark.parametrize("kind", KINDS)
def test_events_take_keyword_arguments_only(kind: type[Event]) -> None:
    """No event can be built from positional arguments, and each class has a docstring."""
    event_type: Any = kind
    with pytest.raises(TypeError):
        event_type(NOW, "vat")
    assert (kind.__doc__ or "").strip()


def test_all_event_classes_are_listed() -> None:
    """The list of event classes is complete."""
    assert {
        "Event",
        "CallStarted",
        "CallFinished",
        "AttemptStarted",
        "AttemptFinished",
        "RetryScheduled",
        "PauseEnded",
        "RateLimitWaited",
        "BulkheadShrank",
        "BulkheadWaited",
        "CallRefused",
        "VendorPaused",
        "CircuitChanged",
        "CredentialRefreshed",
        "TokenRenewed",
        "TokenNotRenewed",
        "ConsentNeeded",
        "IdempotencyReplayed",
        "AnswerNotStored",
        "TenantRecordsNearBound",
        "CacheHit",
        "CacheMissed",
        "CacheRevalidated",
        "CacheSkipped",
        "StorageLost",
        "StorageRecovered",
        "StateSubstituted",
        "FailedOver",
        "Rehearsed",
        "Reloaded",
        "ReloadFailed",
        "TlsUnverified",
        "WebhookReceived",
        "WebhookRefused",
        "LogEntriesLost",
        "ConnectorChecked",
        "ObserverFailed",
    } == {kind.__name__ for kind in KINDS}
