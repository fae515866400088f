"""Webhook verification: downgrades, parameters, secrets, events and errors."""

from __future__ import annotations

import asyncio
import traceback
from datetime import timedelta
from typing import Any

import attrs
import pytest

from moorage import (
    ConfigurationError,
    CredentialNotFound,
    InvalidData,
    Secret,
    WebhookReceived,
    WebhookRefused,
    WebhookRejected,
    WebhookVerifier,
)
from moorage.adapters.webhook_secrets import AsyncStaticWebhookSecrets, StaticWebhookSecrets
from moorage.domain.webhooks.presets import preset
from moorage.testing import RecordingObserver
from tests.support.frames import is_of_moorage
from tests.webhooks import keys
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import (
    ARN,
    HEX,
    SECRET,
    WHSEC,
    SentWebhook,
    b64,
    digest_claims,
    mac,
    paypal,
    sns,
)
from tests.webhooks.verifiers import NOW, Receiver

GITHUB = BY_NAME["github"]
STRIPE = BY_NAME["stripe"]


def test_weaker_signature_is_ignored() -> None:
    """A webhook signed with an older header, version or algorithm is refused as a downgrade."""
    sent_request = GITHUB.send(NOW, 1)
    sha1 = "sha1=" + mac(SECRET, sent_request.body, "sha1").hex()
    receiver = Receiver.of(GITHUB)
    older_request = attrs.evolve(sent_request, headers={"X-Hub-Signature": sha1})
    assert "downgraded" == receiver.reason_of_refusal(older_request)
    instead_request = attrs.evolve(sent_request, headers={"X-Hub-Signature-256": sha1})
    assert "downgraded" == receiver.reason_of_refusal(instead_request)
    assert receiver.verify(
        attrs.evolve(sent_request, headers=sent_request.headers | {"X-Hub-Signature": "sha1=0"})
    )

    sent_request = STRIPE.send(NOW, 1)
    text = sent_request.headers["Stripe-Signature"].replace("v1=", "v0=")
    assert "downgraded" == Receiver.of(STRIPE).reason_of_refusal(
        attrs.evolve(sent_request, headers={"Stripe-Signature": text})
    )
    assert "downgraded" == Receiver.of(BY_NAME["aws-sns"]).reason_of_refusal(sns("1")(NOW, 1))
    headers = paypal(NOW, 1).headers | {"PAYPAL-AUTH-ALGO": "SHA1withRSA"}
    assert "downgraded" == Receiver.of(BY_NAME["paypal"]).reason_of_refusal(
        attrs.evolve(paypal(NOW, 1), headers=headers)
    )


class ChangingSecrets:
    """A secret provider whose secrets a test changes."""

    def __init__(self, *secrets: str) -> None:
        self.secrets = [Secret(secret) for secret in secrets]
        self.asked: list[tuple[str, str | None, str | None]] = []

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> list[Secret]:
        """Record the request, and return the current secrets."""
        self.asked.append((name, tenant, key_id))
        return [Secret(secret.reveal()) for secret in self.secrets]


def test_secrets_may_come_from_a_provider() -> None:
    """A secret provider is called for each webhook, with the tenant and the key id."""
    provider = ChangingSecrets("another", SECRET)
    receiver = Receiver.of(GITHUB, secret=provider, name="hub")
    sent_request = GITHUB.send(NOW, 1)
    (event,) = receiver.verify(sent_request, tenant="acme")
    assert "acme" == event.tenant
    receiver.verify(sent_request, tenant="acme")
    assert [("hub", "acme", None)] * 2 == provider.asked

    provider.secrets = [Secret("another")]
    assert "signature" == receiver.reason_of_refusal(sent_request, tenant="acme")
    provider.secrets = [Secret(" ")]
    with pytest.raises(ConfigurationError, match="is empty"):
        receiver.verify(sent_request, tenant="acme")
    provider.secrets = []
    with pytest.raises(ConfigurationError, match="has no secret for this endpoint") as excinfo:
        receiver.verify(sent_request, tenant="other")
    assert "webhook_secrets" == excinfo.value.path
    assert "Set the secret that the vendor shows for this endpoint." == excinfo.value.remedy
    named_receiver = Receiver.of(BY_NAME["plaid"], secret=provider)
    assert "signature" == named_receiver.reason_of_refusal(BY_NAME["plaid"].send(NOW, 1))
    assert ("plaid", None, "key-1") == provider.asked[-1]


