"""Attacks on webhook verification: each attempt is refused, or has no effect."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import utils

from moorage import (
    ConfigurationError,
    InvalidData,
    Secret,
    WebhookRejected,
    WebhookScheme,
    WebhookVerifier,
)
from moorage.adapters.webhook_secrets import StaticWebhookSecrets
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import (
    SECRET,
    SentWebhook,
    b64,
    mac,
    stamp,
)
from tests.webhooks.verifiers import NOW, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

GITHUB, STRIPE, PLAID, SENDGRID = (
    BY_NAME[name] for name in ("github", "stripe", "plaid", "sendgrid")
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve P-256."""


@pytest.mark.parametrize(
    "name, secret",
    [
        ("github", "\x00"),
        ("github", b"\x00" * 32),
        ("github", "\u00a0"),
        ("github", "\u2003\u2003"),
        ("github", "\x0b\x0c\x1c\x85"),
        ("standard-webhooks", "whsec_"),
        ("standard-webhooks", "whsec_ "),
        ("standard-webhooks", "whsec_===="),
        ("standard-webhooks", "whsec_" + b64(b"\x00" * 24)),
        ("standard-webhooks", "whsec_whsec_"),
        ("adyen", "00" * 32),
        ("adyen", "0x00"),
        ("adyen", "zz"),
        ("easypost", "\u3000"),
        ("braintree", "\t"),
        ("basic-auth", ":"),
        ("basic-auth", "user:"),
        ("basic-auth", ":password"),
        ("basic-auth", "user"),
        ("telegram", " token"),
        ("client-certificate", "00:" * 31),
        ("discord", "00" * 31),
        ("plaid", "{}"),
    ],
)
def test_empty_secrets_are_refused(name: str, secret: Any) -> None:
    """An empty or guessable webhook secret is refused when the verifier is created."""
    parameters = dict(BY_NAME[name].parameters)
    for value in (secret, [BY_NAME[name].secret, secret]):
        with pytest.raises(ConfigurationError):
            WebhookVerifier(name, value, parameters=parameters)
    stored_secrets = StaticWebhookSecrets({None: "unused", "acme": [BY_NAME[name].secret]})
    assert stored_secrets.secrets_of("acme")


def test_empty_secret_of_a_provider_is_refused() -> None:
    """If a secret provider returns an empty secret, webhook verification raises an error."""

    class EmptyTable:
        """A secret provider that always returns the same unusable secret."""

        def get(self, *_: object) -> tuple[Secret, ...]:
            """Return the unusable secret."""
            return (Secret(cell),)

    for cell in ("", " ", "\x00"):
        receiver = Receiver("github", EmptyTable(), replay_guard=False)
        signature = mac(cell.strip(" \x00"), b"{}").hex()
        with pytest.raises(ConfigurationError):
            receiver.verify(
                SentWebhook(headers={"X-Hub-Signature-256": f"sha256={signature}"}, body=b"{}")
            )


@pytest.mark.parametrize("space", ["\r\n ", "\n", "\r", "\x00", "\x0b", "\u00a0", "\u2028"])
def test_line_break_or_unusual_space_in_webhook_signature_makes_it_invalid(space: str) -> None:
    """A line break or unusual space in a webhook's signature makes it invalid."""
    sent_request = GITHUB.send(NOW, 1)
    genuine_signature = sent_request.headers["X-Hub-Signature-256"]
    receiver = Receiver.of(GITHUB)
    for text in (
        genuine_signature + space,
        space + genuine_signature,
        genuine_signature.replace("=", f"={space}"),
    ):
        spoiled_request = attrs.evolve(sent_request, headers={"X-Hub-Signature-256": text})
        assert receiver.reason_of_refusal(spoiled_request) in {"signature", "downgraded"}


def test_white_space_between_marks_changes_nothing() -> None:
    """Blanks between the parts of a signature header do not make a replay look new."""
    receiver = Receiver.of(STRIPE, replay_guard=True)
    sent_request = STRIPE.send(NOW, 1)
    receiver.done(receiver.verify(sent_request))
    text = sent_request.headers["Stripe-Signature"].replace(",", "\r\n , ")

    assert "replayed" == receiver.reason_of_refusal(
        attrs.evolve(sent_request, headers={"Stripe-Signature": text})
    )


@pytest.mark.parametrize("name", ["github", "stripe", "slack", "standard-webhooks", "sendgrid"])
def test_similar_header_names_are_ignored(name: str) -> None:
    """Headers whose names resemble the signature header's are not read as signatures."""
    sender = BY_NAME[name]
    sent_request = sender.send(NOW, 1)
    receiver = Receiver.of(sender)
    ways: tuple[Callable[[str], str], ...] = (
        lambda text: text.replace("-", "_"),
        lambda text: text + " ",
        lambda text: text.replace("S", "\u017f").replace("s", "\u017f"),
        lambda text: text.replace("K", "\u212a").replace("i", "\u0130"),
    )
    for spoil in ways:
        renamed_headers = {spoil(header): value for header, value in sent_request.headers.items()}
        if not {*renamed_headers} & {*sent_request.headers}:
            assert "missing" == receiver.reason_of_refusal(
                attrs.evolve(sent_request, headers=renamed_headers)
            )


