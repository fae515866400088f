"""The time of verifying a webhook with moorage, compared with the vendors' libraries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Final

import stripe
import svix.webhooks
from measure import Comparison, Contender, Target, compare, sync_block
from standardwebhooks.webhooks import Webhook

from moorage import WebhookVerifier

_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_DAY: Final = 86_400
_USUAL: Final = {
    "Host": "shop.example",
    "Content-Type": "application/json",
    "User-Agent": "sender/1",
    **{f"X-Proxy-{number}": "value" for number in range(8)},
}
_SIZES: Final = {"1 KB": 1_000, "100 KB": 100_000}


def webhook_signature_small(rounds: int) -> Comparison:
    """Verify the signature of a 1 KB Stripe event, without parsing its content."""
    return _signature("1 KB", rounds)


def webhook_signature_large(rounds: int) -> Comparison:
    """Verify the signature of a 100 KB Stripe event, without parsing its content."""
    return _signature("100 KB", rounds)


def webhook_standard_signature_small(rounds: int) -> Comparison:
    """Verify the signature of a 1 KB Standard Webhook, without parsing its content."""
    return _standard_webhook("1 KB", rounds, read=False)


def webhook_standard_signature_large(rounds: int) -> Comparison:
    """Verify the signature of a 100 KB Standard Webhook, without parsing its content."""
    return _standard_webhook("100 KB", rounds, read=False)


def webhook_stripe_small(rounds: int) -> Comparison:
    """Verify and parse a 1 KB Stripe event."""
    return _stripe("1 KB", rounds)


def webhook_stripe_large(rounds: int) -> Comparison:
    """Verify and parse a 100 KB Stripe event."""
    return _stripe("100 KB", rounds)


def webhook_standard_small(rounds: int) -> Comparison:
    """Verify and parse a 1 KB Standard Webhook."""
    return _standard_webhook("1 KB", rounds, read=True)


def webhook_standard_large(rounds: int) -> Comparison:
    """Verify and parse a 100 KB Standard Webhook."""
    return _standard_webhook("100 KB", rounds, read=True)


def _body(size: str) -> bytes:
    """Return an event of about this size, with many small values like an invoice."""
    lines = [
        {"id": f"il_{number}", "amount": number * 100, "currency": "eur", "paid": True}
        for number in range(_SIZES[size] // 66)
    ]
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "invoice.paid",
        "created": 1_700_000_000,
        "data": {"object": {"id": "in_1", "lines": lines}},
    }
    return json.dumps(event).encode()


def _signed_for_stripe(body: bytes) -> str:
    stamp = int(time.time())
    signature = hmac.new(_SECRET.encode(), b"%d.%s" % (stamp, body), hashlib.sha256).hexdigest()
    return f"t={stamp},v1={signature}"


def _signature(size: str, rounds: int) -> Comparison:
    """Compare how fast two libraries verify the same signature."""
    body = _body(size)
    text, content = _signed_for_stripe(body), body.decode()
    verify_header = stripe.WebhookSignature.verify_header
    peers = [
        Contender("stripe", sync_block(lambda: verify_header(body, text, _SECRET, _DAY))),
        Contender(
            "stripe, given text", sync_block(lambda: verify_header(content, text, _SECRET, _DAY))
        ),
    ]
    headers = {"Stripe-Signature": text}
    our_contenders = [
        _moorage_contender("stripe", headers, body, among=among_others, read=False)
        for among_others in (False, True)
    ]
    return _comparison(f"the signature of Stripe, {size}", peers, our_contenders, rounds)


def _stripe(size: str, rounds: int) -> Comparison:
    body = _body(size)
    text = _signed_for_stripe(body)
    stripe.api_key = "unused"

    def verify_by_library() -> object:
        return stripe.Webhook.construct_event(body, text, _SECRET, tolerance=_DAY)

    peers = [Contender("stripe", sync_block(verify_by_library))]
    headers = {"Stripe-Signature": text}
    our_contenders = [
        _moorage_contender("stripe", headers, body),
        _moorage_contender("stripe", headers, body, among=True),
        _guarded_contender("stripe", headers, body),
    ]
    return _comparison(f"a webhook of Stripe, {size}", peers, our_contenders, rounds)


def _standard_webhook(size: str, rounds: int, *, read: bool) -> Comparison:
    body, stamp = _body(size), int(time.time())
    key = base64.b64decode(_SECRET.removeprefix("whsec_"))
    signed_bytes = hmac.new(key, b"msg_1.%d.%s" % (stamp, body), hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(signed_bytes).decode()
    fields = {"id": "msg_1", "timestamp": str(stamp), "signature": signature}
    headers = {f"webhook-{name}": value for name, value in fields.items()}
    svix_headers = {f"svix-{name}": value for name, value in fields.items()}
    standard_webhook, svix_webhook = Webhook(_SECRET), svix.webhooks.Webhook(_SECRET)
    peers = [
        Contender(
            "standardwebhooks",
            sync_block(lambda: standard_webhook.verify(body, headers, json_parse=read)),
        ),
    ]
    if not read:
        peers.append(Contender("svix", sync_block(lambda: svix_webhook.verify(body, svix_headers))))
    our_contenders = [
        _moorage_contender("standard-webhooks", headers, body, among=among_others, read=read)
        for among_others in (False, True)
    ]
    title = "a Standard Webhook" if read else "the signature of a Standard Webhook"
    return _comparison(f"{title}, {size}", peers, our_contenders, rounds)


def _moorage_contender(
    scheme: str, headers: dict[str, str], body: bytes, *, among: bool = False, read: bool = True
) -> Contender:
    """Return moorage as a candidate, without its replay guard because the others have none.

    A run takes a while, so the tolerance is a day, as it is for the others where it can be set.
    """
    verifier = WebhookVerifier(scheme, _SECRET, replay_guard=False, tolerance=_DAY)
    value = _USUAL | headers if among else headers

    def verify_delivery() -> object:
        return verifier.verify(headers=value, body=body)

    def verify_known_key() -> object:
        return verifier.verify(headers=value, body=body)[0].payload

    return Contender(
        "moorage, among eleven other headers" if among else "moorage",
        sync_block(verify_known_key if read else verify_delivery),
    )


def _guarded_contender(scheme: str, headers: dict[str, str], body: bytes) -> Contender:
    """Return moorage as a candidate, with a replay guard that claims and releases each delivery."""
    verifier = WebhookVerifier(scheme, _SECRET, tolerance=_DAY)
    value = _USUAL | headers

    def claim_delivery() -> object:
        events = verifier.verify(headers=value, body=body)
        verifier.release(events)
        return events

    return Contender("moorage, claimed and released", sync_block(claim_delivery))


def _comparison(
    title: str, peers: list[Contender], ours: list[Contender], rounds: int
) -> Comparison:
    return Comparison(title, compare(None, [*peers, *ours], rounds=rounds), Target(1.0, 0.92))


ALL: Final = (
    webhook_signature_small,
    webhook_signature_large,
    webhook_standard_signature_small,
    webhook_standard_signature_large,
    webhook_stripe_small,
    webhook_stripe_large,
    webhook_standard_small,
    webhook_standard_large,
)
