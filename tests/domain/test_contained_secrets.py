"""Finding the secrets in nested values."""

from __future__ import annotations

from moorage import ClientCredentials, Credentials, OAuthClient, Secret
from moorage.domain.secrets.contained import secrets_in


def test_secrets_are_found_in_fields_and_containers() -> None:
    """Secrets in a value's fields, dicts, lists and sets are found."""
    client = OAuthClient(
        server="https://login.example/token",
        client_id="erp",
        secret="of the client",
        grant=ClientCredentials(),
    )
    values = {
        "client": client,
        "credentials": [Credentials.bearer("of the service")],
        "alone": (Secret("alone"), frozenset({"erp"})),
        "number": 4711,
    }

    assert ["of the client", "of the service", "alone"] == [
        secret.reveal() for secret in secrets_in(values)
    ]
