"""A program that answers an operator's questions from exported spans only.

It knows the registry of telemetry names and nothing of moorage: its input is the JSON of spans as
the SDK of OpenTelemetry exports it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@attrs.frozen
class SpanEvent:
    """An event of a call's span: its name without prefix, its time and its attributes."""

    name: str
    at: float
    attributes: dict[str, Any]


@attrs.define(eq=False)
class ExportedCall:
    """The span of a call with its attempts' spans, or a span that has only events."""

    attributes: dict[str, Any]
    start: float
    end: float
    events: list[SpanEvent]
    is_call: bool
    attempts: list[ExportedCall] = attrs.field(factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.attributes.get(f"moorage.{name}")

    def of(self, name: str) -> Iterator[SpanEvent]:
        """Return the events with the given name."""
        return (event for event in self.events if event.name == name)


def answers(spans: Iterable[str]) -> dict[str, Any]:
    """Answer all questions about a run from its spans, as JSON."""
    calls, other_calls = _calls_of_spans(spans)
    changes = sorted(
        (
            (event.at, event.attributes, span)
            for span in (*calls, *other_calls)
            for event in span.of("CircuitChanged")
        ),
        key=lambda change: change[0],
    )
    automatic = _automatic_changes(changes)
    waits = _waits_of_calls(calls)
    by_limit = _sums((service, duration) for service, _, by, duration in waits if by == "limit")
    by_tenant = _sums((tenant, took) for _, tenant, by, took in waits if by == "limit")
    pauses = _sums((service, took) for service, _, by, took in waits if by == "pause")
    slots = _sums((service, took) for service, _, by, took in waits if by == "bulkhead")
    retries = Counter[str]()
    for call in calls:
        extras = sum("moorage.hedge" in attempt.attributes for attempt in call.attempts)
        retries[call["tenant"]] += max(0, len(call.attempts) - extras - 1)
    hedges = [
        attempt
        for call in calls
        for attempt in call.attempts
        if "moorage.hedge" in attempt.attributes
    ]
    failures = Counter(
        attempt.attributes["server.address"]
        for call in calls
        for attempt in call.attempts
        if (attempt.attributes.get("http.response.status_code") or 0) >= 500
    )
    by_hand: defaultdict[str, list[str]] = defaultdict(list)
    for _, attributes, _ in changes:
        if attributes["moorage.by_hand"]:
            by_hand[attributes["moorage.circuit"]].append(attributes["moorage.state"])
    limits = {name: took for name, took in by_limit.items() if not pauses[name]}
    return {
        "orders that may have been charged twice": _orders_with_two_effects(calls, "pay"),
        "orders that may have been booked twice": _orders_with_two_effects(calls, "erp"),
        "orders without a known outcome": _undecided_calls(calls, {"pay", "erp"}),
        "calls by service and outcome": dict(
            Counter(f"{call['service']} {call['outcome']}" for call in calls)
        ),
        "seconds of waiting by limit": limits,
        "limit that cost the most": max(by_limit, key=lambda name: by_limit[name]),
        "tenant that waited longest for limits": max(by_tenant, key=lambda name: by_tenant[name]),
        "seconds of the vendor's pauses at tax": pauses["tax"],
        "seconds of waiting for the bulkhead of stock": slots["stock"],
        "circuit that opened first": next(
            attributes["moorage.circuit"]
            for _, attributes, _ in changes
            if attributes["moorage.state"] == "open"
        ),
        "orders whose call opened a circuit": automatic["opened"],
        "orders whose probe opened a circuit again": automatic["opened again"],
        "orders whose probe closed a circuit": automatic["closed"],
        "circuits that a person changed": dict(by_hand),
        "calls refused by circuit": dict(
            Counter(
                call["service"]
                for call in calls
                for event in call.of("CallRefused")
                if event.attributes["moorage.held_by"] == "circuit"
            )
        ),
        "tenant with the most retries": retries.most_common(1)[0],
        "orders given up for the retry budget": sorted(
            call["request_id"]
            for call in calls
            for event in call.of("CallRefused")
            if event.attributes["moorage.held_by"] == "budget"
        ),
        "hedges sent and won": [
            len(hedges),
            sum(attempt["outcome"] == "done" for attempt in hedges),
        ],
        "orders answered from stored answers": sorted(
            call["request_id"] for call in calls if call["replayed"]
        ),
        "calls answered from the cache": sum(call["cached"] is True for call in calls),
        "host with the most server errors": failures.most_common(1)[0],
    }


def _calls_of_spans(spans: Iterable[str]) -> tuple[list[ExportedCall], list[ExportedCall]]:
    """Return the calls with their attempts in order of time, and all other spans."""
    by_id: dict[str, ExportedCall] = {}
    children: list[tuple[str, ExportedCall]] = []
    for text in spans:
        raw_value = json.loads(text)
        span = ExportedCall(
            raw_value["attributes"],
            _seconds(raw_value["start_time"]),
            _seconds(raw_value["end_time"]),
            [
                SpanEvent(
                    event["name"].removeprefix("moorage."),
                    _seconds(event["timestamp"]),
                    event["attributes"],
                )
                for event in raw_value["events"]
            ],
            raw_value["name"] == "moorage.call",
        )
        by_id[raw_value["context"]["span_id"]] = span
        if raw_value["parent_id"] is not None:
            children.append((raw_value["parent_id"], span))
    for parent, span in children:
        by_id[parent].attempts.append(span)
    child_ids = {id(span) for _, span in children}
    roots = sorted(
        (span for span in by_id.values() if id(span) not in child_ids),
        key=lambda span: span.start,
    )
    for root in roots:
        root.attempts.sort(key=lambda attempt: attempt.start)
    return [root for root in roots if root.is_call], [root for root in roots if not root.is_call]


def _waits_of_calls(calls: Iterable[ExportedCall]) -> list[tuple[str, str, str, float]]:
    """Return each wait of the calls, as service, tenant, reason and seconds."""
    calls = list(calls)
    pauses: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for call in calls:
        for event in call.of("VendorPaused"):
            pause_span = event.at, event.at + event.attributes["moorage.delay"]
            pauses[call["service"], call["tenant"]].append(pause_span)
    waits = []
    for call in calls:
        place = call["service"], call["tenant"]
        for event in call.events:
            held_by = event.attributes.get("moorage.held_by")
            if event.name == "BulkheadWaited":
                waits.append((*place, "bulkhead", event.attributes["moorage.delay"]))
            elif event.name in {"RateLimitWaited", "RetryScheduled"}:
                end_time = _end_of_wait(call, event)
                pause_ends = [end for begin, end in pauses[place] if begin <= event.at]
                pause_end = min(end_time, max([event.at, *pause_ends]))
                waits.append((*place, "pause", pause_end - event.at))
                waits.append((*place, str(held_by), end_time - pause_end))
    return waits


def _end_of_wait(call: ExportedCall, wait: SpanEvent) -> float:
    """Return the time of a call's next event: an attempt, another event, or its end."""
    index = call.events.index(wait)
    times = [attempt.start for attempt in call.attempts if attempt.start >= wait.at]
    return min([*times, *(event.at for event in call.events[index + 1 :]), call.end])


def _automatic_changes(
    changes: Iterable[tuple[float, dict[str, Any], ExportedCall]],
) -> dict[str, list[str]]:
    """Return the orders of calls that opened, reopened or closed circuits automatically."""
    changes_by_kind: dict[str, list[str]] = {"opened": [], "opened again": [], "closed": []}
    states: dict[str, str] = {}
    for _, attributes, span in changes:
        circuit, state = attributes["moorage.circuit"], attributes["moorage.state"]
        previous_state = states.get(circuit, "closed")
        states[circuit] = state
        if attributes["moorage.by_hand"] or state == "half_open":
            continue
        is_reopened = state == "open" and previous_state == "half_open"
        kind = "opened again" if is_reopened else "opened" if state == "open" else "closed"
        changes_by_kind[kind].append(span["request_id"])
    return {kind: sorted(orders) for kind, orders in changes_by_kind.items()}


def _orders_with_two_effects(calls: Iterable[ExportedCall], service: str) -> list[str]:
    """Return orders that may have had two effects: under two keys, or by two keyless calls."""
    effects: defaultdict[str, set[object]] = defaultdict(set)
    for call in calls:
        if call["service"] == service and any(
            attempt["outcome"] != "nothing" for attempt in call.attempts
        ):
            effects[call["request_id"]].add(call["idempotency_key"] or id(call))
    return sorted(order for order, order_effects in effects.items() if len(order_effects) > 1)


def _undecided_calls(calls: Iterable[ExportedCall], services: set[str]) -> list[str]:
    decided_calls: set[str] = set()
    unknown_calls: set[str] = set()
    for call in calls:
        if call["service"] in services:
            if call["outcome"] == "done" or (
                call["replayed"] and "error.type" not in call.attributes
            ):
                decided_calls.add(call["request_id"])
            elif call["outcome"] == "unknown":
                unknown_calls.add(call["request_id"])
    return sorted(unknown_calls - decided_calls)


def _sums(rows: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for name, seconds in rows:
        sums[name] += seconds
    return dict(sums)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
