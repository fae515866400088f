"""Custom schemes, allowed bodies, and outgoing webhooks."""

from __future__ import annotations

import functools
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    StorageUnavailable,
    WebhookRejected,
    WebhookReply,
    WebhookScheme,
    WebhookSigner,
)
from moorage.adapters.webhook_secrets import generate_webhook_secret
from moorage.domain.webhooks.algorithms import WebhookEncoding, decoded_as
from moorage.domain.webhooks.choices import TimeForm
from moorage.domain.webhooks.events import read_time
from moorage.domain.webhooks.presets import preset
from moorage.domain.webhooks.public_keys import read_key
from moorage.domain.webhooks.replies import reply_to
from moorage.domain.webhooks.template import Template
from tests.webhooks import keys
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import FORM, SECRET, SentWebhook, adyen_item, as_json, b64, mac
from tests.webhooks.world import NOW, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

OWN: dict[str, Any] = {"name": "own", "signature": "{header:X-Sig}"}


def own_scheme(**fields: Any) -> WebhookScheme:
    """A custom scheme."""
    return WebhookScheme(**OWN | fields)


def hexed(body: bytes) -> str:
    """As the scheme above signs."""
    return mac(SECRET, body).hex()


def signed_webhook(
    body: bytes, write: Callable[[bytes], str] = hexed, **headers: str
) -> SentWebhook:
    """A body signed as the scheme above says."""
    return SentWebhook(headers={"X-Sig": write(body)} | headers, body=body)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"signature": ()},
        {"signature": "constant"},
        {"signature": 7},
        {"signs": "nothing of it"},
        {"signs": ()},
        {"signs": "{body"},
        {"signs": "{body!r}"},
        {"signs": "{cookie:a}"},
        {"signs": "{header}"},
        {"signs": "{body:x}"},
        {"prefix": "{v"},
        {"algorithm": "md5"},
        {"encoding": "rot13"},
        {"secret_form": "x"},
        {"timestamp_form": "x"},
        {"body": "yaml"},
        {"handshake": "x"},
        {"tolerance": 300},
        {"timestamp": "{header:X-Time}"},
        {"timestamp": "{header:X-Time}", "tolerance": 300},
        {"timestamp": "{header:X-Time}", "tolerance": 0},
        {"timestamp": "{header:X-Time}", "tolerance": 300, "algorithm": "token"},
        {"timestamp": "{json:at}", "tolerance": 300, "signs": "{json:id}"},
        {"certificate": "{json:url}"},
        {"certificate_url": "https://a/"},
        {"certificate": "{json:url}", "certificate_url": "http://a/.*"},
        {"certificate": "{json:url}", "certificate_url": "https://a/("},
        {"each_signed": True},
    ],
    ids=repr,
)
def test_a_scheme_that_protects_nobody_is_refused(fields: dict[str, Any]) -> None:
    """A scheme that cannot be read, or that nothing vouches for, is refused."""
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        own_scheme(**fields)
    assert excinfo.value.remedy


def test_a_scheme_is_a_value() -> None:
    """Equal schemes are equal, and their `repr` shows the headers they read."""
    assert own_scheme() == own_scheme()
    assert own_scheme() != own_scheme(signs="{url}{body}")
    assert hash(own_scheme()) == hash(own_scheme())
    assert "'{header:X-Sig}'" in repr(own_scheme())
    assert own_scheme(signs=Template("{body}")) == own_scheme()
    assert Template("{body}") != "{body}"
    assert own_scheme(types=[("a", "b")], requires=[("{header:X-V}", "2")]) == own_scheme(
        types={"a": "b"}, requires={"{header:X-V}": "2"}
    )


def test_braces_and_literals() -> None:
    """A brace is written as two, and a type may be a constant."""
    scheme = own_scheme(signs="{{{body}}}", type="thing.changed", id="{json:a}.{json:b?}")
    receiver = Receiver(scheme, SECRET)
    for value in (b"true", b"false"):
        body = b'{"a": 1.5, "b": %s}' % value
        (event,) = receiver.verify(
            SentWebhook(headers={"X-Sig": mac(SECRET, b"{%s}" % body).hex()}, body=body)
        )
        assert ("thing.changed", f"1.5.{value.decode()}") == (event.type, event.id)
    body = b'{"c": {}}'
    (bare_event,) = receiver.verify(
        SentWebhook(headers={"X-Sig": mac(SECRET, b"{%s}" % body).hex()}, body=body)
    )
    assert 64 == len(bare_event.id)


