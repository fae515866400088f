"""Webhook bodies and headers that a verifier accepts, and the events it reads from them."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest

from moorage import InvalidData, WebhookRejected
from tests.webhooks.own_schemes import own_scheme, signed_webhook
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import FORM, SECRET, SentWebhook, adyen_item, as_json, b64, mac
from tests.webhooks.verifiers import NOW, Receiver


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"a":NaN}', b"[" * 100_000, b"1" * 5_000, b"'a'"],
    ids=["nothing", "half", "no text", "mark", "nan", "deep", "long", "quotes"],
)
def test_unreadable_json_is_refused(body: bytes) -> None:
    """A correctly signed webhook with unreadable JSON is refused as malformed."""
    assert "malformed" == Receiver(own_scheme(), SECRET).reason_of_refusal(signed_webhook(body))


@pytest.mark.parametrize("body", [b"[]", b"7", b'"a"', b"null", b"true", b"[[[1]]]"])
def test_json_of_any_shape_is_an_event(body: bytes) -> None:
    """A signed JSON body that is not an object gives an event without fields."""
    (event,) = Receiver(own_scheme(id="{json:a.b}", data="a"), SECRET).verify(signed_webhook(body))
    assert json.loads(body) == event.payload
    assert event.data is None


def test_form_body_gives_its_fields_as_payload() -> None:
    """A form body gives its fields as payload; JSON in a form's field `payload` is parsed."""
    receiver = Receiver(own_scheme(type="{json:a}", body="either"), SECRET, replay_guard=False)
    (event,) = receiver.verify(signed_webhook(b"a=1&b=2&b=3&c="))
    assert {"a": "1", "b": ["2", "3"], "c": ""} == event.payload
    (event,) = receiver.verify(signed_webhook(b"payload=%7B%22a%22%3A%22x%22%7D"))
    assert "x" == event.type
    (event,) = receiver.verify(signed_webhook(b' {"a": "y"}'))
    assert "y" == event.type
    (event,) = receiver.verify(signed_webhook(b""))
    assert {} == event.payload
    receiver = Receiver(own_scheme(type="{json:a}", body="either"), SECRET)
    for body in (b"payload=x", b"payload=", b"a=%ff", b"\xff=1", b"&".join([b"a=1"] * 2_000)):
        assert "malformed" == receiver.reason_of_refusal(signed_webhook(body))
    assert "duplicated" == receiver.reason_of_refusal(signed_webhook(b"payload=1&payload=2"))
    form = own_scheme(signature="{form:sig}", signs="{form:said}", body="form")
    assert "duplicated" == Receiver(form, SECRET).reason_of_refusal(
        SentWebhook(headers={}, body=b"sig=a&sig=b&said=c")
    )
    signed_bytes = mac(SECRET, "é").hex().encode()
    for times in (1, 2):
        body = b"said=%C3%A9" + times * (b"&sig=" + signed_bytes)
        assert Receiver(form, SECRET).verify(SentWebhook(headers={}, body=body))


@pytest.mark.parametrize("kind", [FORM, "text/plain", "application/json", ""])
def test_no_header_decides_how_a_body_is_read(kind: str) -> None:
    """If only the Content-Type of a repeated webhook differs, it is still refused as a replay."""
    for name in ("github", "twilio", "slack", "stripe", "svix"):
        sender = BY_NAME[name]
        receiver = Receiver.of(sender, replay_guard=True)
        value = sender.send(NOW, 1)
        receiver.done(receiver.verify(value))
        other_request = attrs.evolve(value, headers=value.headers | {"Content-Type": kind})
        assert "replayed" == receiver.reason_of_refusal(other_request)


def test_invalid_braintree_documents_are_refused() -> None:
    """A correctly signed Braintree webhook with an unreadable Base64 document is refused."""
    receiver = Receiver.of(BY_NAME["braintree"])
    key = hashlib.sha1(SECRET.encode()).digest()  # noqa: S324 - the vendor's way
    odd_document = b64(b"\x0b<notification/>")
    for payload in ("A", b64(b"\xff"), "é", "!" + b64(b"<notification/>"), odd_document):
        signature = f"public|{mac(key, payload, 'sha1').hex()}"
        body = urlencode({"bt_signature": signature, "bt_payload": payload}).encode()
        with pytest.raises(WebhookRejected, match="is not an XML document") as excinfo:
            receiver.verify(SentWebhook(headers={"Content-Type": FORM}, body=body))
        assert "malformed" == excinfo.value.reason
    plain_text = b64(b"<notification/>")
    body = urlencode(
        {"bt_signature": f"public|{mac(key, plain_text, 'sha1').hex()}", "bt_payload": plain_text}
    ).encode()
    (event,) = receiver.verify(SentWebhook(headers={"Content-Type": FORM}, body=body))
    assert ("", None) == (event.type, event.time)
    assert {"document": "<notification/>"} == event.payload


