"""Where the secrets come from that webhooks are verified with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.secret import Secret


class WebhookSecrets(Protocol):
    """Keeps the secrets of endpoints, apart for each tenant.

    `get` returns every secret that is good now, the newest first: several while one is replaced.
    `name` is the verifier's. `key_id` is what the webhook calls its key, if its scheme names keys;
    nobody has vouched for it yet. A key of that name that does not exist is no error: return
    nothing, and the webhook is refused. It never falls back to another tenant's secrets, and raises
    `CredentialNotFound` for a tenant that has none. Returning the same objects while nothing
    changed saves work. It is safe from several threads.
    """

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]: ...


class AsyncWebhookSecrets(Protocol):
    """As `WebhookSecrets`, awaited."""

    async def get(
        self, name: str, tenant: str | None, key_id: str | None, /
    ) -> Sequence[Secret]: ...
