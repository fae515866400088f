"""Every webhook preset accepts its vendor's webhooks, and refuses changed ones."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import unquote_to_bytes

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError, WebhookRejected, WebhookReply
from moorage.domain.webhooks.algorithms import PLAIN
from moorage.domain.webhooks.presets import PRESETS
from moorage.domain.webhooks.replies import reply_to
from tests.support.examples import examples
from tests.webhooks.senders import BY_NAME, SENDERS, Sender
from tests.webhooks.signing import HEX, SECRET, SentWebhook, adyen_item, as_json, b64, mac
from tests.webhooks.verifiers import IN_BOTH, NOW, Receiver
from tools import presets

# Excluded from coverage runs, because other tests cover these lines.
pytestmark = pytest.mark.untraced

EACH = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
KEYED = pytest.mark.parametrize(
    "sender",
    [sender for sender in SENDERS if sender.secret is not None],
    ids=lambda sender: sender.name,
)
SIGNED = pytest.mark.parametrize(
    "sender",
    [sender for sender in SENDERS if PRESETS[sender.name].algorithm not in PLAIN],
    ids=lambda sender: sender.name,
)
SINGLE = pytest.mark.parametrize(
    "sender",
    [sender for sender in SENDERS if not PRESETS[sender.name].repeats],
    ids=lambda sender: sender.name,
)
TOLD_APART = pytest.mark.parametrize(
    "sender",
    [sender for sender in SENDERS if not PRESETS[sender.name].only_hints],
    ids=lambda sender: sender.name,
)
STAMPED = pytest.mark.parametrize(
    "sender",
    [sender for sender in SENDERS if PRESETS[sender.name].tolerance is not None],
    ids=lambda sender: sender.name,
)


def signed_headers(sender: Sender, sent: SentWebhook) -> list[str]:
    """Return the names of the headers that are signed or carry the signature."""
    return [name for name in sent.headers if name not in sender.free | {"Content-Type"}]


def flip_bit(sent: SentWebhook, sender: Sender, place: int, bit: int) -> SentWebhook:
    """Return the webhook with one bit changed in its signed content or signature."""
    names = signed_headers(sender, sent)
    sizes = [len(sent.headers[name]) for name in names]
    body = len(sent.body) if sender.body_covered else 0
    place %= max(1, sum(sizes) + body)
    for name, size in zip(names, sizes, strict=True):
        if place < size:
            text = sent.headers[name]
            flipped_value = text[:place] + chr(ord(text[place]) ^ 1 << bit) + text[place + 1 :]
            return attrs.evolve(sent, headers=sent.headers | {name: flipped_value})
        place -= size
    turned_body = bytearray(sent.body)
    turned_body[place] ^= 1 << bit
    return attrs.evolve(sent, body=bytes(turned_body))


def test_every_preset_has_a_sender() -> None:
    """Every webhook preset has a test sender."""
    assert set(PRESETS) == {sender.name for sender in SENDERS}


def test_every_preset_is_on_the_page() -> None:
    """The webhook documentation lists each preset, and the parts that weak ones do not sign."""
    text = presets.page()
    for name, scheme in PRESETS.items():
        assert f"| `{name}` |" in text
        assert scheme.is_forgeable == (f"- `{name}`:" in text)


@EACH
@IN_BOTH
def test_genuine_webhooks_are_accepted(sender: Sender, is_async: bool) -> None:
    """For every preset, a genuine webhook gives events with vendor and id."""
    events = Receiver.of(sender, is_async=is_async).verify(sender.send(NOW, 7))

    scheme = PRESETS[sender.name]
    assert events
    for event in events:
        assert scheme.name == event.vendor
        assert event.id
        assert (scheme.type is None) or event.vendor_type
        assert scheme.is_forgeable == event.is_forgeable
        assert scheme.covers == event.covers
        assert event.payload is not None
        assert event.reply is None
        assert not event.is_handshake
    assert len(events) == len({event.id for event in events})


@KEYED
def test_another_secret_is_refused(sender: Sender) -> None:
    """For every preset, a webhook signed with another secret is refused."""
    receiver = Receiver.of(sender, secret=sender.wrong)

    assert "signature" == receiver.reason_of_refusal(sender.send(NOW, 7))


@KEYED
def test_secrets_are_replaced_without_a_gap(sender: Sender) -> None:
    """With two secrets configured, a webhook signed by either one is accepted."""
    receiver = Receiver.of(sender, secret=[sender.wrong, sender.secret])

    assert receiver.verify(sender.send(NOW, 7))


@KEYED
@pytest.mark.parametrize("nothing", [None, "", " ", "\t\n", b"", b"  ", [], [""]])
def test_no_secret_is_refused_at_once(sender: Sender, nothing: object) -> None:
    """A webhook verifier cannot be created without a secret or with an empty one."""
    with pytest.raises(ConfigurationError, match="accept any sender"):
        Receiver.of(sender, secret=nothing)
    if isinstance(nothing, (str, bytes)):
        with pytest.raises(ConfigurationError, match="accept any sender"):
            Receiver.of(sender, secret=[sender.secret, nothing])


@EACH
@examples(60)
@given(place=st.integers(0, 100_000), bit=st.integers(0, 6))
def test_a_flipped_bit_is_refused(sender: Sender, place: int, bit: int) -> None:
    """A webhook with any flipped bit in signature, time or signed body is refused.

    The only exception is the case of a percent escape in a form, which has the same meaning.
    """
    sent_request = sender.send(NOW, 7)
    if not signed_headers(sender, sent_request) and not sender.body_covered:
        return
    changed_request = flip_bit(sent_request, sender, place, bit)
    refused_error: WebhookRejected | None = None
    try:
        Receiver.of(sender).verify(changed_request)
    except WebhookRejected as error:
        refused_error = error
    is_same = unquote_to_bytes(sent_request.body) == unquote_to_bytes(changed_request.body)
    assert (
        (sent_request.headers == changed_request.headers and is_same)
        if refused_error is None
        else refused_error.reason
    )


@EACH
def test_truncated_webhooks_are_refused(sender: Sender) -> None:
    """A webhook with a truncated signature or body is refused."""
    sent_request = sender.send(NOW, 7)
    receiver = Receiver.of(sender)
    for name in signed_headers(sender, sent_request):
        text = sent_request.headers[name]
        for short_value in ("", text[: len(text) // 2], text[:-1]):
            assert receiver.reason_of_refusal(
                attrs.evolve(sent_request, headers=sent_request.headers | {name: short_value})
            )
        remaining_headers = {
            header_name: value
            for header_name, value in sent_request.headers.items()
            if header_name != name
        }
        assert receiver.reason_of_refusal(attrs.evolve(sent_request, headers=remaining_headers))
    for short_body in (
        ()
        if not sender.body_covered
        else (b"", sent_request.body[:-1], sent_request.body[: len(sent_request.body) // 2])
    ):
        assert receiver.reason_of_refusal(attrs.evolve(sent_request, body=short_body))


@STAMPED
def test_webhooks_outside_the_tolerance_are_refused(sender: Sender) -> None:
    """A webhook's time may differ from the present by at most the preset's tolerance."""
    tolerance = PRESETS[sender.name].tolerance
    assert tolerance is not None
    receiver = Receiver.of(sender)
    near_duration, far_duration = timedelta(seconds=tolerance - 2), timedelta(seconds=tolerance + 2)

    assert receiver.verify(sender.send(NOW - near_duration, 7))
    assert receiver.verify(sender.send(NOW + near_duration, 7))
    assert "stale" == receiver.reason_of_refusal(sender.send(NOW - far_duration, 7))
    assert "future" == receiver.reason_of_refusal(sender.send(NOW + far_duration, 7))


@TOLD_APART
@IN_BOTH
def test_a_replay_is_refused(sender: Sender, is_async: bool) -> None:
    """With a replay guard, the same webhook is refused a second time, and another is accepted."""
    receiver = Receiver.of(sender, is_async=is_async, replay_guard=True)
    events = receiver.verify(sender.send(NOW, 7))

    assert "replayed" == receiver.reason_of_refusal(sender.send(NOW, 7))
    receiver.done(events)
    assert "replayed" == receiver.reason_of_refusal(sender.send(NOW, 7))
    assert receiver.verify(sender.send(NOW, 8))


@TOLD_APART
@IN_BOTH
def test_a_replay_gets_the_answer_of_the_first(sender: Sender, is_async: bool) -> None:
    """A webhook that was already handled gets status 200 and the text that the vendor expects."""
    receiver = Receiver.of(sender, is_async=is_async, replay_guard=True)
    events = receiver.verify(sender.send(NOW, 7))
    with pytest.raises(WebhookRejected) as excinfo:
        receiver.verify(sender.send(NOW, 7))
    assert WebhookReply(409) == reply_to(excinfo.value)
    receiver.done(events)

    with pytest.raises(WebhookRejected) as excinfo:
        receiver.verify(sender.send(NOW, 7))
    expected_reply = events[0].answer or WebhookReply.text(receiver.verifier.accepted)
    assert expected_reply == reply_to(excinfo.value)
    assert 200 == expected_reply.status


@IN_BOTH
def test_webhooks_that_contain_only_an_id_are_never_replays(is_async: bool) -> None:
    """Mollie's classic webhooks contain only a payment id, so none is refused as a replay."""
    sender = BY_NAME["mollie-classic"]
    receiver = Receiver.of(sender, is_async=is_async, replay_guard=True)
    for _ in range(2):
        events = receiver.verify(sender.send(NOW, 7))
        receiver.done(events)

        assert ["tr_7"] == [event.id for event in events]


