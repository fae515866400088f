"""Checks for every provider of webhook secrets.

```python
import pytest

from moorage import CredentialNotFound
from moorage.testing import name_of, webhook_secrets_conformance


class TableOfSecrets:  # yours
    def __init__(self, rows):
        self._rows = rows

    def get(self, name, tenant, key_id):
        if (name, tenant) not in self._rows:
            raise CredentialNotFound("no webhook secret was entered.", service=name)
        return self._rows[name, tenant]


@pytest.mark.parametrize("check", webhook_secrets_conformance.CHECKS, ids=name_of)
def test_webhook_secrets(check):
    check(TableOfSecrets)
```

`CHECKS` are for `WebhookSecrets`. `ASYNC_CHECKS` are for `AsyncWebhookSecrets`, and awaited. Each
takes a function that makes a provider from a table: the secrets of each endpoint and tenant, the
newest first.

`CHANGING_CHECKS` and `ASYNC_CHANGING_CHECKS` are for providers whose secrets can change while they
are in use. They change the table that they passed to the function, and request the secrets again:
the provider must read the table at each call. `NAMED_CHECKS` and `ASYNC_NAMED_CHECKS` are for
providers with the secrets of several endpoints.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from moorage.domain.secrets.secret import Secret
from moorage.domain.webhooks.sending import WebhookSigner
from moorage.errors import ConnectorError, CredentialNotFound, WebhookRejected
from moorage.parts.webhook_verifier import WebhookVerifier
from moorage.ports.webhook_secrets import AsyncWebhookSecrets, WebhookSecrets
from moorage.testing.kits.checks import in_threads, require, sync_check, wait_soon

StoredSecrets: TypeAlias = dict[tuple[str, str | None], Sequence[Secret]]
Factory: TypeAlias = Callable[[StoredSecrets], WebhookSecrets]
AsyncFactory: TypeAlias = Callable[[StoredSecrets], AsyncWebhookSecrets]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]

_HANGS: Final = "Looking up secrets does not return."
_NAME: Final = "shop"
_TENANTS: Final = (None, "acme", "None", "", "acme ", "ACME")
_KEYS: Final = ("", "k9", "../k1", "k1\x00", "é", "*", "' OR 1=1 --", "k" * 10_000)


def _secret(number: int) -> Secret:
    return Secret(f"whsec_{number:032d}")


async def _requested_secrets(
    provider: AsyncWebhookSecrets, tenant: str | None, key_id: str | None = None
) -> Sequence[Secret]:
    return await wait_soon(provider.get(_NAME, tenant, key_id), _HANGS)


async def _refusal(
    provider: AsyncWebhookSecrets, tenant: str | None, key_id: str | None = None, name: str = _NAME
) -> CredentialNotFound:
    try:
        secrets = await wait_soon(provider.get(name, tenant, key_id), _HANGS)
    except CredentialNotFound as error:
        return error
    except Exception as error:  # noqa: BLE001 - told, whatever it is
        message = f"raised {type(error).__name__}"
    else:
        message = f"gave {len(secrets)}"
    raise AssertionError(f"Looking up the secrets of a tenant without secrets {message}.")


async def all_valid_secrets_are_returned(factory: AsyncFactory) -> None:
    """All valid secrets are returned as `Secret`s, newest first, at every call."""
    several_secrets = (_secret(3), Secret(b"\xff\x00 binary"), _secret(1))
    provider = factory({(_NAME, None): several_secrets})
    for _ in range(3):
        secrets = await _requested_secrets(provider, None)
        require(
            all(isinstance(secret, Secret) for secret in secrets),
            "A returned value is not a Secret.",
        )
        require(
            [*secrets] == [*several_secrets], "Secrets are missing, or the newest is not the first."
        )


async def tenants_are_separate(factory: AsyncFactory) -> None:
    """Each tenant gets only its own webhook secrets."""
    for owner in _TENANTS:
        provider = factory({(_NAME, owner): (_secret(1),)})
        require(
            [*await _requested_secrets(provider, owner)] == [_secret(1)],
            f"{owner!r} lacks its secret.",
        )
        for other_tenant in _TENANTS:
            if other_tenant != owner:
                await _refusal(provider, other_tenant)
    numbered_tenants = dict(enumerate(_TENANTS))
    provider = factory({(_NAME, tenant): (_secret(n),) for n, tenant in numbered_tenants.items()})
    for number, tenant in numbered_tenants.items():
        secrets = await _requested_secrets(provider, tenant)
        require([*secrets] == [_secret(number)], f"{tenant!r} got what belongs to another.")


async def a_tenant_without_secrets_is_refused(factory: AsyncFactory) -> None:
    """A tenant without webhook secrets is refused, whichever key is requested."""
    provider = factory({(_NAME, "acme"): (_secret(1),)})
    for key in (None, *_KEYS):
        error = await _refusal(provider, "globex", key)
        require(_secret(1).reveal() not in f"{error}{error!r}", "A refusal shows a secret.")


async def an_unknown_key_is_no_error(factory: AsyncFactory) -> None:
    """An unknown key id raises no error, and returns no other tenant's secret."""
    stored_secrets: StoredSecrets = {
        (_NAME, tenant): (_secret(n),) for n, tenant in enumerate((None, "acme"))
    }
    provider = factory(stored_secrets)
    for tenant in (None, "acme"):
        for key in _KEYS:
            try:
                secrets = await _requested_secrets(provider, tenant, key)
            except ConnectorError as error:
                raise AssertionError(
                    f"Looking up a key that does not exist raised {type(error).__name__}."
                ) from None
            foreign_secrets = [
                secret for secret in secrets if secret not in stored_secrets[_NAME, tenant]
            ]
            require(not foreign_secrets, f"{tenant!r} got what belongs to another.")


