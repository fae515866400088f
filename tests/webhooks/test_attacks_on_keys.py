"""Webhooks in which an attacker supplies the key, or the URL of the certificate."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import attrs
import pytest

from moorage import (
    VendorFailed,
)
from moorage.domain.webhooks.presets import preset
from tests.webhooks import keys
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import (
    CERT_PAYPAL,
    CERT_SNS,
    mac,
    paypal,
    sns,
)
from tests.webhooks.verifiers import NOW, Links, Receiver

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve P-256."""
PLAID = BY_NAME["plaid"]


def forged_token(header: dict[str, Any], sign: Any) -> str:
    """Return a JWT with genuine claims, any header and a forged signature."""
    sent_request = PLAID.send(NOW, 1)
    digest = hashlib.sha256(sent_request.body).hexdigest()
    claims = {"iat": int(NOW.timestamp()), "request_body_sha256": digest}
    text = ".".join(keys.url64(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{keys.url64(sign(text.encode()))}"


@pytest.mark.parametrize(
    "more",
    [
        {"jwk": json.loads(keys.jwk(keys.curve(), "evil"))},
        {"jku": "https://evil.example/keys.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MII="]},
        {"kid": "../../../dev/null"},
        {"kid": {"$ne": None}},
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"alg": ["ES256"]},
        {"b64": False, "crit": ["b64"]},
        {"crit": []},
    ],
    ids=str,
)
def test_keys_stated_in_a_webhooks_own_token_are_ignored(more: dict[str, Any]) -> None:
    """A verifier ignores keys, key addresses and algorithms that a webhook's own token states."""
    numbers = keys.curve().public_key().public_numbers()
    public = keys.jwk(keys.curve()).encode()
    ways = (
        lambda _: b"",
        lambda text: mac(public, text),
        lambda text: mac(numbers.x.to_bytes(32, "big"), text),
        lambda _: b"\x00" * 64,
        lambda _: ORDER.to_bytes(32, "big") * 2,
        lambda _: b"\x01" * 64,
    )
    links = Links()
    receiver = Receiver.of(PLAID, links=links)
    for sign in ways:
        token = forged_token({"alg": "ES256", "kid": "key-1"} | more, sign)
        sent_request = attrs.evolve(PLAID.send(NOW, 1), headers={"Plaid-Verification": token})
        assert receiver.reason_of_refusal(sent_request) in {"signature", "downgraded", "malformed"}
    assert [] == links.asked


HOST = "sns.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url: url.replace(HOST, HOST + "."),
        lambda url: url.replace(HOST, HOST + ":443"),
        lambda url: url.replace(HOST, HOST + ":"),
        lambda url: url.replace(HOST, HOST.upper()),
        lambda url: url.replace(HOST, f"evil.example#@{HOST}"),
        lambda url: url.replace(HOST, f"evil.example\\@{HOST}"),
        lambda url: url.replace(HOST, f"{HOST}\\.evil.example"),
        lambda url: url.replace(HOST, f"{HOST}%00.evil.example"),
        lambda url: url.replace(HOST, f"{HOST}%2eevil.example"),
        lambda url: url.replace(HOST, f"{HOST}@evil.example"),
        lambda url: url.replace(HOST, f"user:password@{HOST}"),
        lambda url: url.replace("sns", "\u0455ns"),
        lambda url: url.replace(".amazonaws", "\u3002amazonaws"),
        lambda url: url.replace(".com", ".com\u200b"),
        lambda url: url.replace(".com", ".co\uff4d"),
        lambda url: url.replace("eu-west-1", "\u0435u-west-1"),
        lambda url: url.replace("eu-west-1", "eu-west-\u0661"),
        lambda url: url.replace("https", "HTTPS"),
        lambda url: " " + url,
        lambda url: url + "\t",
        lambda url: url + "#.pem",
        lambda url: url.replace(".pem", ".pem/../../x.pem"),
        lambda url: url.replace("/Simple", "//Simple"),
        lambda url: url.replace("https://", "https:/"),
        lambda url: url.replace("https://", "//"),
    ],
)
def test_similar_certificate_urls_are_refused(spoil: Any) -> None:
    """A webhook's certificate URL that only resembles the vendor's is refused without a request."""
    links = Links()
    value = sns("2", SigningCertURL=spoil(CERT_SNS))(NOW, 1)

    assert "certificate" == Receiver.of(BY_NAME["aws-sns"], links=links).reason_of_refusal(value)
    assert [] == links.asked


def test_certificate_url_must_be_https() -> None:
    """Even if a custom pattern allows other schemes, certificates are fetched only by HTTPS."""
    scheme = attrs.evolve(preset("paypal"), certificate_url=r"https://a\.example/.*|.*")
    links = Links()
    receiver = Receiver(scheme, parameters={"webhook_id": "WEBHOOK"}, links=links)
    for address in ("http://169.254.169.254/latest", "file:///etc/passwd", ""):
        headers = paypal(NOW, 1).headers | {"PAYPAL-CERT-URL": address}
        value = attrs.evolve(paypal(NOW, 1), headers=headers)
        assert receiver.reason_of_refusal(value) in {"certificate", "missing"}
    assert [] == links.asked


def test_certificate_url_of_invalid_bytes_is_refused() -> None:
    """A certificate URL that consists of invalid bytes is refused without a request."""
    scheme = attrs.evolve(preset("paypal"), certificate="{body}")
    links = Links()
    receiver = Receiver(scheme, parameters={"webhook_id": "WEBHOOK"}, links=links)

    assert "certificate" == receiver.reason_of_refusal(attrs.evolve(paypal(NOW, 1), body=b"\xff"))
    assert [] == links.asked


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304, 204])
def test_redirect_is_not_followed_if_vendor_certificate_url_redirects(status: int) -> None:
    """If the vendor's certificate URL redirects, the redirect is not followed."""
    links = Links(status=status)
    with pytest.raises(VendorFailed):
        Receiver.of(BY_NAME["paypal"], links=links).verify(paypal(NOW, 1))
    assert [CERT_PAYPAL] == links.asked
