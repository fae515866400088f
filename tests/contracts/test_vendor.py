"""Properties of vendors of every contract."""

from typing import Any

import pytest

from moorage import InvalidData, WebhookEvent
from moorage.contracts.vendor import Vendor, extra_for, merged


def test_options_of_a_vendor() -> None:
    """A vendor gets its own options only."""
    vendor_options: dict[str, dict[str, Any]] = {
        "twilio": {"MaxPrice": "0.1"},
        "vonage": {"ttl": 1},
    }

    assert {"MaxPrice": "0.1"} == extra_for("twilio", vendor_options)
    assert {} == extra_for("plivo", vendor_options)


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
    """Options that are not plain values are refused, with their path."""
    with pytest.raises(InvalidData) as excinfo:
        extra_for("twilio", {"twilio": custom})

    assert field == excinfo.value.field


def test_plain_options() -> None:
    """Texts, whole numbers and other JSON values are accepted at every depth."""
    fields = {"a": [1, None, True, {"b": "x", "c": -7}]}

    assert fields == extra_for("twilio", {"twilio": fields})


def test_options_are_merged_last() -> None:
    """Tables are merged at every depth; other values are replaced."""
    body = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": 3}
    fields = {"a": {"c": {"g": 4}}, "e": [2], "f": {"h": 5}}

    assert {"a": {"b": 1, "c": {"d": 2, "g": 4}}, "e": [2], "f": {"h": 5}} == merged(body, fields)
    assert {"d": 2} == body["a"]["c"]  # type: ignore[index]


def test_vendor_without_webhooks() -> None:
    """A vendor that reads no webhooks returns no events."""

    class Silent(Vendor):
        """Says nothing."""

    event = WebhookEvent(vendor="s", id="1", type="x", vendor_type="x")
    assert () == Silent().events(event, lambda: None)  # type: ignore[abstract, arg-type]
