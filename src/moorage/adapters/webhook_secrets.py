"""Secrets of webhooks that were given once, and stay; and new ones."""

from __future__ import annotations

import os
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.errors import ConfigurationError, ConnectorError, CredentialNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SecretsInput: TypeAlias = "Secret | str | bytes | Iterable[Secret | str | bytes]"


def read_secrets(given: Any) -> tuple[Secret, ...]:
    """One secret or several, as a tuple; nothing if there is none, or one is empty or no secret.

    It never raises: the frame of whoever calls has the secrets as they were given.
    """
    try:
        several = (given,) if isinstance(given, (str, bytes, Secret)) else tuple(given or ())
        secrets = tuple(as_secret(one) for one in several)
    except (ConnectorError, TypeError):
        return ()
    return secrets if all(secret.reveal_bytes().strip() for secret in secrets) else ()


def no_secrets() -> ConfigurationError:
    """There is no secret that could protect anybody."""
    return ConfigurationError(
        "A webhook secret is unset, empty, or white space: it would let anybody in.",
        path="webhook_secrets",
        remedy="Give the secret that the vendor shows for this endpoint, as str or bytes.",
    )


def generate_webhook_secret() -> str:
    """A new secret for a subscriber of ours, in the form of Standard Webhooks."""
    return "whsec_" + b2a_base64(os.urandom(32), newline=False).decode()


@careful
class StaticWebhookSecrets:
    """Secrets by tenant; `None` stands for whoever has no tenant.

    Args:
        secrets: of each tenant, the newest first.
    """

    def __init__(self, secrets: Mapping[str | None, SecretsInput]) -> None:
        self._secrets = {tenant: read_secrets(given) for tenant, given in secrets.items()}
        del secrets
        if not all(self._secrets.values()):
            raise no_secrets()

    def get(self, name: str, tenant: str | None, _: str | None, /) -> tuple[Secret, ...]:
        """The secrets of this tenant."""
        secrets = self._secrets.get(tenant)
        if secrets is not None:
            return secrets
        raise CredentialNotFound(
            "no webhook secret is kept for this tenant.",
            service=name,
            remedy="Give the secret of this tenant's endpoint.",
        )

    def kept(self, tenant: str | None) -> tuple[Secret, ...]:
        """The secrets of this tenant, which stay as they are; none if it has none."""
        return self._secrets.get(tenant, ())


@careful
class AsyncStaticWebhookSecrets:
    """The same, awaited, though nobody ever waits."""

    def __init__(self, secrets: Mapping[str | None, SecretsInput]) -> None:
        self._static = StaticWebhookSecrets(secrets)

    async def get(self, name: str, tenant: str | None, key_id: str | None, /) -> tuple[Secret, ...]:
        """The secrets of this tenant."""
        return self._static.get(name, tenant, key_id)