def test_cached_keys_are_bounded() -> None:
    """A webhook verifier caches a limited number of keys."""
    provider = ChangingSecrets(keys.jwk(keys.curve()).replace('"kid": "key-1", ', ""))
    receiver = Receiver.of(BY_NAME["plaid"], secret=provider)
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    for number in range(1_010):
        token = keys.token(digest_claims(NOW, sent_request.body), key_id=f"{number}")
        receiver.verify(attrs.evolve(sent_request, headers={"Plaid-Verification": token}))

    cached_keys: Any = receiver.verifier._sync_receiving._keys  # noqa: SLF001 - what is kept is not public
    assert len(cached_keys) == 1_000


def test_tenant_webhook_is_refused_with_another_tenant_secret() -> None:
    """A tenant's webhook is refused with another tenant's secret, or without a secret."""
    tenant_secrets: dict[str | None, Any] = {"acme": SECRET, "other": "another secret"}
    receiver = Receiver.of(GITHUB, secret=StaticWebhookSecrets(tenant_secrets))
    sent_request = GITHUB.send(NOW, 1)

    assert receiver.verify(sent_request, tenant="acme")
    assert "signature" == receiver.reason_of_refusal(sent_request, tenant="other")
    for tenant in (None, "third"):
        with pytest.raises(CredentialNotFound):
            receiver.verify(sent_request, tenant=tenant)
    with pytest.raises(CredentialNotFound):
        Receiver.of(GITHUB).verify(sent_request, tenant="acme")
    assert Receiver.of(GITHUB, secret=StaticWebhookSecrets({None: SECRET}), is_async=True).verify(
        sent_request
    )
    with pytest.raises(ConfigurationError, match="accept any sender"):
        StaticWebhookSecrets({None: SECRET, "acme": " "})


def test_verifier_refuses_a_provider_of_the_other_mode() -> None:
    """A synchronous webhook verifier refuses an asynchronous secret provider, and vice versa."""
    sent_request = GITHUB.send(NOW, 1)
    async_secrets = AsyncStaticWebhookSecrets({None: SECRET})
    assert Receiver.of(GITHUB, secret=async_secrets, is_async=True).verify(sent_request)
    with pytest.raises(ConfigurationError, match=r"AsyncStaticWebhookSecrets .* a synchronous"):
        Receiver.of(GITHUB, secret=async_secrets).verify(sent_request)
    with pytest.raises(ConfigurationError, match=r"ChangingSecrets .* an asynchronous"):
        Receiver.of(GITHUB, secret=ChangingSecrets(SECRET), is_async=True).verify(sent_request)


def test_webhook_verifier_parameters_must_be_those_of_its_scheme() -> None:
    """A webhook verifier's parameters must be those of its scheme, and not empty."""
    for value in ({}, {"webhook_id": " "}, {"webhook_id": "1", "other": "2"}, {"webhook_id": 7}):
        with pytest.raises(ConfigurationError, match="do not match the scheme"):
            WebhookVerifier("paypal", parameters=value)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigurationError, match="do not match the scheme"):
        WebhookVerifier("meta", SECRET, parameters={"verify_token": ""})
    with pytest.raises(ConfigurationError, match="is not a webhook scheme"):
        WebhookVerifier("strype", SECRET)
    with pytest.raises(ConfigurationError, match="is not a webhook scheme"):
        WebhookVerifier(7, SECRET)  # type: ignore[arg-type]  # on purpose


def test_tolerance_of_a_verifier_can_be_changed() -> None:
    """A webhook verifier's tolerance can be changed only if its scheme signs a time."""
    receiver = Receiver.of(STRIPE, tolerance=timedelta(seconds=10))
    assert "stale" == receiver.reason_of_refusal(STRIPE.send(NOW - timedelta(seconds=12), 1))
    with pytest.raises(ConfigurationError, match="does not sign a time"):
        WebhookVerifier("github", SECRET, tolerance=5)


@pytest.mark.parametrize(
    "skew, reason, remedy", [(-301, "stale", "webhooks sooner"), (301, "future", "it again later")]
)
def test_time_errors_name_the_endpoint_and_the_remedy(skew: int, reason: str, remedy: str) -> None:
    """The error for a webhook's wrong time names the endpoint and a remedy."""
    receiver = Receiver.of(STRIPE, name="shop")
    with pytest.raises(WebhookRejected) as excinfo:
        receiver.verify(STRIPE.send(NOW + timedelta(seconds=skew), 1))

    assert (reason, "shop") == (excinfo.value.reason, excinfo.value.service)
    assert "set this machine's clock" in excinfo.value.remedy
    assert excinfo.value.remedy.endswith(f"or handle {remedy}.")


