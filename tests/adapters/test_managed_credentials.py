"""Credential providers on the four secret managers, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.credentials.managed import (
    AsyncManagedCredentialProvider,
    ManagedCredentialProvider,
)
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.signing.hmac_signing import HmacSigning
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    CredentialNotFound,
    CredentialRefreshFailed,
    InvalidData,
    StorageUnavailable,
)
from moorage.testing import Behaviour, VirtualClock
from moorage.testing import credentials_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.managed_providers import OWNER, PATIENCE, ProviderInMode
from tests.adapters.manager_labs import LABS, SECRET, Lab
from tests.security.canaries import revealed_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD, NEW, OTHER = kit.OLD, kit.NEW, kit.OTHER
TOKENS = ("vault", "gcp", "azure")
"""The managers that one logs in to."""


@pytest.fixture(
    name="face",
    params=[(kind, is_async) for kind in LABS for is_async in (False, True)],
    ids=lambda value: f"{value[0]}, async" if value[1] else value[0],
)
def _provider(request: pytest.FixtureRequest) -> Iterator[ProviderInMode]:
    kind, is_async = request.param
    with ProviderInMode(LABS[kind](), is_async=is_async) as provider:
        yield provider


LOGS_IN = pytest.mark.parametrize(
    "face",
    [(kind, is_async) for kind in TOKENS for is_async in (False, True)],
    ids=lambda kind: f"{kind[0]}, async" if kind[1] else kind[0],
    indirect=True,
)
FOR_EACH_LAB = pytest.mark.parametrize("kind", LABS)
NAMES: dict[tuple[str, str | None], str] = {
    (service, tenant): f"odd-{service}-{number}"
    for service in ("a", "b")
    for number, tenant in enumerate(("None", ""))
}


@pytest.mark.untraced
@FOR_EACH_LAB
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_conforms(check: kit.Check, kind: str) -> None:
    """The synchronous provider of each secret manager passes the conformance kit."""
    with LABS[kind]() as lab, StdlibHttpClient() as http:

        def make(renew: kit.Renew) -> ManagedCredentialProvider:
            lab.secrets.clear()
            return ManagedCredentialProvider(
                lab.manager(), names=NAMES, renew=renew, http=http, timeout=PATIENCE
            )

        check(make)


@pytest.mark.untraced
@FOR_EACH_LAB
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_conforms(check: kit.AsyncCheck, kind: str) -> None:
    """The asynchronous provider of each secret manager passes the conformance kit."""

    async def run(lab: Lab) -> None:
        async with AsyncStdlibHttpClient() as http:

            def make(renew: kit.AsyncRenew) -> AsyncManagedCredentialProvider:
                lab.secrets.clear()
                return AsyncManagedCredentialProvider(
                    lab.manager(), names=NAMES, renew=renew, http=http, timeout=PATIENCE
                )

            await check(make)

    with LABS[kind]() as lab:
        asyncio.run(run(lab))


def assert_no_secret_in(error: BaseException) -> None:
    """Fail if a secret is in an error, its causes or a traceback frame."""
    assert [] == [path for path, text in revealed_texts(error, "error") if SECRET in text]


NAMED_MANAGERS = {
    "vault": ("moorage/services/shop", "moorage/tenants/acme-fr/shop"),
    "aws": ("moorage/services/shop", "moorage/tenants/acme-fr/shop"),
    "gcp": ("moorage-shop", "moorage-shop--acme-fr"),
    "azure": ("moorage-shop", "moorage-shop--acme-fr"),
}


def test_handwritten_secrets_are_read(face: ProviderInMode) -> None:
    """A secret that a person wrote may be a plain token or a JSON table."""
    own_name, foreign_name = NAMED_MANAGERS[face.lab.kind]
    face.lab.put(own_name, "a-token")
    face.lab.put(foreign_name, '{"method": "basic", "username": "u", "secret": "p"}')
    provider = face.provider()

    assert Credentials.bearer("a-token") == face.ask(provider.get, "shop", None)
    assert Credentials.basic("u", "p") == face.ask(provider.get, *OWNER)
    assert face.ask(provider.has, *OWNER)
    assert not face.ask(provider.has, "shop", "acme-de")


def test_rotated_credentials_are_shared(face: ProviderInMode) -> None:
    """A rotated credential of any kind is read back by another process."""
    stored_credentials = [
        Credentials.signed(
            HmacSigning(signs="{body}", headers={"X": "{signature}"}, key_id="é"), b"\xff\x00"
        ),
        OAuthCredentials(access_token="a", refresh_token="r", scope="x y"),
        Credentials.none(),
    ]
    for entry in stored_credentials:
        face.ask(face.provider().rotate, *OWNER, entry)
        assert entry == face.ask(face.provider().get, *OWNER)


def test_a_refresh_looks_again(face: ProviderInMode) -> None:
    """Without a renewal function, `refresh` reads the secret again."""
    name = NAMED_MANAGERS[face.lab.kind][1]
    face.lab.put(name, "old")
    provider = face.provider()
    with pytest.raises(CredentialRefreshFailed):
        face.ask(provider.refresh, *OWNER, OLD)
    face.lab.put(name, "new")
    assert NEW == face.ask(provider.refresh, *OWNER, OLD)


def test_renewed_credentials_are_shared(face: ProviderInMode) -> None:
    """A renewed credential is stored for all processes, unless another process stored one first."""

    def renew(*_: object) -> Credentials:
        return NEW

    def replace_credential(*_: object) -> Credentials:
        face.lab.put(NAMED_MANAGERS[face.lab.kind][1], "other")
        return OLD

    def modeed(function: Any) -> Any:
        async def call_later(*value: object) -> Any:
            return function(*value)

        return call_later if face.is_async else function

    face.lab.put(NAMED_MANAGERS[face.lab.kind][1], "old")
    assert NEW == face.ask(face.provider(renew=modeed(renew)).refresh, *OWNER, OLD)
    assert NEW == face.ask(face.provider().get, *OWNER)
    assert OTHER == face.ask(face.provider(renew=modeed(replace_credential)).refresh, *OWNER, NEW)


def test_a_secret_that_is_no_credential(face: ProviderInMode) -> None:
    """The error for an invalid secret names the secret and its manager, not the content."""
    name = NAMED_MANAGERS[face.lab.kind][1]
    face.lab.put(name, f'{{"secret": "{SECRET}", "password": "{SECRET}"}}')

    with pytest.raises(InvalidData, match=f"The secret '{name}' of .*has a field") as excinfo:
        face.ask(face.provider().get, *OWNER)
    assert "shop" != excinfo.value.field
    assert_no_secret_in(excinfo.value)


@pytest.mark.parametrize("owner", [("Shop", None), ("shop", ""), ("a/../b", "x"), ("shop", "a--b")])
def test_names_that_would_be_confused_have_no_secret(face: ProviderInMode, owner: Any) -> None:
    """An owner whose secret name would be ambiguous needs an entry in `names`."""
    provider = face.provider()

    assert not face.ask(provider.has, *owner)
    with pytest.raises(CredentialNotFound, match=r"by itself.*Name the secret in `names`"):
        face.ask(provider.get, *owner)
    with pytest.raises(ConfigurationError, match="Name the secret in `names`"):
        face.ask(provider.rotate, *owner, OLD)
    assert () == face.lab.server.requests
    face.lab.put("ours-own", "old")
    assert OLD == face.ask(face.provider(names={owner: "ours-own"}).get, *owner)


def test_missing_secret_is_named(face: ProviderInMode) -> None:
    """The error for a missing secret names the secret and its manager."""
    with pytest.raises(
        CredentialNotFound, match=f"no secret '{NAMED_MANAGERS[face.lab.kind][1]}' in"
    ):
        face.ask(face.provider().get, *OWNER)


@LOGS_IN
def test_one_login_serves_many(face: ProviderInMode) -> None:
    """One login serves many requests, and is renewed after two thirds of its lifetime."""
    provider = face.provider()
    for _ in range(3):
        face.ask(provider.has, *OWNER)
    assert 1 == face.lab.asked["login"]
    face.clock.advance(2399)
    face.ask(provider.has, *OWNER)
    assert 1 == face.lab.asked["login"] + face.lab.asked["renew"]
    face.clock.advance(2)
    face.ask(provider.has, *OWNER)
    assert 2 == face.lab.asked["login"] + face.lab.asked["renew"]


@LOGS_IN
def test_many_wait_for_one_login(face: ProviderInMode) -> None:
    """If many callers need the first login, only one of them logs in."""
    provider, count = face.provider(), 6
    face.lab.put(NAMED_MANAGERS[face.lab.kind][1], "old")
    if face.is_async:

        async def run() -> list[Any]:
            return await asyncio.gather(*(provider.get(*OWNER) for _ in range(count)))

        results = asyncio.run(run())
    else:
        results, barrier = [], Barrier(count)

        def ask() -> None:
            barrier.wait()
            results.append(provider.get(*OWNER))

        threads = [Thread(target=ask) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [OLD] * count == results
    assert 1 == face.lab.asked["login"]


@LOGS_IN
def test_a_token_that_was_revoked_is_replaced(face: ProviderInMode) -> None:
    """If the manager refuses a revoked token, the provider logs in again once."""
    provider = face.provider()
    face.lab.put(NAMED_MANAGERS[face.lab.kind][1], "old")
    assert OLD == face.ask(provider.get, *OWNER)
    face.lab.revoke()

    assert OLD == face.ask(provider.get, *OWNER)
    assert 2 == face.lab.asked["login"]


@LOGS_IN
def test_failed_login_renewal_keeps_the_valid_token(face: ProviderInMode) -> None:
    """If renewing the login fails, the still valid token is used."""
    provider = face.provider()
    face.lab.put(NAMED_MANAGERS[face.lab.kind][1], "old")
    face.ask(provider.get, *OWNER)
    face.clock.advance(2401)
    absent_behaviour = Behaviour(503)
    original_handle = face.lab.handle

    def handle(request: Any) -> Behaviour:
        logs_in = (
            not request.headers.get("x-vault-token") and "authorization" not in request.headers
        )
        return (
            absent_behaviour
            if logs_in or "renew-self" in request.path
            else original_handle(request)
        )

    face.lab.handle = handle  # type: ignore[method-assign]  # a login that is away
    count = len(face.lab.server.requests)
    assert OLD == face.ask(provider.get, *OWNER)
    assert 2 == len(face.lab.server.requests) - count
    assert OLD == face.ask(provider.get, *OWNER)
    assert 3 == len(face.lab.server.requests) - count  # a renewal is not attempted at every call
    face.clock.advance(5)
    assert OLD == face.ask(provider.get, *OWNER)
    assert 5 == len(face.lab.server.requests) - count
    face.clock.advance(1200)
    with pytest.raises(StorageUnavailable):
        face.ask(provider.get, *OWNER)


def test_missing_permission_is_explained(face: ProviderInMode) -> None:
    """The error for a refused request names the missing permission, without the manager's text."""
    provider = face.provider()
    face.ask(provider.has, *OWNER)
    errors: list[ConnectorError] = []
    original_handle = face.lab.handle

    def handle(request: Any) -> Behaviour:
        answer = original_handle(request)
        if "challenge" in repr(answer) or answer.status == 401 or "login" in request.path:
            return answer
        if request.path.endswith("/token"):
            return answer
        words = {"code": "Denied", "message": SECRET, "status": "PERMISSION_DENIED"}
        fields = {"errors": [SECRET], "__type": "x#AccessDeniedException", "error": words}
        return Behaviour.of_json(fields, status=400 if face.lab.kind == "aws" else 403)

    face.lab.handle = handle  # type: ignore[method-assign]  # a policy that denies
    for verb in (provider.get, partial(provider.rotate)):
        value = (*OWNER, NEW) if verb != provider.get else OWNER
        with pytest.raises(AuthenticationFailed, match=NAMED_MANAGERS[face.lab.kind][1]) as excinfo:
            face.ask(verb, *value)
        errors.append(excinfo.value)
        assert_no_secret_in(excinfo.value)
    assert ["shop", "shop"] == [error.service for error in errors]
    assert not any(error.retryable for error in errors)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_manager_that_is_down(face: ProviderInMode, status: int) -> None:
    """A status 429 or 5xx of the secret manager raises a retryable StorageUnavailable."""
    face.lab.server.always(Behaviour(status, body=SECRET.encode()))
    with pytest.raises(StorageUnavailable) as excinfo:
        face.ask(face.provider().get, *OWNER)
    assert excinfo.value.retryable
    assert_no_secret_in(excinfo.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"data": 5, "auth": 5}',
        b"\xff",
        pytest.param(
            b'{"access_token": "t", "expires_in": 1%b, "data": {"ttl": 1%b}}'
            % (b"0" * 400, b"0" * 400),
            id="large",
        ),
    ],
)
def test_an_answer_that_is_nonsense(face: ProviderInMode, body: bytes) -> None:
    """A status 200 with an unexpected body raises StorageUnavailable."""
    face.lab.server.always(Behaviour(200, {"Content-Type": "application/json"}, body))
    with pytest.raises(StorageUnavailable, match="an unexpected response"):
        face.ask(face.provider().get, *OWNER)


