"""Webhooks verified by a certificate, fetched from a URL or presented by the TLS client."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import attrs
import pytest

from moorage import ConfigurationError, Request, Timeouts, VendorFailed, WebhookScheme
from tests.webhooks import keys
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import CERT_PAYPAL, CERT_SNS, SentWebhook, as_json, b64, paypal, sns
from tests.webhooks.verifiers import IN_BOTH, NOW, Links, Receiver

GITHUB = BY_NAME["github"]
STRIPE = BY_NAME["stripe"]


@pytest.mark.parametrize(
    "address",
    [
        CERT_SNS.replace("https", "http"),
        CERT_SNS.replace("amazonaws.com", "amazonaws.com.evil.example"),
        CERT_SNS.replace("https://", "https://evil.example/"),
        CERT_SNS.replace("https://", "https://user@"),
        CERT_SNS.replace("amazonaws.com", "amazonaws.com:444"),
        CERT_SNS.replace("/Simple", "/../Simple"),
        CERT_SNS + "?x=.pem",
        CERT_SNS + "\n",
        CERT_SNS.replace("eu-west-1", "eu.west"),
        CERT_SNS.replace("sns.", "bucket.s3."),
        "",
    ],
)
def test_certificate_url_that_is_not_vendor_is_refused_before_any_request(address: str) -> None:
    """A certificate URL that is not the vendor's is refused before any request."""
    links = Links()
    receiver = Receiver.of(BY_NAME["aws-sns"], links=links)

    assert "certificate" == receiver.reason_of_refusal(sns("2", SigningCertURL=address)(NOW, 1))
    assert [] == links.asked


@IN_BOTH
def test_a_certificate_is_fetched_once_in_a_while(is_async: bool) -> None:
    """A vendor's certificate is fetched once and kept for an hour."""
    links = Links()
    receiver = Receiver.of(BY_NAME["paypal"], links=links, is_async=is_async)
    for number in range(3):
        receiver.verify(paypal(NOW, number))
    assert [CERT_PAYPAL] == links.asked
    receiver.clock.advance(3_600)
    receiver.verify(paypal(NOW, 4))
    assert [CERT_PAYPAL] * 2 == links.asked
    receiver.clock.advance(3_599)
    receiver.verify(paypal(NOW, 5))
    assert [CERT_PAYPAL] * 2 == links.asked
    assert [(Request.get(CERT_PAYPAL), Timeouts(connect=5.0, total=10.0))] * 2 == links.sent


def test_certificate_size_limit() -> None:
    """A fetched certificate of up to 64 KiB is accepted, and a longer one refused."""
    long_bytes = keys.usual_certificate().ljust(65_536, b"\n")
    assert Receiver.of(BY_NAME["paypal"], links=Links(long_bytes)).verify(paypal(NOW, 1))
    with pytest.raises(VendorFailed):
        Receiver.of(BY_NAME["paypal"], links=Links(long_bytes + b"\n")).verify(paypal(NOW, 1))


@pytest.mark.parametrize("status", [400, 499])
def test_missing_certificate_refuses_the_webhook(status: int) -> None:
    """If a webhook's certificate URL responds with an error status, the webhook is refused."""
    receiver = Receiver.of(BY_NAME["paypal"], links=Links(status=status))

    assert "certificate" == receiver.reason_of_refusal(paypal(NOW, 1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no certificate",
        keys.certificate(keys.curve()),
        keys.certificate(keys.rsa_key(), ends=NOW - timedelta(hours=1)),
        keys.certificate(keys.rsa_key(), begins=NOW + timedelta(hours=1)),
    ],
    ids=["nothing", "text", "another kind", "expired", "not yet"],
)
def test_invalid_certificates_are_refused(body: bytes) -> None:
    """A webhook whose certificate is not valid now is refused."""
    receiver = Receiver.of(BY_NAME["paypal"], links=Links(body))

    assert "certificate" == receiver.reason_of_refusal(paypal(NOW, 1))


def test_unavailable_certificate_is_no_forgery() -> None:
    """If a certificate cannot be fetched, VendorFailed is raised, not an error of a forgery."""
    for links in (Links(status=500), Links(b"x" * 100_000)):
        with pytest.raises(VendorFailed) as excinfo:
            Receiver.of(BY_NAME["paypal"], links=links).verify(paypal(NOW, 1))
        assert excinfo.value.retryable
        assert (links.status, "paypal") == (excinfo.value.status, excinfo.value.service)
        assert f"The vendor sent status {links.status}" in excinfo.value.message
    unknown_certificate = paypal(NOW, 1).headers | {"PAYPAL-CERT-URL": CERT_PAYPAL + "-unknown"}
    value = attrs.evolve(paypal(NOW, 1), headers=unknown_certificate)
    assert "certificate" == Receiver.of(BY_NAME["paypal"]).reason_of_refusal(value)


# --- the client's certificate -------------------------------------------------------


def test_pinned_client_certificate_is_accepted_in_each_proxy_header_format() -> None:
    """A pinned client certificate is accepted in each proxy's header format, while it is valid."""
    sender = BY_NAME["client-certificate"]
    sent_request = sender.send(NOW, 1)
    pem = keys.usual_certificate().decode()
    colons = ":".join(sender.secret[offset : offset + 2] for offset in range(0, 64, 2)).upper()
    receiver = Receiver.of(sender, secret=colons)
    for text in (sent_request.headers["Client-Cert"], quote(pem)):
        assert receiver.verify(attrs.evolve(sent_request, headers={"Client-Cert": text}))
    other_bytes = keys.certificate(keys.rsa_key())
    expired_bytes = keys.certificate(keys.rsa_key(), ends=NOW - timedelta(hours=1))
    assert "certificate" == receiver.reason_of_refusal(
        attrs.evolve(sent_request, headers={"Client-Cert": quote(expired_bytes.decode())})
    )
    changed_bytes = keys.certificate(keys.rsa_key(), ends=NOW + timedelta(days=7))
    assert other_bytes
    assert "signature" == receiver.reason_of_refusal(
        attrs.evolve(sent_request, headers={"Client-Cert": quote(changed_bytes.decode())})
    )
    assert "certificate" == receiver.reason_of_refusal(
        attrs.evolve(sent_request, headers={"Client-Cert": "::"})
    )
    with pytest.raises(ConfigurationError, match="not a key for client-certificate"):
        Receiver.of(sender, secret="abc")


@pytest.mark.parametrize("delay, reason", [(0, None), (1, "certificate")])
def test_expired_client_certificate_invalidates_batch_of_signed_items(
    delay: int, reason: str | None
) -> None:
    """An expired client certificate makes a webhook invalid, even if each item is signed."""
    end_bytes = keys.certificate(keys.rsa_key(), ends=NOW)
    scheme = WebhookScheme(
        name="own",
        signature="{json:by}",
        algorithm="client-certificate",
        items=".",
        each_signed=True,
    )
    receiver = Receiver(scheme, keys.fingerprint(end_bytes), replay_guard=False)
    receiver.clock.advance(delay)
    text = f":{b64(keys.der(end_bytes))}:"
    sent_request = SentWebhook(
        headers={}, body=as_json([{"by": text, "n": 1}, {"by": text, "n": 2}])
    )

    if reason is None:
        assert [1, 2] == [event.data["n"] for event in receiver.verify(sent_request)]
    else:
        assert reason == receiver.reason_of_refusal(sent_request)
