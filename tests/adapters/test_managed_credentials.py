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
from tests.adapters.manager_harnesses import HARNESSES, SECRET, Harness
from tests.security.canaries import revealed_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD, NEW, OTHER = kit.OLD, kit.NEW, kit.OTHER
TOKENS = ("vault", "gcp", "azure")
"""The managers that one logs in to."""


@pytest.fixture(
    name="subject",
    params=[(kind, is_async) for kind in HARNESSES for is_async in (False, True)],
    ids=lambda value: f"{value[0]}, async" if value[1] else value[0],
)
def _provider(request: pytest.FixtureRequest) -> Iterator[ProviderInMode]:
    kind, is_async = request.param
    with ProviderInMode(HARNESSES[kind](), is_async=is_async) as provider:
        yield provider


LOGS_IN = pytest.mark.parametrize(
    "subject",
    [(kind, is_async) for kind in TOKENS for is_async in (False, True)],
    ids=lambda kind: f"{kind[0]}, async" if kind[1] else kind[0],
    indirect=True,
)
FOR_EACH_HARNESS = pytest.mark.parametrize("kind", HARNESSES)
NAMES: dict[tuple[str, str | None], str] = {
    (service, tenant): f"odd-{service}-{number}"
    for service in ("a", "b")
    for number, tenant in enumerate(("None", ""))
}


@pytest.mark.untraced
@FOR_EACH_HARNESS
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_synchronous_provider_of_each_secret_manager_passes_conformance_kit(
    check: kit.Check, kind: str
) -> None:
    """The synchronous provider of each secret manager passes the conformance kit."""
    with HARNESSES[kind]() as harness, StdlibHttpClient() as http:

        def make_provider(renew: kit.Renew) -> ManagedCredentialProvider:
            harness.secrets.clear()
            return ManagedCredentialProvider(
                harness.manager(), names=NAMES, renew=renew, http=http, timeout=PATIENCE
            )

        check(make_provider)


@pytest.mark.untraced
@FOR_EACH_HARNESS
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_provider_of_each_secret_manager_passes_conformance_kit(
    check: kit.AsyncCheck, kind: str
) -> None:
    """The asynchronous provider of each secret manager passes the conformance kit."""

    async def run(harness: Harness) -> None:
        async with AsyncStdlibHttpClient() as http:

            def make_provider(renew: kit.AsyncRenew) -> AsyncManagedCredentialProvider:
                harness.secrets.clear()
                return AsyncManagedCredentialProvider(
                    harness.manager(), names=NAMES, renew=renew, http=http, timeout=PATIENCE
                )

            await check(make_provider)

    with HARNESSES[kind]() as harness:
        asyncio.run(run(harness))


def assert_no_secret_in(error: BaseException) -> None:
    """Fail if a secret is in an error, its causes or a traceback frame."""
    assert [] == [path for path, text in revealed_texts(error, "error") if SECRET in text]


NAMED_MANAGERS = {
    "vault": ("moorage/services/shop", "moorage/tenants/acme-fr/shop"),
    "aws": ("moorage/services/shop", "moorage/tenants/acme-fr/shop"),
    "gcp": ("moorage-shop", "moorage-shop--acme-fr"),
    "azure": ("moorage-shop", "moorage-shop--acme-fr"),
}


def test_secret_may_be_a_plain_token_or_a_json_table(subject: ProviderInMode) -> None:
    """A secret that a person wrote may be a plain token or a JSON table."""
    own_name, foreign_name = NAMED_MANAGERS[subject.harness.kind]
    subject.harness.put(own_name, "a-token")
    subject.harness.put(foreign_name, '{"method": "basic", "username": "u", "secret": "p"}')
    provider = subject.provider()

    assert Credentials.bearer("a-token") == subject.ask(provider.get, "shop", None)
    assert Credentials.basic("u", "p") == subject.ask(provider.get, *OWNER)
    assert subject.ask(provider.has, *OWNER)
    assert not subject.ask(provider.has, "shop", "acme-de")


def test_rotated_credential_is_read_by_another_process(subject: ProviderInMode) -> None:
    """A rotated credential of any kind is read back by another process."""
    stored_credentials = [
        Credentials.signed(
            HmacSigning(signs="{body}", headers={"X": "{signature}"}, key_id="é"), b"\xff\x00"
        ),
        OAuthCredentials(access_token="a", refresh_token="r", scope="x y"),
        Credentials.none(),
    ]
    for entry in stored_credentials:
        subject.ask(subject.provider().rotate, *OWNER, entry)
        assert entry == subject.ask(subject.provider().get, *OWNER)


