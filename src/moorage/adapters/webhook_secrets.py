"""Unchanging webhook secrets, and the generation of new ones."""

from __future__ import annotations

import os
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.errors import ConfigurationError, ConnectorError, CredentialNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SecretsInput: TypeAlias = "Secret | str | bytes | Iterable[Secret | str | bytes]"


def read_secrets(secrets_input: Any) -> tuple[Secret, ...]:
    """Return the given webhook secrets as a tuple; empty if any of them is invalid.

    It never raises, because the frame of the caller contains the secrets in plain text.
    """
    try:
        secret_values = (
            (secrets_input,)
            if isinstance(secrets_input, (str, bytes, Secret))
            else tuple(secrets_input or ())
        )
        secrets = tuple(as_secret(secret) for secret in secret_values)
    except (ConnectorError, TypeError):
        return ()
    return secrets if all(secret.reveal_bytes().strip() for secret in secrets) else ()


def no_secrets_error() -> ConfigurationError:
    """Return the error for a missing or empty webhook secret."""
    return ConfigurationError(
        "A webhook secret is unset, empty, or white space, so it would accept any sender.",
        path="webhook_secrets",
        remedy="Pass the secret that the vendor shows for this endpoint, as str or bytes.",
    )


def generate_webhook_secret() -> str:
    """Return a new secret for a subscriber, in the form of Standard Webhooks."""
    return "whsec_" + b2a_base64(os.urandom(32), newline=False).decode()


@with_careful_constructor
class StaticWebhookSecrets:
    """Unchanging webhook secrets, by tenant; `None` is for webhooks without a tenant.

    Args:
        secrets: the secrets of each tenant, the newest first.
    """

    def __init__(self, secrets: Mapping[str | None, SecretsInput]) -> None:
        self._secrets = {
            tenant: read_secrets(secrets_input) for tenant, secrets_input in secrets.items()
        }
        del secrets
        if not all(self._secrets.values()):
            raise no_secrets_error()

    def get(self, name: str, tenant: str | None, _: str | None, /) -> tuple[Secret, ...]:
        """Return the webhook secrets of a tenant."""
        secrets = self._secrets.get(tenant)
        if secrets is not None:
            return secrets
        raise CredentialNotFound(
            "There is no webhook secret for this tenant.",
            service=name,
            remedy="Pass the secret of this tenant's endpoint.",
        )

    def secrets_of(self, tenant: str | None) -> tuple[Secret, ...]:
        """Return the webhook secrets of a tenant; empty if it has none."""
        return self._secrets.get(tenant, ())


@with_careful_constructor
class AsyncStaticWebhookSecrets:
    """The asynchronous `StaticWebhookSecrets`, which never waits."""

    def __init__(self, secrets: Mapping[str | None, SecretsInput]) -> None:
        self._static = StaticWebhookSecrets(secrets)

    async def get(self, name: str, tenant: str | None, key_id: str | None, /) -> tuple[Secret, ...]:
        """Return the webhook secrets of a tenant."""
        return self._static.get(name, tenant, key_id)
