"""Descriptions of events, for people and for log collectors."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.monitoring.health import HealthState
from moorage.domain.observation.call_events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    ending_of,
)
from moorage.domain.observation.events import (
    AnswerNotStored,
    BulkheadShrank,
    BulkheadWaited,
    CacheHit,
    CacheMissed,
    CacheRevalidated,
    CallRefused,
    CircuitChanged,
    ConnectorChecked,
    ConsentNeeded,
    FailedOver,
    LogEntriesLost,
    ObserverFailed,
    RateLimitWaited,
    ReloadFailed,
    RetryScheduled,
    StateSubstituted,
    StorageLost,
    TenantRecordsNearBound,
    TlsUnverified,
    TokenNotRenewed,
    VendorPaused,
    WebhookRefused,
)
from moorage.domain.resilience.circuit import CircuitState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.observation.events import Event

NAMES: Final[Mapping[str, Any]] = json.loads(
    files("moorage.adapters.observers").joinpath("telemetry_names.json").read_text("utf-8")
)
"""The registry of names: spans, events, metrics, attributes, and the alternative names."""

DEBUG: Final = 10
INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40

_LEVELS: Final[Mapping[type[Event], int]] = {
    **dict.fromkeys(
        (CallStarted, AttemptStarted, AttemptFinished, CacheHit, CacheMissed, CacheRevalidated),
        DEBUG,
    ),
    **dict.fromkeys(
        (
            BulkheadShrank,
            CallRefused,
            FailedOver,
            RetryScheduled,
            StateSubstituted,
            TenantRecordsNearBound,
            TlsUnverified,
            VendorPaused,
            WebhookRefused,
        ),
        WARNING,
    ),
    **dict.fromkeys(
        (
            AnswerNotStored,
            ConsentNeeded,
            LogEntriesLost,
            ObserverFailed,
            ReloadFailed,
            StorageLost,
            TokenNotRenewed,
        ),
        ERROR,
    ),
}


_HOLDERS: Final[Mapping[type[Event], str]] = {
    RateLimitWaited: "limit",
    RetryScheduled: "retry",
    BulkheadWaited: "bulkhead",
}
_HOLDER_OF_REFUSAL: Final[Mapping[str, str]] = {
    error: holder for holder, details in NAMES["held_by"].items() for error in details["errors"]
}
CIRCUIT_STATES: Final = {CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1}
CIRCUIT_OPEN: Final = 2


def holder_of(event: Event) -> str | None:
    """Return the reason why a call waits or is refused; None if the event has none."""
    if isinstance(event, CallRefused):
        return _HOLDER_OF_REFUSAL.get(event.error)
    return _HOLDERS.get(type(event))


def level_of(event: Event) -> int:
    """Return the log level of an event, as a number of the `logging` module."""
    level = _LEVELS.get(type(event))
    if level is not None:
        return level
    if isinstance(event, CallFinished):
        error, is_cancelled = ending_of(event)
        return INFO if error is None or is_cancelled else ERROR
    if isinstance(event, ConnectorChecked):
        return INFO if event.state == HealthState.HEALTHY else ERROR
    if isinstance(event, CircuitChanged):
        return WARNING if event.state is CircuitState.OPEN else INFO
    return INFO


def fields_of(event: Event) -> dict[str, str | int | float | bool]:
    """Return the fields of an event that are set, as numbers and strings."""
    fields = {
        field.name: _attribute_value(getattr(event, field.name))
        for field in attrs.fields(type(event))
    }
    return {name: value for name, value in fields.items() if value is not None}


def place_of(event: Event) -> str:
    """Return the service and operation of an event."""
    operation = event.operation
    return event.service if operation is None else f"{event.service} {operation}"


def _attribute_value(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return str(value.value)
    return str(value)