@pytest.mark.parametrize(
    "sender",
    [
        sender
        for sender in SENDERS
        if PRESETS[sender.name].algorithm not in PLAIN and not PRESETS[sender.name].only_hints
    ],
    ids=lambda sender: sender.name,
)
def test_replay_with_changed_unsigned_headers_is_refused(sender: Sender) -> None:
    """A webhook sent again with changed unsigned headers is refused as a replay."""
    receiver = Receiver.of(sender, replay_guard=True)
    sent_request = sender.send(NOW, 7)
    receiver.done(receiver.verify(sent_request))
    renamed_headers = {
        name: ("other" if name in sender.free else value)
        for name, value in sent_request.headers.items()
    }
    free_headers = dict.fromkeys(sender.free, "more")

    assert "replayed" == receiver.reason_of_refusal(
        attrs.evolve(sent_request, headers=free_headers | renamed_headers)
    )


@SINGLE
def test_webhook_with_two_different_signature_headers_is_refused(sender: Sender) -> None:
    """A webhook with two different signature headers is refused, in either order."""
    sent_request = sender.send(NOW, 7)
    receiver = Receiver.of(sender)
    for name in signed_headers(sender, sent_request):
        pairs = list(sent_request.headers.items())
        second_header = (name.lower(), sent_request.headers[name][:-1] + "?")
        for headers in ([*pairs, second_header], [second_header, *pairs]):
            assert "duplicated" == receiver.reason_of_refusal(
                sent_request.arguments() | {"headers": headers}
            )
        assert receiver.verify(
            sent_request.arguments() | {"headers": [*pairs, (name, sent_request.headers[name])]}
        )