def signature_of(write: Callable[[bytes], str], name: str, body: bytes) -> str:
    """A signature by this hash, in this writing."""
    return write(mac(SECRET, body, name))


@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_every_hash_in_every_encoding(algorithm: str, encoding: str) -> None:
    """A signature is accepted in its scheme's encoding, and in no other."""
    scheme = own_scheme(algorithm=algorithm, encoding=encoding)
    ways: dict[str, Callable[[bytes], str]] = {
        "hex": bytes.hex,
        "base64": b64,
        "base64url": keys.url64,
    }
    name = algorithm.removeprefix("hmac-")
    for way, write in ways.items():
        receiver = Receiver(scheme, SECRET)
        value = signed_webhook(b'{"a":1}', functools.partial(signature_of, write, name))
        if way == encoding:
            assert receiver.verify(value)
        elif value.headers["X-Sig"] != ways[encoding](mac(SECRET, value.body, name)):
            assert "signature" == receiver.reason_of_refusal(value)


def test_every_public_key() -> None:
    """RSA in both paddings, Ed25519 and P-256, with keys in every form."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - used here only
    from cryptography.hazmat.primitives.asymmetric import ec, padding  # noqa: PLC0415 - the same

    body = b'{"a":1}'
    sha = hashes.SHA256()
    pss = padding.PSS(padding.MGF1(sha), 32)
    numbers = keys.rsa_key().public_key().public_numbers()
    rsa_jwk = json.dumps(
        {
            "kty": "RSA",
            "n": keys.url64(numbers.n.to_bytes(256, "big")),
            "e": keys.url64(numbers.e.to_bytes(3, "big")),
        }
    )
    ed_jwk = json.dumps(
        {"kty": "OKP", "crv": "Ed25519", "x": keys.url64(keys.ed().public_key().public_bytes_raw())}
    )
    algorithm_keys = {
        "rsa-v1_5-sha256": (rsa_jwk, keys.rsa_key().sign(body, padding.PKCS1v15(), sha)),
        "rsa-pss-sha256": (keys.usual_certificate(), keys.rsa_key().sign(body, pss, sha)),
        "ed25519": (ed_jwk, keys.ed().sign(body)),
        "ecdsa-p256-sha256": (keys.jwk(keys.curve()), keys.curve().sign(body, ec.ECDSA(sha))),
    }
    for algorithm, (key, signature) in algorithm_keys.items():
        scheme = own_scheme(algorithm=algorithm, encoding="base64")
        receiver = Receiver(scheme, key, replay_guard=False)
        good_request, short_request = (
            SentWebhook(headers={"X-Sig": b64(item)}, body=body)
            for item in (signature, signature[:-1])
        )
        assert receiver.verify(good_request)
        assert "signature" == receiver.reason_of_refusal(short_request)
        assert "signature" == receiver.reason_of_refusal(
            attrs.evolve(good_request, headers={"X-Sig": "é"})
        )
        capitals = attrs.evolve(good_request, headers={"X-Sig": signature.hex().upper()})
        either_scheme = own_scheme(algorithm=algorithm, encoding="hex-any-case")
        assert Receiver(either_scheme, key, replay_guard=False).verify(capitals)
        for other_algorithm in algorithm_keys:
            if other_algorithm[:3] != algorithm[:3]:
                with pytest.raises(ConfigurationError, match=f"not a key for {other_algorithm}"):
                    Receiver(own_scheme(algorithm=other_algorithm), key)


@pytest.mark.parametrize("algorithm", ["jwt-rs256", "jwt-eddsa"])
def test_tokens_of_other_kinds(algorithm: str) -> None:
    """Tokens are signed with RSA and Ed25519 too; a signature of another length is none."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - used here only
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 - the same

    name = {"jwt-rs256": "RS256", "jwt-eddsa": "EdDSA"}[algorithm]
    text = f"{keys.url64(as_json({'alg': name}))}.{keys.url64(as_json({'iat': 1}))}"
    if name == "RS256":
        key = keys.rsa_key().public_key().public_bytes(keys.PEM, keys.PUBLIC).decode()
        new_bytes = keys.rsa_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        key, new_bytes = keys.raw_hex(keys.ed()), keys.ed().sign(text.encode())
    scheme = own_scheme(signature="{header:Authorization}", algorithm=algorithm)
    receiver = Receiver(scheme, key, replay_guard=False)
    headers = {"Authorization": f"Bearer {text}.{keys.url64(new_bytes)}"}
    (event,) = receiver.verify(SentWebhook(headers=headers, body=b"{}"))

    assert event.weak
    assert frozenset() == event.covers
    short_token = {"Authorization": f"{text}.{keys.url64(new_bytes[:-2])}"}
    assert "signature" == receiver.reason_of_refusal(SentWebhook(headers=short_token, body=b"{}"))


