"""Webhook presets that are built by functions; each test builds its preset again.

For mutation tests: a preset created at import exists before a mutant of its function is chosen.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import ConfigurationError
from moorage.domain.webhooks.presets import PRESETS, messaging, payments, preset, standards
from tests.support.module_copies import rerun_module
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import (
    ARN,
    CERT_PAYPAL,
    CERT_SNS,
    SECRET,
    SentWebhook,
    b64,
    mac,
    paypal,
    sns,
)
from tests.webhooks.test_handshakes import CONFIRMATION
from tests.webhooks.verifiers import NOW, Links, Receiver

if TYPE_CHECKING:
    from moorage import WebhookScheme

BUILT = {
    "aws-sns": messaging,
    "aws-sns-sha1": messaging,
    "paypal": payments,
    "paypal-sandbox": payments,
    "plivo": messaging,
    "plivo-v2": messaging,
    "standard-webhooks": standards,
    "standard-webhooks-ed25519": standards,
    "svix": standards,
    "twilio": messaging,
    "twilio-shared-key": messaging,
}
LISTS = {messaging: "MESSAGING", payments: "PAYMENTS", standards: "STANDARDS"}
TWILIO = {
    "queued": "message.queued",
    "sent": "message.sent",
    "delivered": "message.delivered",
    "undelivered": "message.failed",
    "failed": "message.failed",
    "received": "message.received",
}
PAYPAL = {
    "CHECKOUT.ORDER.APPROVED": "payment.requires_capture",
    "PAYMENT.AUTHORIZATION.CREATED": "payment.authorized",
    "PAYMENT.AUTHORIZATION.VOIDED": "payment.voided",
    "PAYMENT.CAPTURE.COMPLETED": "payment.captured",
    "PAYMENT.CAPTURE.DECLINED": "payment.failed",
    "PAYMENT.CAPTURE.DENIED": "payment.failed",
    "PAYMENT.CAPTURE.PENDING": "payment.processing",
    "PAYMENT.CAPTURE.REFUNDED": "payment.refunded",
    "PAYMENT.CAPTURE.REVERSED": "payment.refunded",
    "PAYMENT.REFUND.FAILED": "refund.failed",
    "CUSTOMER.DISPUTE.CREATED": "dispute.created",
    "CUSTOMER.DISPUTE.RESOLVED": "dispute.closed",
}
PLIVO = {
    "queued": "message.queued",
    "sent": "message.sent",
    "delivered": "message.delivered",
    "undelivered": "message.failed",
    "failed": "message.failed",
    "rejected": "message.failed",
}
TYPES = {
    "paypal": PAYPAL,
    "paypal-sandbox": PAYPAL,
    "plivo": PLIVO,
    "plivo-v2": PLIVO,
    "twilio": TWILIO,
    "twilio-shared-key": TWILIO,
}


def built(name: str) -> WebhookScheme:
    """Return the webhook preset with the given name, created again."""
    module = BUILT[name]
    schemes: dict[str, WebhookScheme] = {
        scheme.name: scheme for scheme in getattr(rerun_module(module), LISTS[module])
    }
    return schemes[name]


def receiver(name: str, **more: object) -> Receiver:
    """Return a receiver for the preset, created again."""
    return Receiver.of(BY_NAME[name], scheme=built(name), **more)


@pytest.mark.parametrize("name", BUILT)
def test_rebuilt_presets_give_the_same_events(name: str) -> None:
    """A recreated preset gives the same events for a genuine webhook as the imported one."""
    sender = BY_NAME[name]
    sent_request = sender.send(NOW, 7)
    events = receiver(name).verify(sent_request)

    assert Receiver.of(sender).verify(sent_request) == events
    assert ("paypal" in name) <= all(event.time == NOW for event in events)
    assert tuple(TYPES.get(name, {}).items()) == built(name).types


@pytest.mark.parametrize("name", BUILT)
def test_rebuilt_presets_refuse_old_and_repeated_webhooks(name: str) -> None:
    """A recreated preset keeps its time tolerance, and recognises repeated webhooks."""
    sender = BY_NAME[name]
    tolerance = PRESETS[name].tolerance
    if tolerance is not None:
        for age, reason in ((tolerance, None), (tolerance + 1, "stale")):
            sent_request = sender.send(NOW - timedelta(seconds=age), 7)
            if reason is None:
                assert receiver(name).verify(sent_request)
            else:
                assert reason == receiver(name).reason_of_refusal(sent_request)
    first_receiver = receiver(name, replay_guard=True)
    sent_request = sender.send(NOW, 7)
    first_receiver.done(first_receiver.verify(sent_request))
    renamed_headers = {
        key: "other" if key in sender.free else text for key, text in sent_request.headers.items()
    }
    assert "replayed" == first_receiver.reason_of_refusal(
        attrs.evolve(sent_request, headers=renamed_headers)
    )


@pytest.mark.parametrize(
    "name, sent, reason",
    [
        ("aws-sns", sns("1")(NOW, 7), "downgraded"),
        ("aws-sns", sns("2", TopicArn=ARN + "-ours")(NOW, 7), "foreign"),
        ("aws-sns", sns("2", SigningCertURL=CERT_SNS + ".")(NOW, 7), "certificate"),
        (
            "paypal",
            attrs.evolve(
                paypal(NOW, 7), headers=paypal(NOW, 7).headers | {"PAYPAL-AUTH-ALGO": "SHA1withRSA"}
            ),
            "downgraded",
        ),
        *(
            (
                "paypal",
                attrs.evolve(
                    paypal(NOW, 7), headers=paypal(NOW, 7).headers | {"PAYPAL-CERT-URL": address}
                ),
                "certificate",
            )
            for address in (
                CERT_PAYPAL.replace("api.paypal", "api-paypal"),
                CERT_PAYPAL.replace("paypal.com", "paypal-com"),
                CERT_PAYPAL.replace("api.", "api.sandbox."),
            )
        ),
    ],
)
def test_rebuilt_presets_refuse_foreign_webhooks(name: str, sent: SentWebhook, reason: str) -> None:
    """A recreated preset refuses a weaker signature, a foreign topic and a foreign host."""
    links = Links()

    assert reason == receiver(name, links=links).reason_of_refusal(sent)
    assert [] == links.asked


@pytest.mark.parametrize("name, way", [("twilio", "sha1"), ("twilio-shared-key", "sha256")])
def test_a_body_that_is_no_form_is_signed_by_its_digest(name: str, way: str) -> None:
    """If a body is not a form, Twilio's signed URL must contain the digest of the body."""
    body = b'{"MessageStatus": "sent"}'

    def signed_webhook(query: str) -> SentWebhook:
        url = f"https://shop.example/hook?{query}"
        return SentWebhook(
            headers={
                "X-Twilio-Signature": b64(mac(SECRET, url, way)),
                "Content-Type": "application/json",
            },
            body=body,
            url=url,
        )

    (event,) = receiver(name).verify(signed_webhook("bodySHA256=" + sha256(body).hexdigest()))
    assert "message.sent" == event.type
    assert "signature" == receiver(name).reason_of_refusal(signed_webhook("bodySHA256=" + "0" * 64))
    assert "missing" == receiver(name).reason_of_refusal(signed_webhook("a=b"))


