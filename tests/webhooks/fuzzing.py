"""Fuzzing of webhook verifiers: damaged webhooks, and rules that each result must obey.

Genuine webhooks are damaged in bits, pieces, headers, times and order. For each of them, a verifier
returns events or raises `WebhookRejected`; and it returns events only if the signed content is
unchanged.

`make fuzz` runs a hundred thousand for each family of schemes.
"""

# ruff: noqa: E501 - the tables are to be looked at, not read

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import WebhookRejected
from moorage.domain.webhooks.presets import PRESETS
from tests.webhooks.senders import BY_NAME, Sender
from tests.webhooks.signing import FORM, SentWebhook
from tests.webhooks.verifiers import NOW, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES: Final = {
    "body": ("github", "shopify", "paystack", "docusign", "easypost", "mollie", "intercom"),
    "stamped": ("stripe", "paddle", "slack", "standard-webhooks", "linear"),
    "url": ("twilio", "square", "hubspot", "messagemedia"),
    "items": ("adyen", "xero", "meta"),
    "fields": ("mailgun", "mailgun-inbound", "braintree"),
    "pairs": ("vonage",),
    "curves": ("discord", "sendgrid", "sendgrid-inbound", "standard-webhooks-ed25519", "telnyx"),
    "certificates": ("paypal", "aws-sns"),
    "tokens": ("plaid",),
    "plain": ("telegram", "basic-auth", "bearer-token", "url-token", "client-certificate"),
}
"""Webhook presets by the kind of their verification."""

_TEXTS: Final = (
    "", " ", ",", "=", "t=", "v1=", "v1,", "sha256=", "t=1,t=2", "\x00", "\r\n", "\ud800", "é", "\u0661",
    "%", "%ff", "&", "|", ".", "..", "a.b.c", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "Bearer ",
    "Basic Og==", ":", "::", "9" * 30, "-1", "1e999", "NaN", "0001-01-01T00:00:00+14:00", "{}", "[]",
    "-----BEGIN CERTIFICATE-----", "https://", "https://sns.eu-west-1.amazonaws.com@evil/", "A" * 3_000,
)  # fmt: skip
_BODIES: Final = (
    b"", b"{", b"{}", b"[]", b"[{}]", b"null", b"[" * 3_000, b'{"a":' * 900, b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}", b'{"a":1e999}', b'{"a":NaN}', b'"\\ud800"', b"9" * 5_000, b"a=b&a=c", b"&" * 1_500,
    b"payload=%7B%7D", b"%ff=%ff", b"bt_signature=a|b&bt_payload=%ff", b'{"notificationItems":[null]}',
    b'{"notificationItems":{"*":[]}}', b'{"signature":7,"event-data":[]}', b'{"events":[[],{},7,null]}',
)  # fmt: skip


def mutations(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    """Return a webhook that is a copy of this one, damaged in one or several random ways."""
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        sent = dice.choice(_WAYS)(dice, sent)
    return sent


def _some_header(dice: random.Random, sent: SentWebhook) -> str:
    return dice.choice([*sent.headers, "Content-Type"])


def _flip_header(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    name = _some_header(dice, sent)
    text = sent.headers.get(name, "")
    place = dice.randrange(len(text) + 1)
    damaged_value = (
        text[:place]
        + chr(dice.choice((dice.randrange(128), dice.randrange(0x3000))))
        + text[place + 1 :]
    )
    return _with_header(sent, name, damaged_value)


def _text_header(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    return _with_header(sent, _some_header(dice, sent), dice.choice(_TEXTS))


def _mixed_header(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    name = _some_header(dice, sent)
    text = sent.headers.get(name, "")
    place = dice.randrange(len(text) + 1)
    return _with_header(sent, name, text[:place] + dice.choice(_TEXTS) + text[place:])


def _cut_header(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    name = _some_header(dice, sent)
    text = sent.headers.get(name, "")
    return _with_header(sent, name, text[dice.randrange(len(text) + 1) :][: dice.randrange(200)])


def _drop_header(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    name = _some_header(dice, sent)
    remaining_headers = {
        header_name: text for header_name, text in sent.headers.items() if header_name != name
    }
    return attrs.evolve(sent, headers=remaining_headers)


def _form(_: random.Random, sent: SentWebhook) -> SentWebhook:
    return _with_header(sent, "Content-Type", FORM)


def _flip_body(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    if not sent.body:
        return sent
    body = bytearray(sent.body)
    body[dice.randrange(len(body))] = dice.randrange(256)
    return attrs.evolve(sent, body=bytes(body))


def _mixed_body(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    place = dice.randrange(len(sent.body) + 1)
    further_bytes = (
        dice.choice(_BODIES)[:200] if dice.random() < 0.5 else dice.randbytes(dice.randrange(9))
    )
    return attrs.evolve(
        sent, body=sent.body[:place] + further_bytes + sent.body[place + dice.randrange(9) :]
    )


def _other_body(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    return attrs.evolve(sent, body=dice.choice(_BODIES))


def _url(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    place = dice.randrange(len(sent.url) + 1)
    return attrs.evolve(sent, url=sent.url[:place] + dice.choice(_TEXTS) + sent.url[place + 1 :])


def _method(dice: random.Random, sent: SentWebhook) -> SentWebhook:
    return attrs.evolve(sent, method=dice.choice(("GET", "get", "PUT", "", "POST")))


def _with_header(sent: SentWebhook, name: str, text: str) -> SentWebhook:
    return attrs.evolve(sent, headers=sent.headers | {name: text})


_WAYS: Final[tuple[Callable[[random.Random, SentWebhook], SentWebhook], ...]] = (
    _flip_header, _flip_header, _text_header, _mixed_header, _cut_header, _drop_header, _form,
    _flip_body, _flip_body, _mixed_body, _other_body, _url, _method,
)  # fmt: skip


class Target:
    """A webhook preset to attack, with a genuine webhook of its vendor."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.receiver = Receiver.of(sender)
        self.sent = sender.send(NOW, 7)
        self.events = self.receiver.verify(self.sent)

    def check(self, dice: random.Random) -> bool:
        """Send one damaged webhook to the verifier; return whether it was accepted.

        Raises:
            AssertionError: it was, and is not what was signed.
        """
        sent_request = mutations(dice, self.sent)
        options: dict[str, Any] = sent_request.arguments()
        if dice.random() < 0.1:
            pairs = [*sent_request.headers.items(), *self.sent.headers.items()]
            dice.shuffle(pairs)
            options["headers"] = pairs
        try:
            events = self.receiver.verify(options)
        except WebhookRejected as refused_value:
            if refused_value.reason is None:
                raise AssertionError(sent_request) from refused_value
            return False
        scheme = PRESETS[self.sender.name]
        # Twilio signs names and values without separators, so some forms share a signature.
        if not scheme.is_forgeable and "form" not in scheme.covers:
            # A GET of Braintree's is a challenge; other events must have the signed content.
            handshake = any(event.reply for event in events)
            assert handshake or [event.payload for event in events] == [
                event.payload for event in self.events
            ], sent_request
        return True


def fuzz(family: str, inputs: int, seed: int = 0) -> int:
    """Send damaged webhooks to verifiers of a preset family; return how many were accepted."""
    generator = random.Random(f"{family} {seed}")
    targets = [Target(BY_NAME[name]) for name in FAMILIES[family]]
    return sum(generator.choice(targets).check(generator) for _ in range(inputs))