def lenient_writings(genuine: str) -> list[str]:
    """Return other spellings of a hexadecimal signature that a lenient decoder would accept."""
    decoded_bytes = bytes.fromhex(genuine)
    return [
        genuine.upper(),
        genuine[:-2] + genuine[-2:].swapcase() + "0",
        "0x" + genuine,
        " ".join((genuine[:32], genuine[32:])),
        b64(decoded_bytes),
        genuine + "00",
        genuine[:32],
        "".join(chr(ord(letter) + 0xFEE0) for letter in genuine),
    ]


@pytest.mark.parametrize("number", range(8))
def test_hex_in_other_writings(number: int) -> None:
    """A hexadecimal webhook signature is refused in any other spelling."""
    sent_request = GITHUB.send(NOW, 1)
    genuine_hex = sent_request.headers["X-Hub-Signature-256"].removeprefix("sha256=")
    text = "sha256=" + lenient_writings(genuine_hex)[number]
    if text.removeprefix("sha256=") != genuine_hex:
        spoiled_request = attrs.evolve(sent_request, headers={"X-Hub-Signature-256": text})
        assert "signature" == Receiver.of(GITHUB).reason_of_refusal(spoiled_request)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + "=",
        lambda text: text.rstrip("="),
        lambda text: text + "\n",
        lambda text: text[:4] + "\n" + text[4:],
        lambda text: text[:4] + "!" + text[4:],
        lambda text: text.replace("+", "-").replace("/", "_") + " ",
        lambda text: text + "AAAA",
        lambda text: text.rstrip("=")[:-1] + chr(ord(text.rstrip("=")[-1]) ^ 1) + "=",
    ],
)
@pytest.mark.parametrize("name", ["shopify", "sendgrid"])
def test_base64_with_garbage(name: str, spoil: Any) -> None:
    """A Base64 signature with characters that a lenient decoder would skip is refused."""
    sender = BY_NAME[name]
    header = {"shopify": "X-Shopify-Hmac-Sha256"}.get(
        name, "X-Twilio-Email-Event-Webhook-Signature"
    )
    sent_request = sender.send(NOW, 1)
    text = spoil(sent_request.headers[header])
    if text.strip(" ") != sent_request.headers[header]:
        changed_request = attrs.evolve(sent_request, headers=sent_request.headers | {header: text})
        assert "signature" == Receiver.of(sender).reason_of_refusal(changed_request)


def test_the_other_signature_of_a_curve_is_a_replay() -> None:
    """The second valid ECDSA signature of a webhook counts as the same delivery."""
    receiver = Receiver.of(SENDGRID, replay_guard=True)
    sent_request = SENDGRID.send(NOW, 1)
    receiver.done(receiver.verify(sent_request))
    header = "X-Twilio-Email-Event-Webhook-Signature"
    first, second = utils.decode_dss_signature(base64.b64decode(sent_request.headers[header]))
    twin_signature = b64(utils.encode_dss_signature(first, ORDER - second))
    assert twin_signature != sent_request.headers[header]

    changed_request = attrs.evolve(
        sent_request, headers=sent_request.headers | {header: twin_signature}
    )
    assert "replayed" == receiver.reason_of_refusal(changed_request)


@pytest.mark.parametrize("body", ["{}", None, {"a": 1}, ["{}"], 7, object], ids=repr)
@pytest.mark.parametrize("name", ["github", "stripe", "adyen", "plaid", "telegram"])
def test_bodies_of_other_types(name: str, body: Any) -> None:
    """A webhook body that is not bytes raises InvalidData in every scheme."""
    sent_request = BY_NAME[name].send(NOW, 1)
    with pytest.raises(InvalidData, match="not bytes"):
        Receiver.of(BY_NAME[name]).verify(sent_request.arguments() | {"body": body})


def test_custom_schemes_resist_the_same_attacks() -> None:
    """A webhook scheme read from a table resists the same attacks as the presets."""
    table = {
        "name": "warehouse",
        "signature": "{header:X-Sig}",
        "signs": "{mark:t}.{body}",
        "separator": ",",
        "prefix": "s=",
        "timestamp": "{mark:t}",
        "tolerance": 300,
    }
    receiver = Receiver(WebhookScheme.from_table(table), SECRET, replay_guard=True)
    signature = mac(SECRET, stamp(NOW).encode() + b".{}").hex()
    good_header = f"t={stamp(NOW)},s={signature}"
    for text, reason in (
        (f"s={signature}", "missing"),
        (f"t={stamp(NOW)}", "downgraded"),
        (f"t={stamp(NOW)},t=1,s={signature}", "duplicated"),
        (f"t={int(stamp(NOW)) + 1},s={signature}", "signature"),
        (f"t={stamp(NOW)},S={signature}", "downgraded"),
        (f"T={stamp(NOW)},s={signature}", "missing"),
        (f"t={stamp(NOW)};s={signature}", "downgraded"),
        ("", "missing"),
        ("," * 40, "malformed"),
    ):
        with pytest.raises(WebhookRejected) as excinfo:
            receiver.verify({"headers": {"X-Sig": text}, "body": b"{}"})
        assert reason == excinfo.value.reason, text
        assert " " in excinfo.value.message
    assert receiver.verify({"headers": {"X-Sig": good_header}, "body": b"{}"})
