"""Timestamps of webhooks: how they are read, and the tolerance for them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from moorage.domain.webhooks.choices import TimeForm
from moorage.domain.webhooks.events import read_time
from tests.webhooks.own_schemes import hex_signature, own_scheme, signed_webhook
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import SECRET
from tests.webhooks.verifiers import NOW, Receiver


def test_a_time_that_is_no_text_is_refused() -> None:
    """If a scheme takes the whole body as timestamp, a body that is not text is refused."""
    scheme = own_scheme(timestamp="{body}", tolerance=300)
    assert "malformed" == Receiver(scheme, SECRET).reason_of_refusal(signed_webhook(b"\xff"))


def test_webhook_signature_with_two_different_timestamps_is_refused() -> None:
    """A webhook signature with two different timestamps is refused, in either order."""
    stripe = BY_NAME["stripe"]
    value = stripe.send(NOW, 1)
    text = value.headers["Stripe-Signature"]
    for fields in (f"t=1,{text}", f"{text},t=1"):
        spoiled_request = attrs.evolve(value, headers={"Stripe-Signature": fields})
        assert "duplicated" == Receiver.of(stripe).reason_of_refusal(spoiled_request)
    same_request = attrs.evolve(value, headers={"Stripe-Signature": f"{text},{text}"})
    assert Receiver.of(stripe).verify(same_request)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_times_of_events_are_in_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event's time without a zone is in UTC, in any local time zone."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        read = [read_time(f"2023-11-14T22:13:20{end}", TimeForm.ISO) for end in ("", "+01:00")]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert ["2023-11-14T22:13:20+00:00", "2023-11-14T21:13:20+00:00"] == [
        item and item.isoformat() for item in read
    ]


@pytest.mark.parametrize("skew, reason", [(60, None), (-60, None), (61, "future"), (-61, "stale")])
def test_time_must_be_within_the_tolerance(skew: int, reason: str | None) -> None:
    """A signed webhook time may differ from the present by at most the tolerance."""
    scheme = own_scheme(
        signs="{header:X-At}{body}",
        timestamp="{header:X-At}",
        timestamp_form="iso",
        tolerance=60,
    )
    text = (NOW + timedelta(seconds=skew)).isoformat()
    value = signed_webhook(
        b"{}", lambda body: hex_signature(text.encode() + body), **{"X-At": text}
    )
    receiver = Receiver(scheme, SECRET)

    if reason is None:
        assert receiver.verify(value)
    else:
        assert reason == receiver.reason_of_refusal(value)


@pytest.mark.parametrize("skew, reason", [(60, None), (61, "future"), (-61, "stale")])
def test_date_of_http_is_a_signed_time(skew: int, reason: str | None) -> None:
    """The signed time may be the date in the headers of the request."""
    scheme = own_scheme(
        signs="{header:Date}{body}", timestamp="{header:Date}", timestamp_form="http", tolerance=60
    )
    moment = NOW + timedelta(seconds=skew)
    text = moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
    value = signed_webhook(b"{}", lambda body: hex_signature(text.encode() + body), Date=text)
    receiver = Receiver(scheme, SECRET)

    if reason is None:
        assert receiver.verify(value)
    else:
        assert reason == receiver.reason_of_refusal(value)


@pytest.mark.parametrize(
    "text, form, expected",
    [
        ("1700000000", "seconds", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("1700000000000", "milliseconds", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T23:13:20+01:00", "iso", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T22:13:20", "iso", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("Tue, 14 Nov 2023 22:13:20 GMT", "http", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("tue, 14 nov 2023 22:13:20 gmt", "http", None),
        ("Wed, 14 Nov 2023 22:13:20 GMT", "http", None),
        ("Tuesday, 14-Nov-23 22:13:20 GMT", "http", None),
        ("1700000000", "http", None),
        ("yesterday", "iso", None),
        ("inf", "seconds", None),
        ("0001-01-01T00:00:00+14:00", "iso", None),
        ("1700000000".zfill(40), "seconds", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("1700000000".zfill(41), "seconds", None),
        ("9" * 41, "seconds", None),
        (None, "seconds", None),
    ],
)
def test_times_of_events(text: str | None, form: str, expected: datetime | None) -> None:
    """An event's time that cannot be read is None."""
    assert expected == read_time(text, TimeForm(form))