@pytest.mark.parametrize(
    "stamp", ["", "now", "1e9", "-5", "\uff11\uff19", "9" * 39, "9" * 60, "1700000000.5", " 1"]
)
def test_timestamp_must_be_whole_seconds(stamp: str) -> None:
    """A signed timestamp that is not written as whole seconds is refused."""
    body = b"{}"
    signature = mac(SECRET, stamp.encode() + b"." + body).hex()
    sent_request = SentWebhook(headers={"Stripe-Signature": f"t={stamp},v1={signature}"}, body=body)

    assert Receiver.of(STRIPE).reason_of_refusal(sent_request) in {"malformed", "stale", "future"}


def test_urls_behind_a_proxy() -> None:
    """Behind a proxy, the signed URL's origin can be set; its port may be given or missing."""
    square = BY_NAME["square"]
    sent_request = square.send(NOW, 1)
    inner_request = attrs.evolve(sent_request, url="http://10.0.0.1:8000/hooks?shop=1")
    assert Receiver.of(square, origin="https://shop.example").verify(inner_request)
    assert "signature" == Receiver.of(square).reason_of_refusal(inner_request)
    with pytest.raises(InvalidData, match="no URL was passed"):
        Receiver.of(square).verify(sent_request.arguments() | {"url": None})

    twilio = BY_NAME["twilio"]
    for url in ("https://shop.example:443/hooks?shop=1", "https://shop.example:8443/hooks?shop=1"):
        assert Receiver.of(twilio).verify(attrs.evolve(twilio.send(NOW, 1), url=url))
    form = twilio.send(NOW, 1)
    for url in ("https://shop.example:443/a", "http://shop.example:80/a"):
        plain_text = url.replace(":443", "").replace(":80", "")
        content = url + "".join(
            name + value
            for name, value in sorted(
                {"MessageSid": "SM1", "MessageStatus": "delivered", "From": "+15005550006"}.items()
            )
        )
        headers = form.headers | {"X-Twilio-Signature": b64(mac(SECRET, content, "sha1"))}
        assert Receiver.of(twilio).verify(attrs.evolve(form, headers=headers, url=plain_text))

    hubspot = BY_NAME["hubspot"]
    response = hubspot.send(NOW, 1)
    time = response.headers["X-HubSpot-Request-Timestamp"]
    signed_bytes = mac(SECRET, b"POSThttps://shop.example/a:b@c" + response.body + time.encode())
    headers = response.headers | {"X-HubSpot-Signature-v3": b64(signed_bytes)}
    escaped = "https://shop.example/a%3Ab%40c"
    assert Receiver.of(hubspot).verify(attrs.evolve(response, headers=headers, url=escaped))


def test_a_body_that_is_no_form_is_signed_by_its_digest() -> None:
    """Twilio's JSON webhook needs the digest of its body in the signed URL."""
    twilio = BY_NAME["twilio"]
    receiver = Receiver.of(twilio)
    url = "https://shop.example/a"
    headers = {"X-Twilio-Signature": b64(mac(SECRET, url, "sha1"))}
    assert "missing" == receiver.reason_of_refusal(
        SentWebhook(headers=headers, body=b"{}", url=url)
    )
    assert "signature" == receiver.reason_of_refusal(
        SentWebhook(headers=headers, body=b"a=b", url=url)
    )
    result = receiver.verify(SentWebhook(headers=headers, body=b"", url=url, method="GET"))
    assert {} == result[0].payload
    url += "?MessageStatus=sent&bodySHA256=" + "0" * 64
    headers = {"X-Twilio-Signature": b64(mac(SECRET, url, "sha1"))}
    assert "signature" == receiver.reason_of_refusal(
        SentWebhook(headers=headers, body=b"{}", url=url)
    )


def test_twilio_forms_whose_concatenated_fields_are_same_count_as_same_delivery() -> None:
    """Twilio forms whose concatenated fields are the same count as the same delivery."""
    twilio = BY_NAME["twilio"]
    receiver = Receiver.of(twilio, replay_guard=True)
    value = twilio.send(NOW, 1)
    receiver.done(receiver.verify(value))
    split = value.body.replace(b"delivered", b"del&ivered=")

    assert "replayed" == receiver.reason_of_refusal(attrs.evolve(value, body=split))