@EACH
def test_forgery_does_not_block_a_delivery(sender: Sender) -> None:
    """After forged copies of a webhook were refused, the genuine one is still accepted."""
    receiver = Receiver.of(sender, replay_guard=True)
    sent_request = sender.send(NOW, 7)
    for name in signed_headers(sender, sent_request):
        receiver.reason_of_refusal(
            attrs.evolve(sent_request, headers=sent_request.headers | {name: "forged"})
        )

    assert receiver.verify(sent_request)


@pytest.mark.parametrize(
    "code, success, type_",
    [
        ("AUTHORISATION", "true", "payment.authorized"),
        ("AUTHORISATION", "false", "payment.failed"),
        ("CAPTURE", "false", "payment.failed"),
        ("CANCELLATION", "false", "CANCELLATION"),
        ("REFUND", "true", "payment.refunded"),
        ("REFUND", "false", "refund.failed"),
        ("REFUND_FAILED", "true", "refund.failed"),
    ],
)
def test_type_of_an_adyen_event_depends_on_its_success(code: str, success: str, type_: str) -> None:
    """An Adyen event of a step that failed does not have the type of a step that succeeded."""
    item = adyen_item(1, eventCode=code, success=success)
    text = f"{item['pspReference']}::TestMerchant:TestPayment-1:1130:EUR:{code}:{success}"
    item["additionalData"] = {"hmacSignature": b64(mac(bytes.fromhex(HEX), text))}
    body = as_json({"notificationItems": [{"NotificationRequestItem": item}]})
    [event] = Receiver.of(BY_NAME["adyen"]).verify(SentWebhook(headers={}, body=body))

    assert (type_, code) == (event.type, event.vendor_type)


def test_updated_stripe_refund_does_not_report_a_refunded_payment() -> None:
    """A Stripe event of a changed refund keeps Stripe's type, as the refund may have failed."""
    body = as_json({"id": "evt_1", "type": "refund.updated", "data": {"object": {}}})
    stamp = int(NOW.timestamp())
    signature = mac(SECRET, f"{stamp}.".encode() + body).hex()
    sent = SentWebhook(headers={"Stripe-Signature": f"t={stamp},v1={signature}"}, body=body)
    [event] = Receiver.of(BY_NAME["stripe"]).verify(sent)

    assert "refund.updated" == event.type
