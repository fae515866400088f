"""Properties of the vendors of all contracts."""

from typing import Any

import pytest

from moorage import InvalidData, WebhookEvent
from moorage.contracts.vendor import Vendor, extra_for, merged, part_key
from moorage.domain.idempotency.claims import checked_key


def test_vendor_gets_only_the_options_addressed_to_it() -> None:
    """Each vendor gets only the extra options that are addressed to it."""
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
def test_option_that_is_not_json_is_refused(custom: Any, field: str) -> None:
    """Extra options that are not JSON values are refused; the error has their path."""
    with pytest.raises(InvalidData) as excinfo:
        extra_for("twilio", {"twilio": custom})

    assert field == excinfo.value.field


def test_json_values_are_accepted_in_options_at_every_depth() -> None:
    """Strings, integers and other JSON values are accepted in options at every depth."""
    fields = {"a": [1, None, True, {"b": "x", "c": -7}]}

    assert fields == extra_for("twilio", {"twilio": fields})


def test_options_are_merged_last() -> None:
    """A vendor's extra options are merged into its tables last, and replace other values."""
    body: dict[str, Any] = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": 3}
    fields = {"a": {"c": {"g": 4}}, "e": [2], "f": {"h": 5}}

    assert {"a": {"b": 1, "c": {"d": 2, "g": 4}}, "e": [2], "f": {"h": 5}} == merged(body, fields)
    assert {"d": 2} == body["a"]["c"]


def test_vendor_that_reads_no_webhooks_returns_no_events() -> None:
    """A vendor that reads no webhooks returns no events."""

    class WebhooklessVendor(Vendor):
        """A vendor that sends no webhooks."""

    event = WebhookEvent(vendor="s", id="1", type="x", vendor_type="x")
    assert () == WebhooklessVendor().events(event, lambda: None)  # type: ignore[abstract, arg-type]  # it lacks the rest


@pytest.mark.parametrize("length", [1, 250, 253, 254, 255])
def test_keys_of_parts_are_valid(length: int) -> None:
    """Each part of a batch has a valid unique key, whatever the length of the batch's key."""
    batch_keys = ["k" * length, "k" * (length - 1) + "l"]
    part_keys = [part_key(key, number) for key in batch_keys for number in (1, 2, 12_345)]
    inner_keys = [part_key(key, 1) for key in part_keys]

    assert [*part_keys, *inner_keys] == [checked_key(key) for key in (*part_keys, *inner_keys)]
    assert 12 == len({*part_keys, *inner_keys})
    assert part_keys == [part_key(key, number) for key in batch_keys for number in (1, 2, 12_345)]


def test_key_of_part_is_batch_key_with_part_number() -> None:
    """The key of a part is the batch's key with the part's number, if that is short enough."""
    assert "news/7" == part_key("news", 7)
