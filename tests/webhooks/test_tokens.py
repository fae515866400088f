"""Webhooks that are signed as JWTs: their algorithm, claims and keys."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from moorage import ConfigurationError, WebhookScheme, WebhookVerifier
from moorage.domain.webhooks.presets import preset
from tests.webhooks import keys
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import SECRET, SentWebhook, digest_claims, mac
from tests.webhooks.verifiers import NOW, Receiver


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "es256", None])
def test_jwt_webhook_is_verified_by_its_scheme_algorithm(algorithm: Any) -> None:
    """A JWT webhook is verified by its scheme's algorithm; one that names another is refused."""
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    claims = {"iat": int(NOW.timestamp())}
    value = attrs.evolve(
        sent_request, headers={"Plaid-Verification": keys.token(claims, algorithm)}
    )

    assert "downgraded" == Receiver.of(BY_NAME["plaid"]).reason_of_refusal(value)


def test_a_public_key_is_no_shared_secret() -> None:
    """A public key is refused as the shared secret of JWT webhooks."""
    scheme = attrs.evolve(preset("plaid"), algorithm="jwt-hs256")
    pem = keys.rsa_key().public_key().public_bytes(keys.PEM, keys.PUBLIC)
    for key in (keys.jwk(keys.curve()), pem):
        with pytest.raises(ConfigurationError, match="not a key for jwt-hs256"):
            WebhookVerifier(scheme, key)

    receiver = Receiver(scheme, SECRET, replay_guard=False)
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    head, claims, _ = keys.token(digest_claims(NOW, sent_request.body), "HS256").split(".")
    signature = keys.url64(mac(SECRET, f"{head}.{claims}"))
    assert receiver.verify(
        attrs.evolve(sent_request, headers={"Plaid-Verification": f"{head}.{claims}.{signature}"})
    )


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda token: token + ".", "malformed"),
        (lambda token: token.replace(".", "", 1), "malformed"),
        (lambda token: "e30" + token[token.index(".") :], "downgraded"),
        (lambda token: "W10" + token[token.index(".") :], "malformed"),
        (lambda token: "e" + token[token.index(".") :], "malformed"),
        (lambda token: token[:-2], "signature"),
        (lambda token: token[: token.rindex(".") + 1], "signature"),
        (lambda token: "é" + token, "malformed"),
        (lambda token: token + "A" * 20_000, "malformed"),
    ],
)
def test_a_broken_token_is_refused(spoil: Any, reason: str) -> None:
    """A webhook whose JWT is malformed is refused."""
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    token = spoil(sent_request.headers["Plaid-Verification"])
    value = attrs.evolve(sent_request, headers={"Plaid-Verification": token})

    assert reason == Receiver.of(BY_NAME["plaid"]).reason_of_refusal(value)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"request_body_sha256": "0" * 64}, "signature"),
        ({"request_body_sha256": None}, "missing"),
        ({"iat": None}, "missing"),
        ({"iat": "soon"}, "malformed"),
        ({"request_body_sha256": "\ud800"}, "signature"),
        ({"exp": NOW.timestamp() - 400}, "stale"),
        ({"exp": NOW.timestamp() - 300}, None),
        ({"exp": NOW.timestamp() - 301}, "stale"),
        ({"nbf": NOW.timestamp() + 300}, None),
        ({"nbf": NOW.timestamp() + 400}, "future"),
        ({"exp": "never"}, "malformed"),
        ({"exp": None}, "malformed"),
        ({"exp": NOW.timestamp() + 400, "nbf": NOW.timestamp() - 400}, None),
    ],
)
def test_token_claims_are_checked(changes: dict[str, Any], reason: str | None) -> None:
    """A webhook's JWT is valid for its own body, and only during its lifetime."""
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    token = keys.token(digest_claims(NOW, sent_request.body) | changes)
    value = attrs.evolve(sent_request, headers={"Plaid-Verification": token})
    receiver = Receiver.of(BY_NAME["plaid"])

    if reason is None:
        assert receiver.verify(value)
    else:
        assert reason == receiver.reason_of_refusal(value)


@pytest.mark.parametrize("claim, skew, reason", [("exp", -1, "stale"), ("nbf", 1, "future")])
def test_token_times_without_tolerance_are_exact_to_the_second(
    claim: str, skew: int, reason: str
) -> None:
    """Without a tolerance, a JWT webhook is refused one second before its start or past its end."""
    scheme = WebhookScheme(name="own", signature="{header:X-Sig}", algorithm="jwt-es256")
    receiver = Receiver(scheme, keys.jwk(keys.curve()), replay_guard=False)

    def claiming(second: int) -> SentWebhook:
        token = keys.token({claim: int(NOW.timestamp()) + second})
        return SentWebhook(headers={"X-Sig": token}, body=b"{}")

    assert receiver.verify(claiming(0))
    assert reason == receiver.reason_of_refusal(claiming(skew))


def test_the_key_of_a_token_is_found_by_its_name() -> None:
    """A JWT webhook's key is chosen by its key id; without an id, each key is tried."""
    sent_request = BY_NAME["plaid"].send(NOW, 1)
    own_key, other_key = keys.jwk(keys.curve()), keys.jwk(keys.curve(), "key-2")
    unnamed_key = json.dumps({k: v for k, v in json.loads(own_key).items() if k != "kid"})
    numbered_key = json.dumps(json.loads(own_key) | {"kid": 7})

    for key_sets in ([other_key, own_key], unnamed_key, numbered_key):
        assert Receiver.of(BY_NAME["plaid"], secret=key_sets).verify(sent_request)
    assert "signature" == Receiver.of(BY_NAME["plaid"], secret=other_key).reason_of_refusal(
        sent_request
    )
    token = keys.token(digest_claims(NOW, sent_request.body), key_id=None)
    value = attrs.evolve(sent_request, headers={"Plaid-Verification": token})
    assert Receiver.of(BY_NAME["plaid"], secret=other_key).verify(value)
    critical = keys.token(digest_claims(NOW, sent_request.body))
    head = keys.url64(json.dumps({"alg": "ES256", "crit": ["exp"]}).encode())
    spoiled_request = attrs.evolve(
        sent_request, headers={"Plaid-Verification": head + critical[critical.index(".") :]}
    )
    assert "malformed" == Receiver.of(BY_NAME["plaid"]).reason_of_refusal(spoiled_request)