def test_refresh_reads_the_secret_again(subject: ProviderInMode) -> None:
    """Without a renewal function, `refresh` reads the secret again."""
    name = NAMED_MANAGERS[subject.harness.kind][1]
    subject.harness.put(name, "old")
    provider = subject.provider()
    with pytest.raises(CredentialRefreshFailed):
        subject.ask(provider.refresh, *OWNER, OLD)
    subject.harness.put(name, "new")
    assert NEW == subject.ask(provider.refresh, *OWNER, OLD)


def test_renewed_credentials_are_shared(subject: ProviderInMode) -> None:
    """A renewed credential is stored for all processes, unless another process stored one first."""

    def renew(*_: object) -> Credentials:
        return NEW

    def replace_credential(*_: object) -> Credentials:
        subject.harness.put(NAMED_MANAGERS[subject.harness.kind][1], "other")
        return OLD

    def in_mode(function: Any) -> Any:
        async def call_later(*value: object) -> Any:
            return function(*value)

        return call_later if subject.is_async else function

    subject.harness.put(NAMED_MANAGERS[subject.harness.kind][1], "old")
    assert NEW == subject.ask(subject.provider(renew=in_mode(renew)).refresh, *OWNER, OLD)
    assert NEW == subject.ask(subject.provider().get, *OWNER)
    assert OTHER == subject.ask(
        subject.provider(renew=in_mode(replace_credential)).refresh, *OWNER, NEW
    )


def test_error_for_an_invalid_secret_names_secret_and_manager(subject: ProviderInMode) -> None:
    """The error for an invalid secret names the secret and its manager, not the content."""
    name = NAMED_MANAGERS[subject.harness.kind][1]
    subject.harness.put(name, f'{{"secret": "{SECRET}", "password": "{SECRET}"}}')

    with pytest.raises(InvalidData, match=f"The secret '{name}' of .*unknown field") as excinfo:
        subject.ask(subject.provider().get, *OWNER)
    assert "shop" != excinfo.value.field
    assert_no_secret_in(excinfo.value)


@pytest.mark.parametrize("owner", [("Shop", None), ("shop", ""), ("a/../b", "x"), ("shop", "a--b")])
def test_ambiguous_secret_name_needs_a_configured_name(subject: ProviderInMode, owner: Any) -> None:
    """An owner whose secret name would be ambiguous needs an entry in `names`."""
    provider = subject.provider()

    assert not subject.ask(provider.has, *owner)
    with pytest.raises(
        CredentialNotFound, match=r"not form a valid name.*Set the secret's name in `names`"
    ):
        subject.ask(provider.get, *owner)
    with pytest.raises(ConfigurationError, match="Set the secret's name in `names`"):
        subject.ask(provider.rotate, *owner, OLD)
    assert () == subject.harness.server.requests
    subject.harness.put("ours-own", "old")
    assert OLD == subject.ask(subject.provider(names={owner: "ours-own"}).get, *owner)


def test_missing_secret_is_named(subject: ProviderInMode) -> None:
    """The error for a missing secret names the secret and its manager."""
    with pytest.raises(
        CredentialNotFound, match=f"no secret '{NAMED_MANAGERS[subject.harness.kind][1]}' in"
    ):
        subject.ask(subject.provider().get, *OWNER)


@LOGS_IN
def test_one_login_serves_many_requests(subject: ProviderInMode) -> None:
    """One login serves many requests, and is renewed after two thirds of its lifetime."""
    provider = subject.provider()
    for _ in range(3):
        subject.ask(provider.has, *OWNER)
    assert 1 == subject.harness.asked["login"]
    subject.clock.advance(2399)
    subject.ask(provider.has, *OWNER)
    assert 1 == subject.harness.asked["login"] + subject.harness.asked["renew"]
    subject.clock.advance(2)
    subject.ask(provider.has, *OWNER)
    assert 2 == subject.harness.asked["login"] + subject.harness.asked["renew"]