def test_invalid_public_keys_are_refused() -> None:
    """Private keys, weak keys, other curves and other texts are refused."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - used here only
    from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519  # noqa: PLC0415 - the same

    private = keys.curve().private_bytes(
        keys.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    short_key = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - on purpose
    other_key = x25519.X25519PrivateKey.generate().public_key()
    for key in (
        private,
        short_key.public_bytes(keys.PEM, keys.PUBLIC),
        other_key.public_bytes(keys.PEM, keys.PUBLIC),
        b"",
        b"{}",
        b'{"kty":"EC","crv":"P-384"}',
        b"[" * 100_000,
        b"{" + b'"a":[' * 50_000,
        b"-----BEGIN CERTIFICATE-----",
        b"AAAA",
        b"x" * 64,
        "é".encode() * 40,
    ):
        assert read_key(key) is None
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(ConfigurationError):
        Receiver(
            own_scheme(algorithm="ecdsa-p256-sha256"), p384.public_bytes(keys.PEM, keys.PUBLIC)
        )


def test_signatures_have_one_writing() -> None:
    """Base64 and hex that a lax reader would take for the same bytes are not."""
    assert b"\x00" == decoded_as(WebhookEncoding.BASE64, "AA==")
    for text in ("AB==", "AA=", "AA", "AA==\n", " AA==", "AA= =", "AA==AA==", "", "A", "é"):
        assert decoded_as(WebhookEncoding.BASE64, text) is None
    assert b"\xab" == decoded_as(WebhookEncoding.HEX, "ab")
    for text in ("AB", "a", "ab ", "0xab", ""):
        assert decoded_as(WebhookEncoding.HEX, text) is None
    assert b"\xfb\xff" == decoded_as(WebhookEncoding.BASE64URL, "-_8")
    for text in ("-_8=", "+/8", "-_9"):
        assert decoded_as(WebhookEncoding.BASE64URL, text) is None


def test_a_digest_may_be_what_is_signed() -> None:
    """A signature over the body's digest covers the body."""
    import hashlib  # noqa: PLC0415 - used here only

    scheme = own_scheme(signs="{method} {body_sha256}")
    digest = hashlib.sha256(b"{}").hexdigest()
    receiver = Receiver(scheme, SECRET)
    assert receiver.verify(signed_webhook(b"{}", lambda _: mac(SECRET, f"POST {digest}").hex()))
    assert not scheme.weak


def test_keys_may_be_named_in_a_header() -> None:
    """A scheme may name the header with the key's name; other keys are not tried."""
    scheme = own_scheme(algorithm="ed25519", key_id="{header:X-Key}")
    key_members = {"kty": "OKP", "crv": "Ed25519", "kid": "k1"}
    jwk = json.dumps(key_members | {"x": keys.url64(keys.ed().public_key().public_bytes_raw())})
    receiver = Receiver(scheme, jwk, replay_guard=False)
    body = b"{}"

    assert receiver.verify(
        signed_webhook(body, lambda body: keys.ed().sign(body).hex(), **{"X-Key": "k1"})
    )
    other_request = signed_webhook(body, lambda body: keys.ed().sign(body).hex(), **{"X-Key": "k2"})
    assert "signature" == receiver.reason_of_refusal(other_request)


