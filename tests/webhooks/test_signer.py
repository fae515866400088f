"""Webhooks that the package signs are accepted by its verifier."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest

from moorage import ConfigurationError, InvalidData, WebhookSigner
from moorage.adapters.webhook_secrets import generate_webhook_secret
from tests.webhooks import keys
from tests.webhooks.signing import b64
from tests.webhooks.verifiers import NOW, Receiver


def test_signed_webhooks_are_accepted() -> None:
    """With two secrets, a webhook from the signer is accepted by a verifier with either one."""
    old_text, new_text = generate_webhook_secret(), generate_webhook_secret()
    body = b'{"type": "a.b", "data": {"id": 1}}'
    time = NOW.astimezone(timezone(timedelta(hours=5)))
    headers = WebhookSigner([new_text, old_text]).sign(body, id="msg_1", at=time)

    for secret in (old_text, new_text):
        (event,) = Receiver("standard-webhooks", secret).verify({"headers": headers, "body": body})
        assert ("msg_1", "a.b", {"id": 1}) == (event.id, event.type, event.data)
    assert old_text not in repr(WebhookSigner(old_text))


def test_ed25519_signed_webhooks_are_accepted() -> None:
    """A webhook signer takes an Ed25519 private key with or without its public key."""
    seed, public = b"e" * 32, keys.ed25519_key().public_key().public_bytes_raw()
    for private in (seed, seed + public):
        headers = WebhookSigner("whsk_" + b64(private)).sign(b"{}", id="msg_1", at=NOW)
        receiver = Receiver("standard-webhooks-ed25519", "whpk_" + b64(public))
        assert receiver.verify({"headers": headers, "body": b"{}"})


@pytest.mark.parametrize(
    "secret", ["", " ", "whsec_", "whsec_!", "whsec_" + b64(b"short"), "whsk_" + b64(b"x" * 31), ()]
)
def test_signer_refuses_weak_secrets(secret: Any) -> None:
    """A webhook signer refuses a secret that is empty, too short, or not in Base64."""
    with pytest.raises(ConfigurationError, match="missing, too short") as excinfo:
        WebhookSigner(secret)

    assert "secrets" == excinfo.value.path
    assert "Create a secret with `generate_webhook_secret`." == excinfo.value.remedy


def test_a_secret_of_the_least_length_signs() -> None:
    """A webhook signer accepts a secret of 24 bytes, and refuses one of 23."""
    shortest_secret = b64(b"k" * 24)
    headers = WebhookSigner("whsec_" + shortest_secret).sign(b"{}", id="a", at=NOW)

    assert Receiver("standard-webhooks", "whsec_" + shortest_secret).verify(
        {"headers": headers, "body": b"{}"}
    )
    with pytest.raises(ConfigurationError):
        WebhookSigner("whsec_" + b64(b"k" * 23))


def test_signer_refuses_invalid_ids_and_times() -> None:
    """A webhook signer refuses an id with dots or spaces, and a time without a time zone."""
    signer = WebhookSigner(generate_webhook_secret())
    for name in ("", "a.b", "a b", "x" * 129, "é"):
        with pytest.raises(InvalidData, match="id of a webhook must be") as excinfo:
            signer.sign(b"", id=name, at=NOW)
        assert ("id", "Pass the id of the event.") == (excinfo.value.field, excinfo.value.remedy)
    with pytest.raises(InvalidData, match="time zone") as excinfo:
        signer.sign(b"", id="a", at=NOW.replace(tzinfo=None))
    assert "at" == excinfo.value.field
    assert excinfo.value.remedy.startswith("Pass an aware datetime")
