"""No store has secrets in its keys or values."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    BulkheadConfig,
    CachePolicy,
    CircuitBreakerConfig,
    Credentials,
    OAuthCredentials,
    RateLimitConfig,
    Request,
)
from moorage.adapters.cache.sealed import AsyncSealedCache, SealedCache
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from tests.security.canaries import Canaries
from tests.security.day import MODES, Observations
from tests.security.shared import await_if_needed
from tests.security.simulated_calls import CARD, IBAN, charge, script, service_of
from tests.security.stored_contents import STORES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.ports.cipher import Cipher

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced


@pytest.fixture(params=STORES, ids=lambda kind: kind.__name__.lower())
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Yield, in turn, each kind of store."""
    store = request.param(tmp_path)
    yield store
    store.close()


async def stored_calls(day: Observations, stores: Any, cipher: Cipher | None) -> None:
    """Make calls that store keys, responses, limits, circuits and credentials."""
    add_secret, sealing = day.plant, AesGcmCipher(generate_keys())
    store = stores.state(is_async=day.is_async)
    vault = stores.credentials(sealing, is_async=day.is_async)
    if vault is not None:
        for tenant in ("acme", "acme-fr"):
            credentials = OAuthCredentials(
                access_token=add_secret(f"access-{tenant}"),
                refresh_token=add_secret(f"refresh-{tenant}"),
            )
            await await_if_needed(vault.rotate("shop", tenant, credentials))
    custom_credentials = Credentials.api_key(add_secret("own-key"), query="ident")
    with VendorServer() as vendor:
        script(vendor, day)
        fields = {"Cache-Control": "max-age=60", "ETag": f'"{add_secret("tag")}"'}
        fields["Set-Cookie"] = f"sid={add_secret('cookie')}"
        body = Behaviour.of_json({"note": add_secret("kept-answer")}, headers=fields)
        vendor.always(body, path="/v1/kept")
        services = (
            service_of(
                day,
                vendor,
                "shop",
                credentials=None if vault is not None else custom_credentials,
                needs_credentials=vault is not None,
                idempotency_header="Idempotency-Key",
                idempotency_memory=86_400,
                limits=(RateLimitConfig(100), RateLimitConfig(100, per=60)),
                circuit=CircuitBreakerConfig(failures=3),
                bulkhead=BulkheadConfig(9),
                attempt_timeout=0.2,
            ),
            service_of(
                day,
                vendor,
                "rates",
                credentials=custom_credentials,
                cache=CachePolicy(),
                headers={"X-Api-Key": add_secret("service-header")},
            ),
        )
        cache = day.pick(SealedCache, AsyncSealedCache)(store, sealing)
        ports = {"state": store, "cache": cache, "cipher": cipher, "credentials": vault}
        manager = day.manager(*services, **ports)
        for tenant in ("acme", "acme-fr"):
            for path_end in ("ok", "400", "503", "slow", "reset", "401", "429"):
                request = charge(day, f"{tenant}-{path_end}", f"/{path_end}")
                for _ in range(2):
                    await day.call(
                        path_end,
                        manager,
                        "shop",
                        request,
                        tenant=tenant,
                        idempotency_key=f"key-{path_end}",
                        timeout=1.0,
                    )
            request = Request.get(
                "/kept",
                query={"token": add_secret(f"query-{tenant}")},
                headers={"Authorization": f"Bearer {add_secret(f'user-{tenant}')}"},
            )
            for _ in range(2):
                await day.call("kept", manager, "rates", request, tenant=tenant)
        await day.close()
    await await_if_needed((getattr(store, "aclose", None) or store.close)())


def secrets_in_store(
    mode: str, folder: Path, stores: Any, cipher: Cipher | None
) -> tuple[list[str], int, Observations]:
    """Make calls, and return the secrets found in the store and the amount of stored data."""
    canaries = Canaries()
    day = Observations(canaries, mode, folder)
    day.plant("card", CARD)
    day.plant("iban", IBAN)
    asyncio.run(stored_calls(day, stores, cipher))
    stored_contents = list(stores.contents())
    results = [
        name for location, value in stored_contents for name in canaries.search(location, value)
    ]
    return results, len(stored_contents), day


@pytest.mark.parametrize("mode", MODES)
def test_no_store_holds_a_secret(mode: str, stores: Any, tmp_path: Path) -> None:
    """Stored keys, responses and credentials show no secret."""
    result, contents_held, day = secrets_in_store(
        mode, tmp_path, stores, AesGcmCipher(generate_keys())
    )

    assert [] == result
    # There were stored values to inspect.
    assert contents_held >= 20
    outcomes = {type(value).__name__ for _, value in day.seen}
    assert {"Response", "InvalidRequest", "VendorFailed", "CircuitBreakerOpen"} <= outcomes


def test_unencrypted_responses_are_found(stores: Any, tmp_path: Path) -> None:
    """Without a cipher, stored responses are readable, and the secret search finds them."""
    results, _, _ = secrets_in_store("sync", tmp_path, stores, None)

    assert any(name.startswith("answered-body") for name in results)
    assert not any("own-key" in name or "body-password" in name for name in results)