# --- bodies and headers -------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"a":NaN}', b"[" * 100_000, b"1" * 5_000, b"'a'"],
    ids=["nothing", "half", "no text", "mark", "nan", "deep", "long", "quotes"],
)
def test_unreadable_json_is_refused(body: bytes) -> None:
    """A genuine signature over an unreadable body is refused."""
    assert "malformed" == Receiver(own_scheme(), SECRET).reason_of_refusal(signed_webhook(body))


@pytest.mark.parametrize("body", [b"[]", b"7", b'"a"', b"null", b"true", b"[[[1]]]"])
def test_json_of_any_shape_is_an_event(body: bytes) -> None:
    """JSON that is no object has no fields, and is an event all the same."""
    (event,) = Receiver(own_scheme(id="{json:a.b}", data="a"), SECRET).verify(signed_webhook(body))
    assert json.loads(body) == event.payload
    assert event.data is None


def test_forms() -> None:
    """A form is its fields; JSON in its field `payload` is read as such."""
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
    """A replay with another Content-Type is recognised, since that header is not signed."""
    for name in ("github", "twilio", "slack", "stripe", "svix"):
        sender = BY_NAME[name]
        receiver = Receiver.of(sender, replay_guard=True)
        value = sender.send(NOW, 1)
        receiver.done(receiver.verify(value))
        other_request = attrs.evolve(value, headers=value.headers | {"Content-Type": kind})
        assert "replayed" == receiver.reason_of_refusal(other_request)


def test_invalid_braintree_documents_are_refused() -> None:
    """A signed text that is no base64 document is refused."""
    import hashlib  # noqa: PLC0415 - used here only
    from urllib.parse import urlencode  # noqa: PLC0415 - the same

    receiver = Receiver.of(BY_NAME["braintree"])
    key = hashlib.sha1(SECRET.encode()).digest()  # noqa: S324 - the vendor's way
    odd_document = b64(b"\x0b<notification/>")
    for payload in ("A", b64(b"\xff"), "é", "!" + b64(b"<notification/>"), odd_document):
        signature = f"public|{mac(key, payload, 'sha1').hex()}"
        body = urlencode({"bt_signature": signature, "bt_payload": payload}).encode()
        with pytest.raises(WebhookRejected, match="enclosed document cannot be read") as excinfo:
            receiver.verify(SentWebhook(headers={"Content-Type": FORM}, body=body))
        assert "malformed" == excinfo.value.reason
    plain_text = b64(b"<notification/>")
    body = urlencode(
        {"bt_signature": f"public|{mac(key, plain_text, 'sha1').hex()}", "bt_payload": plain_text}
    ).encode()
    (event,) = receiver.verify(SentWebhook(headers={"Content-Type": FORM}, body=body))
    assert ("", None) == (event.type, event.time)
    assert {"document": "<notification/>"} == event.payload


def test_raw_bodies() -> None:
    """A body marked as raw is passed on unread."""
    (event,) = Receiver(own_scheme(body="raw"), SECRET).verify(signed_webhook(b"\xff\x00"))
    assert (None, b"\xff\x00") == (event.payload, event.body)


@pytest.mark.parametrize("body", ["{}", {"a": 1}, None, 7])
def test_only_bytes_are_a_body(body: Any) -> None:
    """A decoded or parsed body is refused, with advice."""
    kind = type(body).__name__
    with pytest.raises(InvalidData, match=f"of type {kind}, not bytes") as excinfo:
        Receiver(own_scheme(), SECRET).verify({"headers": {}, "body": body})

    assert "body" == excinfo.value.field
    assert excinfo.value.remedy.startswith("Give the raw body")


@pytest.mark.parametrize("wrap", [bytearray, memoryview])
def test_other_bytes_are_bytes(wrap: Any) -> None:
    """Buffers are taken for the bytes that they hold."""
    value = signed_webhook(b'{"a":1}')
    assert Receiver(own_scheme(), SECRET).verify(
        {"headers": value.headers, "body": wrap(value.body)}
    )


