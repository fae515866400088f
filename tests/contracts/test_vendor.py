"""Properties of every vendor of any kind."""

from typing import Any

import pytest

from moorage import InvalidData, WebhookEvent
from moorage.contracts.vendor import Vendor, extra_for, merged


def test_a_vendors_own_options() -> None:
    """Only what is meant for the vendor is taken."""
    extra: dict[str, dict[str, Any]] = {"twilio": {"MaxPrice": "0.1"}, "vonage": {"ttl": 1}}

    assert {"MaxPrice": "0.1"} == extra_for("twilio", extra)
    assert {} == extra_for("plivo", extra)


@pytest.mark.parametrize(
    "custom, field",
    [
        (7, "extra.twilio"),
        ({1: "x"}, "extra.twilio"),
        ({"a": {"b": [1, 0.1]}}, "extra.twilio.a.b[1]"),
        ({"a": b"x"}, "extra.twilio.a"),
        ({"a": [{"b": object()}]}, "extra.twilio.a[0].b"),
    ],
    ids=["a number", "no name", "a float", "bytes", "an object"],
)
def test_options_are_plain(custom: Any, field: str) -> None:
    """Anything else is refused, by its place."""
    with pytest.raises(InvalidData) as caught:
        extra_for("twilio", {"twilio": custom})

    assert field == caught.value.field


def test_plain_options() -> None:
    """Texts, whole numbers and the rest of JSON are taken, at every depth."""
    fields = {"a": [1, None, True, {"b": "x", "c": -7}]}

    assert fields == extra_for("twilio", {"twilio": fields})


def test_options_go_in_last() -> None:
    """Tables are joined at every depth; anything else is replaced."""
    body = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": 3}
    fields = {"a": {"c": {"g": 4}}, "e": [2], "f": {"h": 5}}

    assert {"a": {"b": 1, "c": {"d": 2, "g": 4}}, "e": [2], "f": {"h": 5}} == merged(body, fields)
    assert {"d": 2} == body["a"]["c"]  # type: ignore[index]


def test_most_vendors_say_nothing_by_webhook() -> None:
    """A vendor that reads no webhooks gives no events."""

    class Silent(Vendor):
        """Says nothing."""

    event = WebhookEvent(vendor="s", id="1", type="x", vendor_type="x")
    assert () == Silent().events(event, lambda: None)  # type: ignore[abstract, arg-type, return-value]
