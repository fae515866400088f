"""Custom webhook schemes: signatures, keys, ids, and settings that are refused."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519

from moorage import ConfigurationError, InvalidData, WebhookRejected, WebhookReply
from moorage.domain.webhooks.algorithms import WebhookEncoding, decoded_as
from moorage.domain.webhooks.public_keys import read_key
from moorage.domain.webhooks.template import Template
from tests.webhooks import keys
from tests.webhooks.own_schemes import hex_signature, own_scheme, signed_webhook
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import SECRET, SentWebhook, as_json, b64, mac
from tests.webhooks.verifiers import NOW, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable


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
def test_webhook_scheme_that_protects_nothing_is_refused(fields: dict[str, Any]) -> None:
    """A webhook scheme that cannot be read, or that protects nothing, is refused."""
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        own_scheme(**fields)
    assert excinfo.value.remedy


def test_a_scheme_is_a_value() -> None:
    """Webhook schemes with equal settings are equal, and a scheme's repr shows its templates."""
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
    """In a template, a literal brace is written twice, and an event type may be a constant."""
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
    """Return the body's HMAC by the given hash, in the encoding that `write` makes."""
    return write(mac(SECRET, body, name))


@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_every_hash_in_every_encoding(algorithm: str, encoding: str) -> None:
    """A webhook signature is accepted in its scheme's encoding, and in no other."""
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
    """Webhook signatures by RSA, Ed25519 and P-256 verify, with keys in any form."""
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
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": keys.url64(keys.ed25519_key().public_key().public_bytes_raw()),
        }
    )
    algorithm_keys = {
        "rsa-v1_5-sha256": (rsa_jwk, keys.rsa_key().sign(body, padding.PKCS1v15(), sha)),
        "rsa-pss-sha256": (keys.usual_certificate(), keys.rsa_key().sign(body, pss, sha)),
        "ed25519": (ed_jwk, keys.ed25519_key().sign(body)),
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
def test_jwt_webhooks_can_be_signed_with_rsa_or_ed25519(algorithm: str) -> None:
    """JWT webhooks can be signed with RSA or Ed25519; a shortened signature is refused."""
    name = {"jwt-rs256": "RS256", "jwt-eddsa": "EdDSA"}[algorithm]
    text = f"{keys.url64(as_json({'alg': name}))}.{keys.url64(as_json({'iat': 1}))}"
    if name == "RS256":
        key = keys.rsa_key().public_key().public_bytes(keys.PEM, keys.PUBLIC).decode()
        new_bytes = keys.rsa_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        key, new_bytes = keys.raw_hex(keys.ed25519_key()), keys.ed25519_key().sign(text.encode())
    scheme = own_scheme(signature="{header:Authorization}", algorithm=algorithm)
    receiver = Receiver(scheme, key, replay_guard=False)
    headers = {"Authorization": f"Bearer {text}.{keys.url64(new_bytes)}"}
    (event,) = receiver.verify(SentWebhook(headers=headers, body=b"{}"))

    assert event.is_forgeable
    assert frozenset() == event.covers
    short_token = {"Authorization": f"{text}.{keys.url64(new_bytes[:-2])}"}
    assert "signature" == receiver.reason_of_refusal(SentWebhook(headers=short_token, body=b"{}"))


def test_ed25519_key_may_be_its_bytes_in_any_form() -> None:
    """An Ed25519 key is the same in hexadecimal, in Base64, and after a standard's prefix."""
    raw = keys.ed25519_key().public_key().public_bytes_raw()
    texts = (raw.hex(), b64(raw), b64(raw).rstrip("="), f" {b64(raw)}\n", f"whpk_{b64(raw)}")
    read_keys = [read_key(text.encode()) for text in texts]

    assert [keys.ed25519_key().public_key()] * len(texts) == read_keys
    assert read_key(b64(raw[:-1]).encode()) is None


def test_invalid_public_keys_are_refused() -> None:
    """Private keys, weak keys, keys on other curves, and other texts are refused as public keys."""
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


def test_base64_and_hexadecimal_signatures_are_decoded_only_in_their_strict_form() -> None:
    """Base64 and hexadecimal signatures are decoded only in their strict form."""
    assert b"\x00" == decoded_as(WebhookEncoding.BASE64, "AA==")
    for text in ("AB==", "AA=", "AA", "AA==\n", " AA==", "AA= =", "AA==AA==", "", "A", "é"):
        assert decoded_as(WebhookEncoding.BASE64, text) is None
    assert b"\xab" == decoded_as(WebhookEncoding.HEX, "ab")
    for text in ("AB", "a", "ab ", "0xab", ""):
        assert decoded_as(WebhookEncoding.HEX, text) is None
    assert b"\xfb\xff" == decoded_as(WebhookEncoding.BASE64URL, "-_8")
    for text in ("-_8=", "+/8", "-_9"):
        assert decoded_as(WebhookEncoding.BASE64URL, text) is None


def test_webhook_signature_over_body_digest_covers_body() -> None:
    """A webhook signature over the body's digest covers the body."""
    scheme = own_scheme(signs="{method} {body_sha256}")
    digest = hashlib.sha256(b"{}").hexdigest()
    receiver = Receiver(scheme, SECRET)
    assert receiver.verify(signed_webhook(b"{}", lambda _: mac(SECRET, f"POST {digest}").hex()))
    assert not scheme.is_forgeable


def test_keys_may_be_named_in_a_header() -> None:
    """If a scheme reads the key's name from a header, only the key with that name is tried."""
    scheme = own_scheme(algorithm="ed25519", key_id="{header:X-Key}")
    key_members = {"kty": "OKP", "crv": "Ed25519", "kid": "k1"}
    jwk = json.dumps(
        key_members | {"x": keys.url64(keys.ed25519_key().public_key().public_bytes_raw())}
    )
    receiver = Receiver(scheme, jwk, replay_guard=False)
    body = b"{}"

    assert receiver.verify(
        signed_webhook(body, lambda body: keys.ed25519_key().sign(body).hex(), **{"X-Key": "k1"})
    )
    other_request = signed_webhook(
        body, lambda body: keys.ed25519_key().sign(body).hex(), **{"X-Key": "k2"}
    )
    assert "signature" == receiver.reason_of_refusal(other_request)


def test_missing_event_type() -> None:
    """If a webhook scheme has no placeholder for the type, its events have an empty type."""
    (event,) = Receiver(own_scheme(), SECRET).verify(signed_webhook(b'{"type": "a"}'))
    assert ("", "") == (event.type, event.vendor_type)


def test_signature_error_names_the_url_if_signed() -> None:
    """The error for a wrong signature names secret and body, and the URL if that is signed."""
    address = "https://a.example/in"
    for signs, is_named in (("{body}", False), ("{url}{body}", True)):
        receiver = Receiver(own_scheme(signs=signs), "another secret")
        with pytest.raises(WebhookRejected, match="does not match any secret") as excinfo:
            receiver.verify(signed_webhook(b"{}"), url=address)
        assert (
            "check the secret, and pass the body exactly as it was received" in excinfo.value.remedy
        )
        assert is_named == ("the URL exactly as the vendor knows it" in excinfo.value.remedy)


def test_too_many_signatures_are_refused() -> None:
    """A webhook with more than 32 signatures in its header is refused."""
    body = b'{"a":1}'
    good_signature = f"v1={mac(SECRET, body).hex()}"
    for lines in (False, True):
        scheme = own_scheme(separator=",", prefix="v1=", repeats=lines)
        receiver = Receiver(scheme, SECRET)
        webhook_of_many_signatures = SentWebhook(
            headers={"X-Sig": ",".join(["v1=0"] * 32 + [good_signature])}, body=body
        )
        assert "malformed" == receiver.reason_of_refusal(webhook_of_many_signatures)
        assert receiver.verify(
            SentWebhook(headers={"X-Sig": ",".join(["v1=0"] * 31 + [good_signature])}, body=body)
        )


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


def test_id_is_escaped_in_the_fetch_url() -> None:
    """An event's id is escaped in the URL that the event can be fetched from."""
    fetched_scheme = own_scheme(
        algorithm="token", id="{json:id}", fetch="https://api.example/v1/{id}"
    )
    value = SentWebhook(headers={"X-Sig": SECRET}, body=b'{"id":"../v2/refunds?all#"}')
    (event,) = Receiver(fetched_scheme, SECRET).verify(value)
    assert "https://api.example/v1/..%2Fv2%2Frefunds%3Fall%23" == event.fetch


def test_missing_signature_error_names_the_header() -> None:
    """The error for a missing webhook signature names the header."""
    with pytest.raises(WebhookRejected, match="has no signature") as excinfo:
        Receiver(own_scheme(), SECRET).verify(SentWebhook(headers={}, body=b"{}"))
    assert excinfo.value.remedy.startswith("Check the header X-Sig: ")


def test_challenge_with_an_items_scheme() -> None:
    """A webhook scheme whose body has a list of events also answers challenges without a list."""
    scheme = own_scheme(handshake="slack", items="events")
    receiver = Receiver(scheme, SECRET)
    (question,) = receiver.verify(signed_webhook(b'{"type":"url_verification","challenge":"abc"}'))
    events = receiver.verify(signed_webhook(b'{"events":[1,2]}'))

    assert WebhookReply.text("abc") == question.reply
    assert [1, 2] == [event.payload for event in events]


def test_claims_need_a_token_algorithm() -> None:
    """A claim placeholder is empty unless the webhook's signature is a JWT."""
    scheme = own_scheme(algorithm="token", id="{claim:jti}", type="{claim:kind}")
    (event,) = Receiver(scheme, SECRET).verify(SentWebhook(headers={"X-Sig": SECRET}, body=b"{}"))
    assert ("", True) == (event.type, len(event.id) == 64)


def test_delivery_is_identified_by_signed_id_or_content() -> None:
    """A webhook delivery is identified by its id if that is signed, else by its signed content."""
    named_scheme = own_scheme(id="{header:X-Id}", signs="{header:X-Id}.{body}")
    unsigned_scheme = own_scheme(id="{header:X-Id}")
    plain_scheme = own_scheme(algorithm="token", id="{header:X-Id}")
    for scheme, write in (
        (named_scheme, lambda body: hex_signature(b"e1." + body)),
        (unsigned_scheme, hex_signature),
        (plain_scheme, lambda _: SECRET),
    ):
        receiver = Receiver(scheme, SECRET, replay_guard=True)
        assert receiver.verify(signed_webhook(b'{"n":1}', write, **{"X-Id": "e1"}))
        repeated_request = signed_webhook(b'{"n":2}', write, **{"X-Id": "e1"})
        if scheme is unsigned_scheme:
            assert receiver.verify(repeated_request)
        else:
            assert "replayed" == receiver.reason_of_refusal(repeated_request)


def test_two_webhooks_with_empty_ids_are_not_replays_of_each_other() -> None:
    """Two webhooks with empty ids are not replays of each other."""
    scheme = own_scheme(algorithm="token", id="{json:id}", fetch="https://api.example/{id}")
    receiver = Receiver(scheme, SECRET, replay_guard=True)
    options = [
        SentWebhook(headers={"X-Sig": SECRET}, body=b'{"id":"","n":%d}' % number)
        for number in (1, 2)
    ]
    (first,), (second,) = map(receiver.verify, options)

    assert (None, True) == (first.fetch, first.id != second.id)
    assert "replayed" == receiver.reason_of_refusal(options[0])