def test_an_answer_that_is_nonsense_after_a_login(face: ProviderInMode) -> None:
    """A response without the secret, after a successful login, raises StorageUnavailable."""
    provider = face.provider()
    face.ask(provider.has, *OWNER)
    face.lab.server.always(Behaviour.of_json({"data": {"data": 5}, "payload": {"data": "é"}}))
    with pytest.raises(StorageUnavailable, match="an unexpected response"):
        face.ask(provider.get, *OWNER)


def test_a_manager_that_sends_elsewhere(face: ProviderInMode) -> None:
    """A redirect is not followed, and raises ConfigurationError."""
    provider = face.provider()
    face.ask(provider.has, *OWNER)
    face.lab.server.always(Behaviour(307, {"Location": "http://127.0.0.1:1/"}))
    with pytest.raises(ConfigurationError, match="redirects"):
        face.ask(provider.get, *OWNER)


def test_unprocessable_requests_are_not_retried(face: ProviderInMode) -> None:
    """A request that the manager rejects as invalid is not retried."""
    provider = face.provider()
    face.ask(provider.has, *OWNER)
    face.lab.server.always(Behaviour(422))
    with pytest.raises(ConfigurationError, match="rejected"):
        face.ask(provider.get, *OWNER)
    with pytest.raises(ConfigurationError, match="rejected"):
        face.ask(provider.rotate, *OWNER, NEW)


