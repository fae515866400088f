"""Challenges that webhook vendors send before they send events."""

from __future__ import annotations

import json

import attrs
import pytest

from moorage import WebhookRejected, WebhookReply
from moorage.adapters.webhook_secrets import StaticWebhookSecrets
from moorage.domain.webhooks.choices import Handshake
from moorage.domain.webhooks.handshakes import confirmation
from tests.webhooks import keys
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import ARN, SECRET, SentWebhook, as_json, mac, sns, versioned_sender
from tests.webhooks.test_verifier import ChangingSecrets
from tests.webhooks.verifiers import CONFIRM, IN_BOTH, NOW, Links, Receiver


def signed_question(name: str, payload: object) -> SentWebhook:
    """Return a signed challenge request of Slack or Zoom."""
    signature, time = {
        "slack": ("X-Slack-Signature", "X-Slack-Request-Timestamp"),
        "zoom": ("x-zm-signature", "x-zm-request-timestamp"),
    }[name]
    return versioned_sender(signature, time, lambda _: payload)(NOW, 0)


@pytest.mark.parametrize("name", ["slack", "zoom"])
def test_list_is_no_challenge(name: str) -> None:
    """A signed webhook that is a JSON list is read as an event, not as a challenge."""
    (event,) = Receiver.of(BY_NAME[name]).verify(signed_question(name, [1]))
    assert (None, [1]) == (event.reply, event.payload)


def test_only_sns_has_subscriptions_that_are_confirmed() -> None:
    """Only Amazon SNS messages ask for confirmation; equal text from others is an event."""
    words = {"Type": "SubscriptionConfirmation", "SubscribeURL": CONFIRM}

    assert CONFIRM == confirmation(Handshake.SNS, words)
    assert confirmation(Handshake.SLACK, words) is None
    assert confirmation(Handshake.SNS, [words]) is None


def test_slack_gets_its_challenge_back() -> None:
    """Slack's challenge is returned as plain text, also if it is repeated."""
    receiver = Receiver.of(BY_NAME["slack"], replay_guard=True)
    sent_request = signed_question(
        "slack", {"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY"}
    )
    for _ in range(2):
        (event,) = receiver.verify(sent_request)
        assert WebhookReply(200, b"3eZbrw1aBm2rZgRNFdxV2595E9CY") == event.reply
        assert event.is_handshake


@pytest.mark.parametrize("challenge", [None, 7, "", "<script>", "a b", "v0:1:x", "x" * 300])
def test_only_simple_challenges_are_echoed(challenge: object) -> None:
    """A challenge that could be markup, a header or a webhook is not echoed and not signed."""
    slack = signed_question("slack", {"type": "url_verification", "challenge": challenge})
    assert "malformed" == Receiver.of(BY_NAME["slack"]).reason_of_refusal(slack)
    payload = {"event": "endpoint.url_validation", "payload": {"plainToken": challenge}}
    assert "malformed" == Receiver.of(BY_NAME["zoom"]).reason_of_refusal(
        signed_question("zoom", payload)
    )
    with pytest.raises(WebhookRejected, match="no challenge that moorage can echo"):
        Receiver.of(BY_NAME["slack"]).verify(slack)
    odd_challenge = {"event": "endpoint.url_validation", "payload": [challenge]}
    assert "malformed" == Receiver.of(BY_NAME["zoom"]).reason_of_refusal(
        signed_question("zoom", odd_challenge)
    )


def test_zoom_gets_its_token_signed() -> None:
    """Zoom's challenge token is signed with the secret that signed the request."""
    receiver = Receiver.of(BY_NAME["zoom"], secret=["another secret of theirs", SECRET])
    payload = {
        "event": "endpoint.url_validation",
        "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"},
    }
    (event,) = receiver.verify(signed_question("zoom", payload))

    assert event.reply is not None
    assert "application/json" == event.reply.content_type
    assert {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": mac(SECRET, "qgg8vlvZRS6UYooatFL8Aw").hex(),
    } == json.loads(event.reply.body)


def test_discord_gets_its_ping_back() -> None:
    """Discord's ping is answered with a pong."""
    sender = BY_NAME["discord"]
    sent_request = sender.send(NOW, 1)
    body = as_json({"type": 1})
    time = sent_request.headers["X-Signature-Timestamp"]
    signature = keys.ed25519_key().sign(time.encode() + body).hex()
    headers = sent_request.headers | {"X-Signature-Ed25519": signature}
    (event,) = Receiver.of(sender).verify(attrs.evolve(sent_request, headers=headers, body=body))

    assert WebhookReply(200, b'{"type":1}', "application/json") == event.reply
    assert event.reply == WebhookReply.json({"type": 1})


