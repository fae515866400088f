"""The interface of sources of the secrets that verify webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.secrets.secret import Secret


class WebhookSecrets(Protocol):
    """Stores the webhook secrets of endpoints, separately for each tenant.

    `get` returns every secret that is valid now, the newest first; there are several while a secret
    is being replaced. `name` is the verifier's name. `key_id` is the key's name in the webhook, if
    its scheme names keys; it is not verified yet. If no key has that name, return nothing, and the
    webhook is rejected. The method never falls back to another tenant's secrets, and raises
    `CredentialNotFound` for a tenant without any. Returning the same objects while nothing has
    changed saves work. The method is safe from several threads.
    """

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]: ...


class AsyncWebhookSecrets(Protocol):
    """The asynchronous `WebhookSecrets`."""

    async def get(
        self, name: str, tenant: str | None, key_id: str | None, /
    ) -> Sequence[Secret]: ...