def test_unreachable_manager(face: ProviderInMode) -> None:
    """A refused, silent or dropped connection raises StorageUnavailable."""
    provider = face.provider(timeout=0.2)
    face.lab.server.always(Behaviour(raw=b""))
    with pytest.raises(StorageUnavailable) as excinfo:
        face.ask(provider.get, *OWNER)
    assert_no_secret_in(excinfo.value)
    face.lab.server.always(Behaviour(raw=b"", then="close"))
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        face.ask(provider.get, *OWNER)
    face.lab.server.close()
    with pytest.raises(StorageUnavailable, match="Check its address"):
        face.ask(face.provider(timeout=0.2).get, *OWNER)


def test_neither_shows_a_secret(face: ProviderInMode) -> None:
    """The `repr` of a secret manager's client or provider shows no secret."""
    assert SECRET not in repr((face.lab.manager(), face.provider()))
    assert "PRIVATE KEY" not in repr(face.lab.manager())


def test_wait_for_a_login_is_bounded() -> None:
    """A caller that waits for another caller's login gives up at its timeout."""
    lab = LABS["vault"]()
    with lab:
        lab.server.always(Behaviour(raw=b""))
        outcome: list[object] = []

        async def run() -> None:
            provider = AsyncManagedCredentialProvider(lab.manager(), timeout=0.3)
            async with provider:
                requests = (provider.get("shop", None) for _ in range(5))
                outcome.extend(await asyncio.gather(*requests, return_exceptions=True))

        asyncio.run(run())
    assert {StorageUnavailable} == {type(item) for item in outcome}
    assert any("takes too long" in str(item) for item in outcome)