async def a_requested_key_is_returned(factory: AsyncFactory) -> None:
    """If webhook keys have names, the requested key's secret is among the returned ones."""
    keys = {name: Secret(json.dumps({"kty": "OKP", "kid": name})) for name in ("k1", "k2")}
    provider = factory({(_NAME, None): (*keys.values(),)})
    for name, key in keys.items():
        require(
            key in await _requested_secrets(provider, None, name),
            f"The key {name} was not returned.",
        )


async def nothing_shows_a_secret(factory: AsyncFactory) -> None:
    """No repr of the secrets or the provider shows a secret."""
    provider = factory({(_NAME, None): (_secret(1),)})
    representation = f"{await _requested_secrets(provider, None)!r}{provider!r}{provider!s}"
    require(_secret(1).reveal() not in representation, "A secret is shown.")


async def concurrent_callers_get_their_own_secrets(factory: AsyncFactory) -> None:
    """Concurrent requests for webhook secrets each get their own result."""
    tenants = [f"tenant-{number}" for number in range(8)]
    provider = factory({(_NAME, tenant): (_secret(n),) for n, tenant in enumerate(tenants)})
    calls = [_requested_secrets(provider, tenant) for _ in range(4) for tenant in tenants]
    results = await wait_soon(asyncio.gather(*calls), _HANGS)
    expected = [[_secret(number)] for _ in range(4) for number in range(8)]
    require(
        [[*secrets] for secrets in results] == expected,
        "Some of many concurrent callers got the secret of another tenant.",
    )


async def a_verifier_can_use_them(factory: AsyncFactory) -> None:
    """A verifier accepts a signature by the tenant's secret, but not for another tenant."""
    provider = factory({(_NAME, name): (_secret(n),) for n, name in enumerate(("acme", "globex"))})
    verifier = WebhookVerifier("standard-webhooks", provider, name=_NAME, replay_guard=False)
    body = b"{}"
    headers = WebhookSigner(_secret(0)).sign(body, id="msg_1", at=datetime.now(UTC))
    verdicts = [
        await _is_accepted(verifier, headers, body, tenant) for tenant in ("acme", "globex")
    ]
    require(verdicts[0], "A verifier refused a webhook that the tenant's secret signed.")
    require(
        not verdicts[1],
        "A verifier accepted a webhook of one tenant that another tenant's secret signed.",
    )


async def _is_accepted(verifier: WebhookVerifier, headers: Any, body: bytes, tenant: str) -> bool:
    try:
        return bool(await verifier.averify(headers=headers, body=body, tenant=tenant))
    except WebhookRejected:
        return False


async def a_change_is_seen(factory: AsyncFactory) -> None:
    """A change of webhook secrets takes effect at the next request for them."""
    stored_secrets: StoredSecrets = {(_NAME, None): (_secret(1),)}
    provider = factory(stored_secrets)
    await _requested_secrets(provider, None)
    for several_secrets in ((_secret(2), _secret(1)), (_secret(2),)):
        stored_secrets[_NAME, None] = several_secrets
        secrets = await _requested_secrets(provider, None)
        require(
            [*secrets] == [*several_secrets],
            "After secrets were replaced, the new secrets are not returned.",
        )
    stored_secrets[_NAME, "acme"] = (_secret(3),)
    require(
        [*await _requested_secrets(provider, "acme")] == [_secret(3)],
        "A tenant that was added has no version.",
    )
    del stored_secrets[_NAME, None]
    await _refusal(provider, None)


async def endpoints_are_separate(factory: AsyncFactory) -> None:
    """A webhook endpoint has its own secrets; an unknown endpoint has none."""
    names = ("shop", "shop-2", "Shop")
    provider = factory({(name, None): (_secret(n),) for n, name in enumerate(names)})
    for number, name in enumerate(names):
        secrets = await wait_soon(provider.get(name, None, None), _HANGS)
        require(
            [*secrets] == [_secret(number)],
            f"The endpoint {name} has the secrets of another endpoint.",
        )
    await _refusal(provider, None, name="stock")


_SHARED_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    all_valid_secrets_are_returned,
    tenants_are_separate,
    a_tenant_without_secrets_is_refused,
    an_unknown_key_is_no_error,
    a_requested_key_is_returned,
    nothing_shows_a_secret,
    concurrent_callers_get_their_own_secrets,
    a_verifier_can_use_them,
)
_CHANGING: Final[tuple[AsyncCheck, ...]] = (a_change_is_seen,)
_ENDPOINT_CHECKS: Final[tuple[AsyncCheck, ...]] = (endpoints_are_separate,)


def _sync_checks(checks: tuple[AsyncCheck, ...]) -> tuple[Check, ...]:
    return tuple(sync_check(check, in_threads) for check in checks)


CHECKS: Final = _sync_checks(_SHARED_CHECKS)
ASYNC_CHECKS: Final = _SHARED_CHECKS
CHANGING_CHECKS: Final = _sync_checks(_CHANGING)
ASYNC_CHANGING_CHECKS: Final = _CHANGING
NAMED_CHECKS: Final = _sync_checks(_ENDPOINT_CHECKS)
ASYNC_NAMED_CHECKS: Final = _ENDPOINT_CHECKS