def test_event_has_raw_body_and_no_payload_with_scheme_whose_body_is_raw() -> None:
    """If a scheme's body is `raw`, events have the raw body and no payload."""
    (event,) = Receiver(own_scheme(body="raw"), SECRET).verify(signed_webhook(b"\xff\x00"))
    assert (None, b"\xff\x00") == (event.payload, event.body)


@pytest.mark.parametrize("body", ["{}", {"a": 1}, None, 7])
def test_only_bytes_are_a_body(body: Any) -> None:
    """A decoded or parsed webhook body is refused; the error advises giving the raw bytes."""
    kind = type(body).__name__
    with pytest.raises(InvalidData, match=f"of type {kind}, not bytes") as excinfo:
        Receiver(own_scheme(), SECRET).verify({"headers": {}, "body": body})

    assert "body" == excinfo.value.field
    assert excinfo.value.remedy.startswith("Pass the raw body")


@pytest.mark.parametrize("wrap", [bytearray, memoryview])
def test_body_may_be_any_bytes_like_object(wrap: Any) -> None:
    """A webhook body may be any bytes-like object."""
    value = signed_webhook(b'{"a":1}')
    assert Receiver(own_scheme(), SECRET).verify(
        {"headers": value.headers, "body": wrap(value.body)}
    )


def test_headers_in_any_form() -> None:
    """Webhook headers may be mappings or pairs, with text, bytes or lists of values."""
    argument = signed_webhook(b'{"a":1}')
    name, value = "x-SIG", argument.headers["X-Sig"]
    receiver = Receiver(own_scheme(), SECRET, replay_guard=False)
    header_forms: list[Any] = [
        {name: value},
        [(name, value)],
        [(name.encode(), value.encode())],
        {name: [value, value]},
        {"Other": 7, name: f" {value}\t"},
        iter([(name, value)]),
    ]
    for headers in header_forms:
        assert receiver.verify({"headers": headers, "body": argument.body})
    assert "duplicated" == receiver.reason_of_refusal(
        {"headers": {name: [value, "x"]}, "body": argument.body}
    )
    unusable: list[Any] = [7, None, [7], {name: 7}, {7: "x"}, [("a",)]]
    for headers in unusable:
        kind = type(headers).__name__
        with pytest.raises(InvalidData, match=f"cannot be read from an? {kind}") as excinfo:
            receiver.verify({"headers": headers, "body": argument.body})
        assert "headers" == excinfo.value.field
        assert (
            "Pass a mapping of names to values, or pairs of a name and a value."
            == excinfo.value.remedy
        )


def test_half_of_a_surrogate_pair_is_refused() -> None:
    """A webhook with half of a surrogate pair in a header or field is refused as malformed."""
    stripe = BY_NAME["stripe"]
    value = stripe.send(NOW, 1)
    text = value.headers["Stripe-Signature"]
    for undecodable_header in (text.replace("t=", "t=\ud800"), text + "\ud800"):
        assert Receiver.of(stripe).reason_of_refusal(
            attrs.evolve(value, headers={"Stripe-Signature": undecodable_header})
        )
    items = [{"NotificationRequestItem": adyen_item(1, pspReference="\ud800")}]
    adyen = as_json({"notificationItems": items})
    assert "malformed" == Receiver.of(BY_NAME["adyen"]).reason_of_refusal(
        SentWebhook(headers={}, body=adyen)
    )
    fetched_scheme = own_scheme(algorithm="token", id="{json:id}", fetch="https://api.example/{id}")
    odd_request = SentWebhook(headers={"X-Sig": SECRET}, body=b'{"id":"tr_\\ud800"}')
    (event,) = Receiver(fetched_scheme, SECRET).verify(odd_request)
    assert "https://api.example/tr_%3F" == event.fetch