@pytest.mark.parametrize("name", ["standard-webhooks", "svix"])
def test_webhook_header_with_two_signatures_is_accepted_if_one_of_them_is_valid(name: str) -> None:
    """A webhook header with two signatures is accepted if one of them is valid."""
    sent_request = BY_NAME[name].send(NOW, 7)
    (header,) = [header for header in sent_request.headers if header.endswith("-signature")]
    for signature_list in (
        f"v1,AAAA {sent_request.headers[header]}",
        f"{sent_request.headers[header]} v1,AAAA",
    ):
        assert receiver(name).verify(
            attrs.evolve(sent_request, headers=sent_request.headers | {header: signature_list})
        )


@pytest.mark.parametrize("name", ["aws-sns", "aws-sns-sha1"])
def test_a_subscription_asks_to_be_confirmed(name: str) -> None:
    """A recreated SNS preset reports a subscription confirmation as a handshake."""
    version = "2" if name == "aws-sns" else "1"
    (event,) = receiver(name).verify(sns(version, **CONFIRMATION)(NOW, 1))

    assert event.is_handshake


@pytest.mark.parametrize("host", ["api.paypal.com", "api.sandbox.paypal.com"])
def test_paypal_events_can_be_fetched(host: str) -> None:
    """PayPal's webhook events have a URL to fetch them from."""
    (result,) = [
        scheme.fetch
        for scheme in map(built, ("paypal", "paypal-sandbox"))
        if scheme.fetch is not None and f"//{host}/" in scheme.fetch
    ]

    assert f"https://{host}/v1/notifications/webhooks-events/{{id}}" == result


def test_unknown_preset_error_lists_presets() -> None:
    """The error for an unknown webhook preset lists the known ones."""
    assert PRESETS["svix"] is preset("svix")
    for name in ("nobody", "", None, ["svix"]):
        with pytest.raises(ConfigurationError) as excinfo:
            preset(name)  # type: ignore[arg-type]  # what is wrong
        assert f"{name!r} is not a webhook scheme." == excinfo.value.message
        assert "scheme" == excinfo.value.path
        assert ", standard-webhooks, " in excinfo.value.remedy