@LOGS_IN
def test_many_concurrent_callers_cause_one_login(subject: ProviderInMode) -> None:
    """If many callers need the first login at once, only one of them logs in."""
    provider, count = subject.provider(), 6
    subject.harness.put(NAMED_MANAGERS[subject.harness.kind][1], "old")
    if subject.is_async:

        async def run() -> list[Any]:
            return await asyncio.gather(*(provider.get(*OWNER) for _ in range(count)))

        results = asyncio.run(run())
    else:
        results, barrier = [], Barrier(count)

        def get_credentials() -> None:
            barrier.wait()
            results.append(provider.get(*OWNER))

        threads = [Thread(target=get_credentials) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [OLD] * count == results
    assert 1 == subject.harness.asked["login"]


@LOGS_IN
def test_a_token_that_was_revoked_is_replaced(subject: ProviderInMode) -> None:
    """If the manager refuses a token as revoked, the provider logs in again, once."""
    provider = subject.provider()
    subject.harness.put(NAMED_MANAGERS[subject.harness.kind][1], "old")
    assert OLD == subject.ask(provider.get, *OWNER)
    subject.harness.revoke()

    assert OLD == subject.ask(provider.get, *OWNER)
    assert 2 == subject.harness.asked["login"]


@LOGS_IN
def test_failed_login_renewal_keeps_the_valid_token(subject: ProviderInMode) -> None:
    """If renewing the login fails, the still valid token is used."""
    provider = subject.provider()
    subject.harness.put(NAMED_MANAGERS[subject.harness.kind][1], "old")
    subject.ask(provider.get, *OWNER)
    subject.clock.advance(2401)
    absent_behaviour = Behaviour(503)
    original_handle = subject.harness.handle

    def handle(request: Any) -> Behaviour:
        logs_in = (
            not request.headers.get("x-vault-token") and "authorization" not in request.headers
        )
        return (
            absent_behaviour
            if logs_in or "renew-self" in request.path
            else original_handle(request)
        )

    subject.harness.handle = handle  # type: ignore[method-assign]  # a login that is away
    count = len(subject.harness.server.requests)
    assert OLD == subject.ask(provider.get, *OWNER)
    assert 2 == len(subject.harness.server.requests) - count
    assert OLD == subject.ask(provider.get, *OWNER)
    assert (
        3 == len(subject.harness.server.requests) - count
    )  # a renewal is not attempted at every call
    subject.clock.advance(5)
    assert OLD == subject.ask(provider.get, *OWNER)
    assert 5 == len(subject.harness.server.requests) - count
    subject.clock.advance(1200)
    with pytest.raises(StorageUnavailable):
        subject.ask(provider.get, *OWNER)


def test_missing_permission_is_explained(subject: ProviderInMode) -> None:
    """The error for a refused request names the missing permission, without the manager's text."""
    provider = subject.provider()
    subject.ask(provider.has, *OWNER)
    errors: list[ConnectorError] = []
    original_handle = subject.harness.handle

    def handle(request: Any) -> Behaviour:
        answer = original_handle(request)
        if "challenge" in repr(answer) or answer.status == 401 or "login" in request.path:
            return answer
        if request.path.endswith("/token"):
            return answer
        words = {"code": "Denied", "message": SECRET, "status": "PERMISSION_DENIED"}
        fields = {"errors": [SECRET], "__type": "x#AccessDeniedException", "error": words}
        return Behaviour.of_json(fields, status=400 if subject.harness.kind == "aws" else 403)

    subject.harness.handle = handle  # type: ignore[method-assign]  # a policy that denies
    for verb in (provider.get, partial(provider.rotate)):
        value = (*OWNER, NEW) if verb != provider.get else OWNER
        with pytest.raises(
            AuthenticationFailed, match=NAMED_MANAGERS[subject.harness.kind][1]
        ) as excinfo:
            subject.ask(verb, *value)
        errors.append(excinfo.value)
        assert_no_secret_in(excinfo.value)
    assert ["shop", "shop"] == [error.service for error in errors]
    assert not any(error.retryable for error in errors)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_manager_that_is_down_raises_storage_unavailable(
    subject: ProviderInMode, status: int
) -> None:
    """If the secret manager answers with 429 or 5xx, a retryable StorageUnavailable is raised."""
    subject.harness.server.always(Behaviour(status, body=SECRET.encode()))
    with pytest.raises(StorageUnavailable) as excinfo:
        subject.ask(subject.provider().get, *OWNER)
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
def test_unexpected_body_raises_storage_unavailable(subject: ProviderInMode, body: bytes) -> None:
    """A status 200 with an unexpected body raises StorageUnavailable."""
    subject.harness.server.always(Behaviour(200, {"Content-Type": "application/json"}, body))
    with pytest.raises(StorageUnavailable, match="an unexpected response"):
        subject.ask(subject.provider().get, *OWNER)


def test_unexpected_body_after_a_login_raises_storage_unavailable(subject: ProviderInMode) -> None:
    """If a response after a successful login lacks the secret, StorageUnavailable is raised."""
    provider = subject.provider()
    subject.ask(provider.has, *OWNER)
    subject.harness.server.always(
        Behaviour.of_json({"data": {"data": 5}, "payload": {"data": "é"}})
    )
    with pytest.raises(StorageUnavailable, match="an unexpected response"):
        subject.ask(provider.get, *OWNER)


def test_redirect_is_not_followed(subject: ProviderInMode) -> None:
    """A redirect is not followed, and raises ConfigurationError."""
    provider = subject.provider()
    subject.ask(provider.has, *OWNER)
    subject.harness.server.always(Behaviour(307, {"Location": "http://127.0.0.1:1/"}))
    with pytest.raises(ConfigurationError, match="redirects"):
        subject.ask(provider.get, *OWNER)


def test_unprocessable_requests_are_not_retried(subject: ProviderInMode) -> None:
    """A request that the manager rejects as invalid is not retried."""
    provider = subject.provider()
    subject.ask(provider.has, *OWNER)
    subject.harness.server.always(Behaviour(422))
    with pytest.raises(ConfigurationError, match="rejected"):
        subject.ask(provider.get, *OWNER)
    with pytest.raises(ConfigurationError, match="rejected"):
        subject.ask(provider.rotate, *OWNER, NEW)


def test_refused_or_silent_secret_manager_raises_storage_unavailable(
    subject: ProviderInMode,
) -> None:
    """A refused, silent or dropped connection raises StorageUnavailable."""
    provider = subject.provider(timeout=0.2)
    subject.harness.server.always(Behaviour(raw=b""))
    with pytest.raises(StorageUnavailable) as excinfo:
        subject.ask(provider.get, *OWNER)
    assert_no_secret_in(excinfo.value)
    subject.harness.server.always(Behaviour(raw=b"", then="close"))
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        subject.ask(provider.get, *OWNER)
    subject.harness.server.close()
    with pytest.raises(StorageUnavailable, match="Check the address"):
        subject.ask(subject.provider(timeout=0.2).get, *OWNER)


def test_repr_of_secret_manager_client_or_provider_shows_no_secret(subject: ProviderInMode) -> None:
    """The `repr` of a secret manager's client or provider shows no secret."""
    assert SECRET not in repr((subject.harness.manager(), subject.provider()))
    assert "PRIVATE KEY" not in repr(subject.harness.manager())


def test_wait_for_a_login_is_bounded() -> None:
    """A caller that waits for another caller's login stops waiting at its timeout."""
    harness = HARNESSES["vault"]()
    with harness:
        harness.server.always(Behaviour(raw=b""))
        outcome: list[object] = []

        async def run() -> None:
            provider = AsyncManagedCredentialProvider(harness.manager(), timeout=0.3)
            async with provider:
                requests = (provider.get("shop", None) for _ in range(5))
                outcome.extend(await asyncio.gather(*requests, return_exceptions=True))

        asyncio.run(run())
    assert {StorageUnavailable} == {type(item) for item in outcome}
    assert any("did not end within the timeout" in str(item) for item in outcome)


def test_closing_a_provider_does_not_close_the_passed_http_client() -> None:
    """Closing a provider does not close the HTTP client that the host passed to the provider."""
    with HARNESSES["aws"]() as harness, StdlibHttpClient() as http:
        with ManagedCredentialProvider(harness.manager(), http=http) as provider:
            assert not provider.has("shop", None)
        assert not provider.has("shop", None)

    async def run(harness: Harness) -> None:
        async with AsyncStdlibHttpClient() as http:
            async with AsyncManagedCredentialProvider(harness.manager(), http=http) as provider:
                assert not await provider.has("shop", None)
            assert not await provider.has("shop", None)

    with HARNESSES["aws"]() as harness:
        asyncio.run(run(harness))


def test_closing_a_provider_closes_its_client() -> None:
    """Closing a provider closes the HTTP client that it created."""
    with HARNESSES["aws"]() as harness:
        with ManagedCredentialProvider(harness.manager()) as provider:
            assert not provider.has("shop", None)
        harness.server.wait_for_closed(1)


def test_clock_step_does_not_end_a_login() -> None:
    """A login's lifetime is measured by the monotonic clock, not by the wall clock."""
    clock = VirtualClock(datetime(2026, 11, 20, tzinfo=UTC))
    with HARNESSES["gcp"]() as harness:
        harness.now = clock.utc
        with ManagedCredentialProvider(harness.manager(), clock=clock) as provider:
            provider.has("shop", None)
            clock.step_utc(timedelta(days=1))
            provider.has("shop", None)
        assert 1 == harness.asked["login"]