def test_headers_in_any_form() -> None:
    """Mappings, pairs, bytes and lists of values are all headers; other things are not."""
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
        assert "Give a mapping of names to values, or pairs of them." == excinfo.value.remedy


def test_missing_event_type() -> None:
    """Without a placeholder for the type, an event's type is empty."""
    (event,) = Receiver(own_scheme(), SECRET).verify(signed_webhook(b'{"type": "a"}'))
    assert ("", "") == (event.type, event.vendor_type)


def test_signature_error_names_the_url_if_signed() -> None:
    """The remedy names the secret and the body, and the URL if that is signed."""
    address = "https://a.example/in"
    for signs, is_named in (("{body}", False), ("{url}{body}", True)):
        receiver = Receiver(own_scheme(signs=signs), "another secret")
        with pytest.raises(WebhookRejected, match="No secret made") as excinfo:
            receiver.verify(signed_webhook(b"{}"), url=address)
        assert "check the secret, give the body as it was received" in excinfo.value.remedy
        assert is_named == ("the URL as the vendor was told it" in excinfo.value.remedy)


def test_a_time_that_is_no_text_is_refused() -> None:
    """If the whole body is the time, bytes that are not text are refused."""
    scheme = own_scheme(timestamp="{body}", tolerance=300)
    assert "malformed" == Receiver(scheme, SECRET).reason_of_refusal(signed_webhook(b"\xff"))


def test_too_many_signatures_are_refused() -> None:
    """A header that would have us try and try is refused."""
    body = b'{"a":1}'
    good_signature = f"v1={mac(SECRET, body).hex()}"
    for lines in (False, True):
        scheme = own_scheme(separator=",", prefix="v1=", repeats=lines)
        receiver = Receiver(scheme, SECRET)
        many = SentWebhook(headers={"X-Sig": ",".join(["v1=0"] * 32 + [good_signature])}, body=body)
        assert "malformed" == receiver.reason_of_refusal(many)
        assert receiver.verify(
            SentWebhook(headers={"X-Sig": ",".join(["v1=0"] * 31 + [good_signature])}, body=body)
        )


def test_two_times_are_refused_in_either_order() -> None:
    """A signature with two timestamps is refused."""
    stripe = BY_NAME["stripe"]
    value = stripe.send(NOW, 1)
    text = value.headers["Stripe-Signature"]
    for both in (f"t=1,{text}", f"{text},t=1"):
        spoiled_request = attrs.evolve(value, headers={"Stripe-Signature": both})
        assert "duplicated" == Receiver.of(stripe).reason_of_refusal(spoiled_request)
    same_request = attrs.evolve(value, headers={"Stripe-Signature": f"{text},{text}"})
    assert Receiver.of(stripe).verify(same_request)


def test_mollie_sends_two_signatures_while_a_secret_is_replaced() -> None:
    """While a Mollie secret is rotated, one valid signature of two is enough."""
    mollie = BY_NAME["mollie"]
    argument = mollie.send(NOW, 1)
    good_signature = argument.headers["X-Mollie-Signature"]
    other_signature = "sha256=" + "0" * 64
    receiver = Receiver.of(mollie)
    for values in ([good_signature, other_signature], [other_signature, good_signature]):
        headers = [("X-Mollie-Signature", value) for value in values]
        assert receiver.verify(argument.arguments() | {"headers": headers})
    assert "signature" == receiver.reason_of_refusal(
        attrs.evolve(argument, headers={"X-Mollie-Signature": other_signature})
    )


def test_text_that_is_no_unicode_is_refused() -> None:
    """Half of a surrogate pair has no bytes: it is refused, and breaks nothing."""
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


def test_an_id_leads_nowhere_else() -> None:
    """An id is escaped as one part of the URL to fetch."""
    fetched_scheme = own_scheme(
        algorithm="token", id="{json:id}", fetch="https://api.example/v1/{id}"
    )
    value = SentWebhook(headers={"X-Sig": SECRET}, body=b'{"id":"../v2/refunds?all#"}')
    (event,) = Receiver(fetched_scheme, SECRET).verify(value)
    assert "https://api.example/v1/..%2Fv2%2Frefunds%3Fall%23" == event.fetch