@IN_BOTH
def test_meta_get_request_with_correct_verify_token_gets_its_challenge_back(is_async: bool) -> None:
    """Meta's GET request with the correct verify token gets its challenge back."""
    secrets = StaticWebhookSecrets({None: "unused", "acme": "unused"})
    receiver = Receiver.of(BY_NAME["meta"], is_async=is_async, secret=secrets)

    def get(
        mode: str = "subscribe", token: str = "v", challenge: str = "1158201444"
    ) -> SentWebhook:
        query = f"hub.mode={mode}&hub.challenge={challenge}&hub.verify_token={token}"
        return SentWebhook(headers={}, body=b"", method="get", url=f"https://shop.example/?{query}")

    (event,) = receiver.verify(get(), tenant="acme")
    assert WebhookReply(200, b"1158201444") == event.reply
    assert ("meta", "", "handshake", "meta", "acme") == (
        event.vendor,
        event.id,
        event.type,
        event.vendor_type,
        event.tenant,
    )
    assert "signature" == receiver.reason_of_refusal(get(token="w"))
    assert "signature" == receiver.reason_of_refusal(get(token=""))
    assert "signature" == receiver.reason_of_refusal(get(token="\ud800"))
    assert "signature" == receiver.reason_of_refusal(get(mode="unsubscribe"))
    assert "malformed" == receiver.reason_of_refusal(get(challenge="%3Cscript%3E"))
    assert "signature" == receiver.reason_of_refusal(
        attrs.evolve(get(), url="https://shop.example/")
    )
    assert "malformed" == receiver.reason_of_refusal(
        attrs.evolve(get(), url="https://shop.example/?%ff=1")
    )


def test_braintree_gets_its_challenge_signed() -> None:
    """Braintree's challenge is signed as Braintree's Python library signs it."""
    receiver = Receiver.of(
        BY_NAME["braintree"],
        secret="integration_private_key",
        parameters={"public_key": "integration_public_key"},
    )
    url = "https://shop.example/?bt_challenge="
    sent_request = SentWebhook(
        headers={}, body=b"", method="GET", url=url + "20f9f8ed05f77439fe955c977e4c8a53"
    )
    (event,) = receiver.verify(sent_request)

    assert event.reply is not None
    expected = b"integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4"
    assert expected == event.reply.body
    assert "malformed" == receiver.reason_of_refusal(
        attrs.evolve(sent_request, url=url + "Zm9vYmFyZm9vYmFyZm9v")
    )


def test_challenge_is_answered_with_the_secret_of_its_tenant() -> None:
    """A Braintree challenge is answered with the secret of the endpoint's tenant."""
    provider = ChangingSecrets("a key")
    receiver = Receiver.of(
        BY_NAME["braintree"], secret=provider, name="pay", parameters={"public_key": "p"}
    )
    url = "https://shop.example/?bt_challenge=20f9f8ed05f77439fe955c977e4c8a53"
    receiver.verify(SentWebhook(headers={}, body=b"", method="GET", url=url), tenant="acme")

    assert [("pay", "acme", None)] == provider.asked


CONFIRMATION = {"Type": "SubscriptionConfirmation", "SubscribeURL": CONFIRM, "Token": "b"}


@IN_BOTH
def test_a_subscription_is_confirmed(is_async: bool) -> None:
    """The link of a verified SNS confirmation is opened when the program asks for it."""
    links = Links()
    receiver = Receiver.of(BY_NAME["aws-sns"], is_async=is_async, links=links)
    (event,) = receiver.verify(sns("2", **CONFIRMATION)(NOW, 1))
    assert event.is_handshake
    assert CONFIRM not in links.asked

    assert receiver.confirm(event)
    assert CONFIRM == links.asked[-1]
    (other_event,) = receiver.verify(BY_NAME["aws-sns"].send(NOW, 1))
    assert not receiver.confirm(other_event)


@pytest.mark.parametrize(
    "link",
    [
        CONFIRM.replace("https", "http"),
        CONFIRM.replace("amazonaws.com", "amazonaws.com.evil.example"),
        CONFIRM.replace("https://", "https://evil.example@"),
        CONFIRM.replace("ConfirmSubscription", "DeleteTopic"),
        "",
    ],
)
def test_sns_confirmation_with_link_that_leads_anywhere_but_to_amazon_is_refused(link: str) -> None:
    """An SNS confirmation with a link that leads anywhere but to Amazon is refused."""
    receiver = Receiver.of(BY_NAME["aws-sns"])
    options = CONFIRMATION | {"SubscribeURL": link}

    assert "malformed" == receiver.reason_of_refusal(sns("2", **options)(NOW, 1))


def test_sns_message_of_another_topic_is_refused() -> None:
    """A signed SNS message of a topic other than the configured one is refused."""
    receiver = Receiver.of(BY_NAME["aws-sns"], parameters={"topic_arn": ARN + "-ours"})

    assert "foreign" == receiver.reason_of_refusal(BY_NAME["aws-sns"].send(NOW, 1))
