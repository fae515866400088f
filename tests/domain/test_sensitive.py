"""Recognition of names and path segments that hold credentials."""

from __future__ import annotations

import pytest

from moorage.domain.secrets.sensitive import bot_tokens, is_sensitive, secret_segments


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
    """Vendors' names for credentials are recognised in any case."""
    assert is_sensitive(name)
    assert is_sensitive(name.upper())


@pytest.mark.parametrize(
    "name",
    [
        "Accept", "Content-Type", "author", "keyword", "monkeys", "pinned", "design", "country",
        "Idempotency-Key", "x-idempotency-key", "idempotencyKey", "assignment", "",
    ],
)  # fmt: skip
def test_names_that_resemble_credential_names_are_not_masked(name: str) -> None:
    """Names that merely resemble credentials' names, and idempotency keys, are not masked."""
    assert not is_sensitive(name)


@pytest.mark.parametrize(
    "path, secret",
    [
        ("/bot110201543:AAHdqTcv/send", ["bot110201543:AAHdqTcv"]),
        ("/bot1%3Ashort", ["bot1:short"]),
        ("/a/3f9c2b7d-91aa-4c0e-8d55-0123456789ab", ["3f9c2b7d-91aa-4c0e-8d55-0123456789ab"]),
        ("/key/letme1n", ["letme1n"]),
        ("/hooks/kX9vQ2pL7wZ4mN8tR3", ["kX9vQ2pL7wZ4mN8tR3"]),
        ("/api/v2/2010-04-01/accounts/europe-1/token/revoke", []),
        ("", []),
    ],
)
def test_tokens_and_uuids_in_a_url_path_are_masked(path: str, secret: list[str]) -> None:
    """In a URL's path, tokens, UUIDs and the segment after a name like `token` are masked."""
    assert secret == [*secret_segments(f"https://x.example{path}")]


def test_token_of_a_bot_in_a_url_path_is_masked() -> None:
    """A bot's token in a URL's path is found with and without its prefix and number."""
    bot_name = "bot110201543:AAHdqTcv"
    assert [bot_name, bot_name[3:], bot_name[13:]] == [*bot_tokens(f"/{bot_name}/getMe")]
    assert [] == [*bot_tokens("/bot12:short/robots/bot")]