def test_missing_signature_error_names_the_header() -> None:
    """The error for a missing signature names the header."""
    with pytest.raises(WebhookRejected, match="has no signature") as excinfo:
        Receiver(own_scheme(), SECRET).verify(SentWebhook(headers={}, body=b"{}"))
    assert excinfo.value.remedy.startswith("Look for the header X-Sig: ")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_times_of_events_are_in_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times without a zone are in UTC, in any local time zone."""
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


@pytest.mark.parametrize("off, reason", [(60, None), (-60, None), (61, "future"), (-61, "stale")])
def test_just_in_time_is_in_time(off: int, reason: str | None) -> None:
    """A signed time may be off by the tolerance, either way, and by no more."""
    scheme = own_scheme(
        signs="{header:X-At}{body}",
        timestamp="{header:X-At}",
        timestamp_form="iso",
        tolerance=60,
    )
    text = (NOW + timedelta(seconds=off)).isoformat()
    value = signed_webhook(b"{}", lambda body: hexed(text.encode() + body), **{"X-At": text})
    receiver = Receiver(scheme, SECRET)

    if reason is None:
        assert receiver.verify(value)
    else:
        assert reason == receiver.reason_of_refusal(value)


def test_challenge_with_an_items_scheme() -> None:
    """A scheme with a list of events also answers a challenge without the list."""
    scheme = own_scheme(handshake="slack", items="events")
    receiver = Receiver(scheme, SECRET)
    (question,) = receiver.verify(signed_webhook(b'{"type":"url_verification","challenge":"abc"}'))
    events = receiver.verify(signed_webhook(b'{"events":[1,2]}'))

    assert WebhookReply.text("abc") == question.reply
    assert [1, 2] == [event.payload for event in events]


def test_claims_need_a_token_algorithm() -> None:
    """A claim placeholder is empty unless the signature is a token with claims."""
    scheme = own_scheme(algorithm="token", id="{claim:jti}", type="{claim:kind}")
    (event,) = Receiver(scheme, SECRET).verify(SentWebhook(headers={"X-Sig": SECRET}, body=b"{}"))
    assert ("", True) == (event.type, len(event.id) == 64)


def test_delivery_identity() -> None:
    """A delivery is identified by its id if that is signed, else by the signed content."""
    named_scheme = own_scheme(id="{header:X-Id}", signs="{header:X-Id}.{body}")
    unsigned_scheme = own_scheme(id="{header:X-Id}")
    plain_scheme = own_scheme(algorithm="token", id="{header:X-Id}")
    for scheme, write in (
        (named_scheme, lambda body: hexed(b"e1." + body)),
        (unsigned_scheme, hexed),
        (plain_scheme, lambda _: SECRET),
    ):
        receiver = Receiver(scheme, SECRET, replay_guard=True)
        assert receiver.verify(signed_webhook(b'{"n":1}', write, **{"X-Id": "e1"}))
        repeated_request = signed_webhook(b'{"n":2}', write, **{"X-Id": "e1"})
        if scheme is unsigned_scheme:
            assert receiver.verify(repeated_request)
        else:
            assert "replayed" == receiver.reason_of_refusal(repeated_request)


def test_an_empty_id_is_none() -> None:
    """Two webhooks with empty ids are not repeats of each other."""
    scheme = own_scheme(algorithm="token", id="{json:id}", fetch="https://api.example/{id}")
    receiver = Receiver(scheme, SECRET, replay_guard=True)
    options = [
        SentWebhook(headers={"X-Sig": SECRET}, body=b'{"id":"","n":%d}' % number)
        for number in (1, 2)
    ]
    (first,), (second,) = map(receiver.verify, options)

    assert (None, True) == (first.fetch, first.id != second.id)
    assert "replayed" == receiver.reason_of_refusal(options[0])


@pytest.mark.parametrize(
    "text, form, expected",
    [
        ("1700000000", "seconds", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("1700000000000", "milliseconds", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T23:13:20+01:00", "iso", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T22:13:20", "iso", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
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
    """A time that cannot be read is no reason to refuse an event."""
    assert expected == read_time(text, TimeForm(form))


# --- what is answered and sent ------------------------------------------------------


def test_http_status_of_errors() -> None:
    """Each error has the status that vendors expect, without details for a forger."""
    repeated_error = WebhookRejected("again", reason="replayed")
    held_error = WebhookRejected("held", reason="replayed", retryable=True)
    for status, error in (
        (401, WebhookRejected("forged", reason="signature")),
        (401, WebhookRejected("no reason")),
        (400, WebhookRejected("broken", reason="malformed")),
        (413, WebhookRejected("long", reason="too_large")),
        (200, repeated_error),
        (409, held_error),
        (503, StorageUnavailable("away")),
        (503, ConnectionFailed("away")),
        (500, AuthenticationFailed("ours")),
    ):
        assert WebhookReply(status) == reply_to(error)
    assert "[accepted]" == preset("adyen").accepted


def test_signed_webhooks_are_accepted() -> None:
    """A webhook from our signer is accepted with either of its secrets."""
    old_text, new_text = generate_webhook_secret(), generate_webhook_secret()
    body = b'{"type": "a.b", "data": {"id": 1}}'
    at = NOW.astimezone(timezone(timedelta(hours=5)))
    headers = WebhookSigner([new_text, old_text]).sign(body, id="msg_1", at=at)

    for secret in (old_text, new_text):
        (event,) = Receiver("standard-webhooks", secret).verify({"headers": headers, "body": body})
        assert ("msg_1", "a.b", {"id": 1}) == (event.id, event.type, event.data)
    assert old_text not in repr(WebhookSigner(old_text))


def test_ed25519_signed_webhooks_are_accepted() -> None:
    """An Ed25519 private key signs with or without its public half."""
    seed, public = b"e" * 32, keys.ed().public_key().public_bytes_raw()
    for private in (seed, seed + public):
        headers = WebhookSigner("whsk_" + b64(private)).sign(b"{}", id="msg_1", at=NOW)
        receiver = Receiver("standard-webhooks-ed25519", "whpk_" + b64(public))
        assert receiver.verify({"headers": headers, "body": b"{}"})


@pytest.mark.parametrize(
    "secret", ["", " ", "whsec_", "whsec_!", "whsec_" + b64(b"short"), "whsk_" + b64(b"x" * 31), ()]
)
def test_we_sign_with_no_weak_secret(secret: Any) -> None:
    """A secret that is empty, short or no base64 is refused when the signer is made."""
    with pytest.raises(ConfigurationError, match="missing, too short") as excinfo:
        WebhookSigner(secret)

    assert "secrets" == excinfo.value.path
    assert "Create one with `generate_webhook_secret`." == excinfo.value.remedy


def test_a_secret_of_the_least_length_signs() -> None:
    """Twenty-four bytes are enough, and one fewer is not."""
    shortest_secret = b64(b"k" * 24)
    headers = WebhookSigner("whsec_" + shortest_secret).sign(b"{}", id="a", at=NOW)

    assert Receiver("standard-webhooks", "whsec_" + shortest_secret).verify(
        {"headers": headers, "body": b"{}"}
    )
    with pytest.raises(ConfigurationError):
        WebhookSigner("whsec_" + b64(b"k" * 23))


def test_we_sign_no_nonsense() -> None:
    """An id is a word, and a time has a zone."""
    signer = WebhookSigner(generate_webhook_secret())
    for name in ("", "a.b", "a b", "x" * 129, "é"):
        with pytest.raises(InvalidData, match="id must be") as excinfo:
            signer.sign(b"", id=name, at=NOW)
        assert ("id", "Give the id of the event.") == (excinfo.value.field, excinfo.value.remedy)
    with pytest.raises(InvalidData, match="time zone") as excinfo:
        signer.sign(b"", id="a", at=NOW.replace(tzinfo=None))
    assert "at" == excinfo.value.field
    assert excinfo.value.remedy.startswith("Give an aware datetime")
