"""Push notifications: errors for invalid values, and outcomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from moorage import errors
from moorage.contracts.push import (
    BrowserSubscription,
    DeviceToken,
    PushMessage,
    PushReceipt,
    PushTopic,
    outcome_of,
)
from moorage.domain.values.result import Result

TO = DeviceToken("token")


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"title": None}, "title"),
        ({"title": " "}, "title"),
        ({"to": "token"}, "to"),
        ({"data": {"a": 1}}, "data"),
        ({"badge": -1}, "badge"),
        ({"image": "http://a.example/1.png"}, "image"),
        ({"link": "https://a.example/a b"}, "link"),
        ({"link": "https://["}, "link"),
        ({"link": "https://a.example/1", "data": {"link": "x"}}, "data.link"),
        ({"priority": "urgent"}, "priority"),
        ({"time_to_live": timedelta(seconds=-1)}, "time_to_live"),
        ({"silent": True}, "title"),
        ({"silent": 1}, "silent"),
        ({"title": None, "silent": True, "sound": "default"}, "sound"),
    ],
)
def test_invalid_notifications_are_refused(fields: dict[str, Any], field: str) -> None:
    """A notification that no device could receive is refused; the error has the field's name."""
    with pytest.raises(errors.InvalidData) as excinfo:
        PushMessage(**dict[str, Any](to=TO, title="T") | fields)

    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "make", [lambda: DeviceToken("a b"), lambda: PushTopic("/topics/a"), lambda: PushTopic("")]
)
def test_invalid_recipients_are_refused(make: Any) -> None:
    """A device token with spaces, and a topic with forbidden characters, are refused."""
    with pytest.raises(errors.InvalidData):
        make()


@pytest.mark.parametrize("auth", ["", "a", "AAAA", "ä", "A" * 21, None])
def test_invalid_keys_are_refused(auth: Any) -> None:
    """A subscription key that does not decode to the right number of bytes is refused."""
    with pytest.raises(errors.InvalidData, match="auth"):
        BrowserSubscription(endpoint="https://a.example/1", p256dh="B" + "A" * 86, auth=auth)


@pytest.mark.parametrize(
    "error, outcome",
    [
        (None, "accepted"),
        (errors.DeviceGone("x"), "gone"),
        (errors.RateLimitExceeded("x"), "throttled"),
        (errors.CircuitBreakerOpen("x"), "throttled"),
        (errors.ConnectionFailed("x", may_have_been_processed=False), "throttled"),
        (errors.ConnectionFailed("x"), "unknown"),
        (errors.VendorFailed("x"), "unknown"),
        (errors.OutcomeUnknown("x"), "unknown"),
        (errors.IdempotencyInProgress("x"), "unknown"),
        (errors.StorageUnavailable("x"), "unknown"),
        (ValueError("x"), "unknown"),
        (errors.InvalidRequest("x"), "refused"),
        (errors.AuthenticationFailed("x"), "refused"),
    ],
)
def test_only_receipt_counts_as_accepted(error: Exception | None, outcome: str) -> None:
    """Only a receipt means accepted; a failure that may hide a success means an unknown outcome."""
    result = Result(PushReceipt(ref=None)) if error is None else Result(error=error)

    assert outcome == outcome_of(result)
