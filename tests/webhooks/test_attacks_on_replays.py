"""Replay attacks: genuine webhooks sent again with their unsigned content changed."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import attrs
import pytest

from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.webhook_secrets import StaticWebhookSecrets
from moorage.domain.webhooks.presets import preset
from moorage.testing import VirtualClock
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import (
    ARN,
    FORM,
    HEX,
    SECRET,
    SentWebhook,
    adyen_item,
    as_json,
    b64,
    mac,
    sns,
)
from tests.webhooks.verifiers import NOW, Receiver

GITHUB = BY_NAME["github"]


@pytest.mark.parametrize("hidden", ["Type", "TopicArn", "Timestamp", "MessageId"])
def test_message_that_amazon_sns_signed_for_another_customer_topic_is_refused(hidden: str) -> None:
    """A message that Amazon SNS signed for another customer's topic is refused.

    The other topic's signed lines can be split in another way, into a message of our own topic.
    """
    sns_timestamp = NOW.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    original_fields = {
        "MessageId": "m-1",
        "Timestamp": sns_timestamp,
        "TopicArn": ARN,
        "Type": "Notification",
    }
    lines = "".join(f"{name}\n{value}\n" for name, value in original_fields.items()).rstrip("\n")
    foreign_topic = "arn:aws:sns:eu-west-1:666:evil"
    signed_request = sns("2", Message=f"pay\n{lines}", TopicArn=foreign_topic)(NOW, 2)
    fields = json.loads(signed_request.body)
    names = ("MessageId", "Timestamp", "TopicArn", "Type")
    trailing_lines = "".join(f"{name}\n{fields[name]}\n" for name in names).rstrip("\n")
    forged_fields = fields | original_fields | {"Message": "pay"}
    forged_fields[hidden] = f"{forged_fields[hidden]}\n{trailing_lines}"

    forgery = attrs.evolve(signed_request, body=as_json(forged_fields))
    assert Receiver.of(BY_NAME["aws-sns"]).reason_of_refusal(forgery) in {
        "malformed",
        "foreign",
        "missing",
    }
    assert "foreign" == Receiver.of(BY_NAME["aws-sns"]).reason_of_refusal(signed_request)
    several_request = sns("2", Message="one\ntwo\n")(NOW, 3)
    assert Receiver.of(BY_NAME["aws-sns"]).verify(several_request)


def test_other_splits_of_adyen_colon_joined_signed_text_count_as_same_event() -> None:
    """Adyen items whose fields differ, but whose joined signed text is equal, are one event."""
    receiver = Receiver.of(BY_NAME["adyen"], replay_guard=True)
    reference = str(adyen_item(1)["pspReference"])
    content = f"{reference}::TestMerchant:INV-7:INV-8:1130:EUR:AUTHORISATION:true"
    signature_data = {"hmacSignature": b64(mac(bytes.fromhex(HEX), content))}
    genuine_item = adyen_item(1, merchantReference="INV-7:INV-8", additionalData=signature_data)
    split = genuine_item | {
        "pspReference": f"{reference}:",
        "originalReference": genuine_item["merchantAccountCode"],
        "merchantAccountCode": "INV-7",
        "merchantReference": "INV-8",
    }
    first, second = (
        SentWebhook(
            headers={}, body=as_json({"notificationItems": [{"NotificationRequestItem": item}]})
        )
        for item in (genuine_item, split)
    )
    (event,) = receiver.verify(first)
    assert event.id.startswith(reference)
    receiver.done(event)
    assert "replayed" == receiver.reason_of_refusal(second)
    assert Receiver.of(BY_NAME["adyen"]).verify(second)[0].is_forgeable


def test_challenge_response_is_no_signature() -> None:
    """The signed answer to Braintree's challenge cannot be used as a webhook's signature."""
    braintree = BY_NAME["braintree"]
    receiver = Receiver.of(braintree)
    for challenge in ("deadbeefdeadbeefdeadbeefdeadbeef", "0" * 20, "e" * 24, "a0c0" * 6):
        request = SentWebhook(
            headers={},
            body=b"",
            method="GET",
            url=f"https://shop.example/?bt_challenge={challenge}",
        )
        (event,) = receiver.verify(request)
        assert event.reply is not None
        form = {"bt_signature": event.reply.body.decode(), "bt_payload": challenge}
        forgery = SentWebhook(headers={"Content-Type": FORM}, body=urlencode(form).encode())
        assert "malformed" == receiver.reason_of_refusal(forgery)


@pytest.mark.parametrize("place", [0, 1, 5, 19])
def test_forged_item_anywhere_in_batch_of_webhook_events_makes_whole_batch_invalid(
    place: int,
) -> None:
    """A forged item anywhere in a batch of webhook events makes the whole batch invalid."""
    receiver = Receiver.of(BY_NAME["adyen"], replay_guard=True)
    items = [adyen_item(number) for number in range(20)]
    changed_items = [*items]
    changed_items[place] = adyen_item(place) | {"success": "false"}
    wrapped_items = [{"NotificationRequestItem": item} for item in changed_items]
    forgery = SentWebhook(headers={}, body=as_json({"notificationItems": wrapped_items}))

    assert "signature" == receiver.reason_of_refusal(forgery)
    wrapped_items = [{"NotificationRequestItem": item} for item in items]
    genuine_request = SentWebhook(headers={}, body=as_json({"notificationItems": wrapped_items}))
    assert 20 == len(receiver.verify(genuine_request))


def test_only_last_one_counts_if_field_occurs_twice_in_signed_json_item() -> None:
    """If a field occurs twice in a signed JSON item, only its last value counts."""
    good_bytes, evil = as_json(adyen_item(1)), as_json(adyen_item(1) | {"success": "false"})
    for first, second, reason in ((evil, good_bytes, None), (good_bytes, evil, "signature")):
        body = (
            b'{"notificationItems":[{"NotificationRequestItem":%s,"NotificationRequestItem":%s}]}'
            % (first, second)
        )
        receiver = Receiver.of(BY_NAME["adyen"])
        sent_request = SentWebhook(headers={}, body=body)
        if reason is None:
            assert "true" == receiver.verify(sent_request)[0].payload["success"]
        else:
            assert reason == receiver.reason_of_refusal(sent_request)


def guards(*places: tuple[str, str | None]) -> list[tuple[Receiver, str | None]]:
    """Return receivers for the given endpoints and tenants; all share one store and one secret."""
    clock = VirtualClock(NOW)
    store = MemoryStorage(clock=clock)
    secrets = StaticWebhookSecrets(dict.fromkeys((tenant for _, tenant in places), SECRET))
    return [
        (Receiver("github", secrets, name=name, storage=store, replay_guard=True), tenant)
        for name, tenant in places
    ]


def test_endpoints_remember_deliveries_separately() -> None:
    """Each endpoint and tenant has its own memory of webhook deliveries, whatever their names."""
    sent_request = GITHUB.send(NOW, 1)
    places = guards(
        ("shop", None),
        ("shop", "None"),
        ("shop", ""),
        ("shop", "acme"),
        ("shop", "acme "),
        ("shop", "@acme"),
        ("shop:acme", None),
        ("acme:shop", None),
        ("shop", "acme:shop"),
        ("Shop", "acme"),
        ("shop}", None),
        ("{shop}", None),
    )
    for receiver, tenant in places:
        receiver.done(receiver.verify(sent_request, tenant=tenant))
    for receiver, tenant in places:
        assert "replayed" == receiver.reason_of_refusal(sent_request, tenant=tenant)


def test_webhook_delivery_that_one_worker_has_claimed_is_replay_for_other_workers() -> None:
    """A webhook delivery that one worker has claimed is a replay for the other workers."""
    (first, _), (second, _) = guards(("shop", None), ("shop", None))
    sent_request = GITHUB.send(NOW, 1)
    events = first.verify(sent_request)

    assert "replayed" == second.reason_of_refusal(sent_request)
    second.release(events)
    assert second.verify(sent_request)


@pytest.mark.parametrize("name", ["github", "razorpay", "shopify", "gitlab", "linear", "twilio"])
@pytest.mark.parametrize("spoil", ["other", "", "\x00", "é", "x" * 9_000])
def test_replay_with_another_id_is_refused(name: str, spoil: str) -> None:
    """A repeated webhook is recognised, even if its unsigned id was changed or removed."""
    sender = BY_NAME[name]
    receiver = Receiver.of(sender, replay_guard=True)
    sent_request = sender.send(NOW, 1)
    receiver.done(receiver.verify(sent_request))
    for headers in (
        sent_request.headers | dict.fromkeys(sender.free, spoil),
        {
            header: text
            for header, text in sent_request.headers.items()
            if header not in sender.free
        },
    ):
        assert "replayed" == receiver.reason_of_refusal(attrs.evolve(sent_request, headers=headers))


def test_borrowed_id_does_not_block_a_delivery() -> None:
    """A genuine webhook that carries another webhook's id does not block that other webhook."""
    receiver = Receiver.of(GITHUB, replay_guard=True)
    own_request, yours_request = GITHUB.send(NOW, 1), GITHUB.send(NOW, 2)
    borrowed_header = {"X-GitHub-Delivery": yours_request.headers["X-GitHub-Delivery"]}
    receiver.done(
        receiver.verify(attrs.evolve(own_request, headers=own_request.headers | borrowed_header))
    )

    assert receiver.verify(yours_request)


def test_deliveries_are_remembered_longer_than_they_are_valid() -> None:
    """By default a webhook delivery is remembered for longer than its timestamp is valid."""
    for name in ("stripe", "slack", "aws-sns", "sendgrid", "mailgun", "standard-webhooks"):
        sender = BY_NAME[name]
        tolerance = preset(name).tolerance
        assert tolerance is not None
        receiver = Receiver.of(sender, replay_guard=True)
        sent_request = sender.send(NOW, 1)
        receiver.done(receiver.verify(sent_request))
        receiver.clock.advance(tolerance - 1)
        assert "replayed" == receiver.reason_of_refusal(sent_request)
        receiver.clock.advance(2)
        assert receiver.reason_of_refusal(sent_request) in {"stale", "replayed"}