def test_observers_get_events_of_accepted_and_refused_webhooks() -> None:
    """Observers get an event for accepted and refused webhooks, without secrets or bodies."""
    observer = RecordingObserver()
    secrets = StaticWebhookSecrets({"acme": SECRET})
    receiver = Receiver.of(GITHUB, secret=secrets, observers=[observer], name="hub")
    receiver.verify(GITHUB.send(NOW, 1), tenant="acme")
    receiver.clock.advance(5)
    receiver.reason_of_refusal(attrs.evolve(GITHUB.send(NOW, 1), body=b"{}"), tenant="acme")

    event_fields = {"service": "hub", "operation": "github", "tenant": "acme"}
    later_time = NOW + timedelta(seconds=5)
    assert [
        WebhookReceived(at=NOW, events=1, **event_fields),
        WebhookRefused(at=later_time, reason="signature", **event_fields),
    ] == observer.events


def test_an_event_is_of_the_tenant_that_was_named() -> None:
    """A webhook event has the tenant given to `verify`, even if all tenants share a secret."""
    shared_secrets: Any = {None: SECRET, "acme": SECRET}
    verifier = Receiver.of(GITHUB, secret=StaticWebhookSecrets(shared_secrets)).verifier
    webhook_arguments = GITHUB.send(NOW, 1).arguments()
    (plain_event,) = verifier.verify(**webhook_arguments, tenant="acme")
    (async_event,) = asyncio.run(verifier.averify(**webhook_arguments, tenant="acme"))

    assert ("acme", "acme") == (plain_event.tenant, async_event.tenant)


def test_events_have_the_tenant_for_every_scheme() -> None:
    """The events for observers have the tenant, even for a scheme without a fast path."""
    observer, twilio = RecordingObserver(), BY_NAME["twilio"]
    secrets = StaticWebhookSecrets({"acme": twilio.secret})
    Receiver.of(twilio, secret=secrets, observers=[observer]).verify(
        twilio.send(NOW, 1), tenant="acme"
    )

    (result,) = observer.events
    assert isinstance(result, WebhookReceived)
    assert "acme" == result.tenant


SECRETS = ["whsec_not base64 hidden", "hidden\n", " hidden", ["hidden", 7], 7]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", ["svix", "adyen", "discord", "plaid", "basic-auth"])
def test_invalid_webhook_secret_is_refused(name: str, secret: Any) -> None:
    """An invalid webhook secret is refused, and no traceback frame of moorage shows it."""
    with pytest.raises(ConfigurationError) as excinfo:
        WebhookVerifier(name, secret)

    report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    moorage_locals = [frame.locals for frame in report.stack if is_of_moorage(frame.filename)]
    assert moorage_locals
    assert "hidden" not in repr(moorage_locals) + str(excinfo.value)


def test_no_frame_of_a_refusal_shows_a_secret() -> None:
    """The traceback of a refused webhook shows neither the secret nor the verify token."""
    for sender, sent_request in (
        (STRIPE, attrs.evolve(STRIPE.send(NOW, 1), body=b"{}")),
        (
            BY_NAME["meta"],
            SentWebhook(headers={}, body=b"", method="GET", url="https://a/?hub.mode=x"),
        ),
    ):
        parameters = {"verify_token": "hidden-token"} if sender.parameters else {}
        receiver = Receiver.of(sender, parameters=parameters)
        with pytest.raises(WebhookRejected) as excinfo:
            receiver.verify(sent_request)
        report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
        moorage_locals = [frame.locals for frame in report.stack if is_of_moorage(frame.filename)]
        assert moorage_locals
        assert SECRET not in repr(moorage_locals)
        assert "hidden-token" not in repr(moorage_locals)


def test_each_format_of_webhook_secret_is_read_as_vendor_shows_it() -> None:
    """Each format of a webhook secret is read as the vendor shows it."""
    assert HEX
    assert ARN
    bare_secret = WHSEC.removeprefix("whsec_").rstrip("=")
    assert Receiver.of(BY_NAME["svix"], secret=bare_secret).verify(BY_NAME["svix"].send(NOW, 1))
    pem = keys.curve().public_key().public_bytes(keys.PEM, keys.PUBLIC)
    sendgrid = BY_NAME["sendgrid"]
    assert Receiver.of(sendgrid, secret=pem).verify(sendgrid.send(NOW, 1))
    binary = Receiver(preset("github"), b"\xff\x00 key ", replay_guard=False)
    body = b'{"a":1}'
    signature = "sha256=" + mac(b"\xff\x00 key ", body).hex()
    assert binary.verify(SentWebhook(headers={"X-Hub-Signature-256": signature}, body=body))
