"""Validation of the claims of OpenID ID tokens."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Secret
from moorage.domain.oauth.id_token import id_token_problem

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CLAIMS: dict[str, Any] = {
    "iss": "https://login.example",
    "aud": "erp",
    "exp": int(NOW.timestamp()) + 300,
    "nonce": "n0nce",
}


def id_token(claims: Any) -> str:
    """Return an unsigned ID token with these claims."""
    parts = (json.dumps(part).encode() for part in ({"alg": "RS256"}, claims))
    return ".".join([*(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), "c2ln"])


def problem(token: str | None, **changes: Any) -> str | None:
    """Return the problem with an ID token; None if it is valid."""
    options: dict[str, Any] = {
        "issuer": "https://login.example",
        "client_id": "erp",
        "nonce": Secret("n0nce"),
        "now": NOW,
    }
    return id_token_problem(None if token is None else Secret(token), **(options | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["erp"]},
        {"aud": ["erp", "crm"], "azp": "erp"},
        {"azp": "erp"},
        {"exp": NOW.timestamp() - 59.5},
        {"exp": 10**400},
    ],
)
def test_valid_claims_have_no_problem(changes: dict[str, Any]) -> None:
    """A current ID token from the issuer, for this client and nonce, has no problem."""
    assert problem(id_token(CLAIMS | changes)) is None


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "crm"}, "another client"),
        ({"aud": ["crm"]}, "another client"),
        ({"aud": None}, "another client"),
        ({"azp": "crm"}, "another client"),
        ({"aud": ["erp", "crm"], "azp": "crm"}, "another client"),
        ({"aud": ["erp", "crm"]}, "several clients"),
        ({"exp": None}, "no expiry"),
        ({"exp": True}, "no expiry"),
        ({"exp": "2030"}, "no expiry"),
        ({"exp": NOW.timestamp() - 60}, "expired"),
        ({"exp": float("nan")}, "expired"),
        ({"nonce": "other"}, "another consent"),
        ({"nonce": None}, "another consent"),
        ({"nonce": 7}, "another consent"),
    ],
)
def test_each_wrong_claim_is_described(changes: dict[str, Any], words: str) -> None:
    """Each wrong claim of an ID token has its own description."""
    assert words in str(problem(id_token(CLAIMS | changes)))


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "a.!.c", "a.bm8.c", "a.é.c", id_token([])])
def test_unreadable_id_tokens_are_refused(text: str) -> None:
    """A string that is not an ID token is refused."""
    assert "cannot be read" == problem(text)


def test_missing_id_token_is_a_problem_only_after_a_nonce() -> None:
    """A missing ID token is a problem only if a nonce was sent."""
    assert "is missing" == problem(None)
    assert problem(None, nonce=None) is None


def test_unknown_issuer_and_nonce_are_not_compared() -> None:
    """If no issuer or nonce is expected, the other claims of an ID token are still checked."""
    foreign_token = id_token(CLAIMS | {"iss": "https://any.example", "nonce": "other"})

    assert problem(foreign_token, issuer=None, nonce=None) is None
    assert problem(foreign_token, issuer=None, nonce=None, client_id="crm") is not None