def test_a_client_of_the_hosts_stays_open() -> None:
    """Closing a provider leaves an HTTP client open that the host passed in."""
    with LABS["aws"]() as lab, StdlibHttpClient() as http:
        with ManagedCredentialProvider(lab.manager(), http=http) as provider:
            assert not provider.has("shop", None)
        assert not provider.has("shop", None)

    async def run(lab: Lab) -> None:
        async with AsyncStdlibHttpClient() as http:
            async with AsyncManagedCredentialProvider(lab.manager(), http=http) as provider:
                assert not await provider.has("shop", None)
            assert not await provider.has("shop", None)

    with LABS["aws"]() as lab:
        asyncio.run(run(lab))


def test_closing_a_provider_closes_its_client() -> None:
    """Closing a provider closes the HTTP client that it created."""
    with LABS["aws"]() as lab:
        with ManagedCredentialProvider(lab.manager()) as provider:
            assert not provider.has("shop", None)
        lab.server.wait_for_closed(1)


def test_clock_step_does_not_end_a_login() -> None:
    """A login's lifetime is measured by the monotonic clock, not by the wall clock."""
    clock = VirtualClock(datetime(2026, 11, 20, tzinfo=UTC))
    with LABS["gcp"]() as lab:
        lab.now = clock.utc
        with ManagedCredentialProvider(lab.manager(), clock=clock) as provider:
            provider.has("shop", None)
            clock.step_utc(timedelta(days=1))
            provider.has("shop", None)
        assert 1 == lab.asked["login"]
