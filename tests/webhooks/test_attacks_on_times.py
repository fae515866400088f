"""Webhooks with times and numbers that no genuine sender writes."""

from __future__ import annotations

import attrs
import pytest

from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import (
    SECRET,
    SentWebhook,
    mac,
    paypal,
    stamp,
)
from tests.webhooks.verifiers import NOW, Receiver

STRIPE = BY_NAME["stripe"]


@pytest.mark.parametrize(
    "text",
    [
        "-1", "+1", "1_0", "1e9", "1.0", "0x10", " ", "NaN", "inf", "9" * 40, "9" * 41, "9" * 5_000,
        "99999999999999", "\u0661\u0662", "\u00b2\u00b3", "\uff11\uff12", "1,2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["stripe", "slack", "discord", "hubspot", "standard-webhooks"])
def test_invalid_timestamps_are_refused(name: str, text: str) -> None:
    """A webhook's timestamp is refused unless it is a whole number near the current time."""
    sender = BY_NAME[name]
    sent_request = sender.send(NOW, 1)
    sent_timestamp = {
        "hubspot": str(int(NOW.timestamp() * 1000)),
    }.get(name, stamp(NOW))
    headers = {
        header: value.replace(sent_timestamp, text, 1) if header != "webhook-signature" else value
        for header, value in sent_request.headers.items()
    }
    assert headers != sent_request.headers
    assert Receiver.of(sender).reason_of_refusal(attrs.evolve(sent_request, headers=headers)) in {
        "malformed",
        "stale",
        "future",
        "missing",
    }


@pytest.mark.parametrize(
    "text, reason",
    [
        ("0001-01-01T00:00:00+14:00", "malformed"),
        ("9999-12-31T23:59:59-14:00", "malformed"),
        ("1970-01-01T00:00:00Z", "stale"),
        ("9999-12-31T00:00:00Z", "future"),
        ("2031-13-01T00:00:00Z", "malformed"),
        ("2031-05-06T07:08:09Z\n", "malformed"),
        ("now", "malformed"),
        ("-2031-05-06T07:08:09Z", "malformed"),
    ],
)
def test_dates_that_overflow(text: str, reason: str) -> None:
    """A webhook whose date is beyond the calendar is refused without an overflow error."""
    sent_request = paypal(NOW, 1)
    headers = sent_request.headers | {"PAYPAL-TRANSMISSION-TIME": text}
    assert reason == Receiver.of(BY_NAME["paypal"]).reason_of_refusal(
        attrs.evolve(sent_request, headers=headers)
    )


@pytest.mark.parametrize(
    "value", ["true", "null", "[]", "1e400", "-1", "1" * 39, "1" * 4_000, "1.5", '"1"', "{}", "NaN"]
)
def test_numbers_in_a_body_that_are_no_time(value: str) -> None:
    """A time in a signed webhook body is refused unless it is a plain number near the present."""
    body = f'{{"type":"a","action":"b","webhookTimestamp":{value}}}'.encode()
    sent_request = SentWebhook(headers={"Linear-Signature": mac(SECRET, body).hex()}, body=body)
    assert Receiver.of(BY_NAME["linear"]).reason_of_refusal(sent_request) in {
        "malformed",
        "missing",
        "stale",
    }


def test_huge_numbers_in_an_event() -> None:
    """If a signed event's creation time is invalid, the event is returned without a time."""
    for value in ("1e400", "-1e400", "9" * 4_000, "true", '"\\ud800"', "[]", "-62135596801"):
        body = f'{{"id":"evt","type":"a","created":{value}}}'.encode()
        signature = mac(SECRET, stamp(NOW).encode() + b"." + body).hex()
        text = f"t={stamp(NOW)},v1={signature}"
        for is_guarded in (True, False):
            receiver = Receiver.of(STRIPE, replay_guard=is_guarded)
            (event,) = receiver.verify(SentWebhook(headers={"Stripe-Signature": text}, body=body))
            assert event.time is None
