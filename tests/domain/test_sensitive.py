"""Names that promise a credential."""

from __future__ import annotations

import pytest

from moorage.domain.sensitive import is_sensitive


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-API-Key", "apiKey",
        "api_key", "apikey", "key", "X-Auth-Token", "accessToken", "client_secret", "password",
        "Stripe-Signature", "X-Amz-Signature", "sig", "AWSAccessKeyId", "private_key", "session",
        "cvc", "cvv", "otp", "jwt", "pwd", "X-Amz-Credential", "Ocp-Apim-Subscription-Key",
        "DPoP", "dpop_key",
    ],
)  # fmt: skip
def test_credentials_are_recognised(name: str) -> None:
    """What vendors call their credentials is recognised in any case."""
    assert is_sensitive(name)
    assert is_sensitive(name.upper())


@pytest.mark.parametrize(
    "name",
    [
        "Accept", "Content-Type", "author", "keyword", "monkeys", "pinned", "design", "country",
        "Idempotency-Key", "x-idempotency-key", "idempotencyKey", "assignment", "",
    ],
)  # fmt: skip
def test_other_names_are_left_alone(name: str) -> None:
    """Names that merely look similar, and idempotency keys, are not credentials."""
    assert not is_sensitive(name)
