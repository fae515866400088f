"""The webhook scheme that signs all fields but one in sorted order, as Vonage does."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from moorage import ConfigurationError, WebhookScheme
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import FORM, SECRET, URL, SentWebhook, stamp
from tests.webhooks.verifiers import NOW, Receiver

FIELDS = {"messageId": "0A1", "status": "delivered", "timestamp": stamp(NOW)}


def signed_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with their signature in lower-case hexadecimal."""
    content = "".join(f"&{name}={value}" for name, value in sorted(fields.items()))
    sig = hmac.new(SECRET.encode(), content.encode(), hashlib.sha256).hexdigest()
    return fields | {"sig": sig}


def as_json(fields: object) -> SentWebhook:
    """Return a webhook with the given fields as its JSON body."""
    return SentWebhook(headers={}, body=json.dumps(fields).encode())


def receiver(**options: Any) -> Receiver:
    """Return a receiver of Vonage webhooks."""
    return Receiver.of(BY_NAME["vonage"], **options)


def test_json_form_and_query_are_equivalent() -> None:
    """A Vonage receipt is read alike from JSON, a form, or a URL without other parameters."""
    fields = signed_fields(FIELDS)
    form = SentWebhook(headers={"Content-Type": FORM}, body=urlencode(fields).encode())
    query = SentWebhook(headers={}, body=b"", url=f"{URL}&{urlencode(fields)}", method="GET")
    reports = [receiver().verify(sent_request)[0] for sent_request in (as_json(fields), form)]

    assert ["0A1.delivered", "0A1.delivered"] == [event.id for event in reports]
    assert "signature" == receiver().reason_of_refusal(query)
    single_request = SentWebhook(
        headers={}, body=b"", url=f"https://a.example/?{urlencode(fields)}", method="GET"
    )
    assert "message.delivered" == receiver().verify(single_request)[0].type


@pytest.mark.parametrize("write", [str.upper, str.lower], ids=["capitals", "small"])
def test_vonage_signature_may_be_in_upper_or_lower_case(write: Any) -> None:
    """A Vonage signature may be in upper or lower case, but not mixed."""
    fields = signed_fields(FIELDS)
    signed = fields | {"sig": write(fields["sig"])}
    mixed_case_event = fields | {"sig": fields["sig"][:32].upper() + fields["sig"][32:].lower()}

    assert receiver().verify(as_json(signed))
    assert "signature" == receiver().reason_of_refusal(as_json(mixed_case_event))


@pytest.mark.parametrize(
    "fields",
    [
        ["a", "b"],
        FIELDS | {"a&b": "1"},
        FIELDS | {"a=b": "1"},
        FIELDS | {"ä": "1"},
        FIELDS | {"a": None},
        FIELDS | {"a": ["1"]},
        FIELDS | {"a": {"b": "1"}},
    ],
    ids=str,
)
def test_ambiguous_fields_are_refused(fields: Any) -> None:
    """A Vonage webhook whose fields are not a flat table of plain values is refused."""
    value = signed_fields(fields) if isinstance(fields, dict) else fields

    assert receiver().reason_of_refusal(as_json(value)) in {"malformed", "missing"}


def test_vonage_webhook_with_a_list_is_refused() -> None:
    """A Vonage webhook with a list in place of fields is refused."""
    scheme = WebhookScheme(name="own", signature="{header:X-Sig}", signs="{pairs:sig}")
    sent_request = SentWebhook(headers={"X-Sig": "00"}, body=b"[1]")

    assert "malformed" == Receiver(scheme, SECRET).reason_of_refusal(sent_request)


def test_a_time_that_is_no_field_is_not_signed() -> None:
    """A scheme that signs only its fields cannot read the timestamp from a header."""
    with pytest.raises(ConfigurationError, match="that the signature does not cover"):
        WebhookScheme(
            name="own",
            signature="{json:sig}",
            signs="{pairs:sig}",
            timestamp="{header:X-Time}",
            tolerance=300,
        )
