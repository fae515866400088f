"""The in-memory credential provider."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.credentials._renewing import (
    AsyncCredentialRenewal,
    CredentialRenewal,
    Owner,
)
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.domain.auth.credential_codec import AnyCredentials
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.errors import (
    ConnectionFailed,
    CredentialRefreshFailed,
    InvalidData,
    StorageUnavailable,
    VendorFailed,
)
from moorage.testing import credentials_conformance as kit
from moorage.testing.kits.checks import name_of

OLD, NEW, OTHER = kit.OLD, kit.NEW, kit.OTHER
OWNER = ("stripe", "acme")


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_memory_credential_provider_passes_conformance_kit(check: kit.Check) -> None:
    """MemoryCredentialProvider passes the conformance kit."""
    check(lambda renew: MemoryCredentialProvider(renew=renew))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_memory_credential_provider_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """AsyncMemoryCredentialProvider passes the conformance kit."""
    asyncio.run(check(lambda renew: AsyncMemoryCredentialProvider(renew=renew)))


def test_provider_constructor_accepts_credentials_of_any_kind() -> None:
    """The provider's constructor accepts credentials of each kind."""
    token = OAuthCredentials(access_token="a")
    provider = MemoryCredentialProvider({OWNER: OLD, ("adyen", None): token})

    assert OLD == provider.get(*OWNER)
    assert token == provider.get("adyen", None)


@pytest.mark.parametrize("new", [None, "token", b"token"])
def test_other_values_are_refused(new: object) -> None:
    """Rotating to a value that is not a credential is refused, and the old credential stays."""
    provider = MemoryCredentialProvider({OWNER: OLD})

    with pytest.raises(InvalidData, match="The new credential is"):
        provider.rotate(*OWNER, cast("Credentials", new))
    assert OLD == provider.get(*OWNER)


def test_renew_function_without_a_credential_raises_an_error() -> None:
    """If a renew function returns no credential, an error is raised, and the old one is kept."""

    def renew(*_: object) -> Credentials:
        return cast("Credentials", None)

    provider = MemoryCredentialProvider({OWNER: OLD}, renew=renew)

    with pytest.raises(CredentialRefreshFailed, match="failed with InvalidData"):
        provider.refresh(*OWNER, OLD)
    assert OLD == provider.get(*OWNER)


def test_refresh_needs_a_renew_function() -> None:
    """`refresh` without a renew function raises an error that mentions the argument `renew=`."""
    plain_provider = MemoryCredentialProvider({OWNER: OLD})
    async_provider = AsyncMemoryCredentialProvider({OWNER: OLD})

    with pytest.raises(CredentialRefreshFailed, match="`renew`"):
        plain_provider.refresh(*OWNER, OLD)
    with pytest.raises(CredentialRefreshFailed, match="`renew`"):
        asyncio.run(async_provider.refresh(*OWNER, OLD))


LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "error, expected",
    [
        (ConnectionFailed("Cut off."), (True, None)),
        (VendorFailed("Down.", retry_at=LATER), (True, LATER)),
        (InvalidData("Nonsense."), (False, None)),
        (KeyError("token"), (False, None)),
        (CredentialRefreshFailed("Revoked.", retryable=True), (True, None)),
    ],
)
def test_failed_renewal_has_a_retry_time(
    error: Exception, expected: tuple[bool, datetime | None]
) -> None:
    """The error of a failed renewal has the retry time of its cause."""

    def renew(*_: object) -> Credentials:
        raise error

    with pytest.raises(CredentialRefreshFailed) as excinfo:
        MemoryCredentialProvider({OWNER: OLD}, renew=renew).refresh(*OWNER, OLD)
    assert expected == (excinfo.value.retryable, excinfo.value.retry_at)


def test_exception_of_the_renew_function_is_the_cause_of_the_error() -> None:
    """The renew function's exception is the error's cause, but its text is not in the message."""

    def renew(*_: object) -> Credentials:
        raise KeyError("sk_live_secret")

    with pytest.raises(CredentialRefreshFailed) as excinfo:
        MemoryCredentialProvider({OWNER: OLD}, renew=renew).refresh(*OWNER, OLD)
    assert isinstance(excinfo.value.__cause__, KeyError)
    assert "secret" not in str(excinfo.value)


def test_credential_rotated_during_a_renewal_stays() -> None:
    """A credential that is rotated during a renewal is not replaced by the renewed one."""

    def renew(*_: object) -> Credentials:
        provider.rotate(*OWNER, OTHER)
        return NEW

    provider = MemoryCredentialProvider({OWNER: OLD}, renew=renew)

    assert OTHER == provider.refresh(*OWNER, OLD)
    assert OTHER == provider.get(*OWNER)


class Interruption(BaseException):
    """The exception that interrupts a renewal."""


def test_waiting_caller_takes_over_an_interrupted_renewal() -> None:
    """If the caller that renews a credential is interrupted, a waiting caller renews it."""
    start_event, renewals, results = threading.Event(), list[str](), list[object]()

    def renew(*_: object) -> Credentials:
        renewals.append(threading.current_thread().name)
        if len(renewals) > 1:
            return NEW
        waiter.start()
        start_event.wait(20)
        raise Interruption

    provider = MemoryCredentialProvider({OWNER: OLD}, renew=renew)

    def wait() -> None:
        start_event.set()
        results.append(provider.refresh(*OWNER, OLD))

    waiter = threading.Thread(target=wait, name="waiter")
    with pytest.raises(Interruption):
        provider.refresh(*OWNER, OLD)
    waiter.join()

    assert [NEW] == results
    assert "waiter" == renewals[-1]


def test_a_child_does_not_wait_for_its_parent() -> None:
    """A renewal that was running during a fork does not block the child."""
    renewals: list[int] = []

    def renew(*_: object) -> Credentials:
        renewals.append(1)
        if len(renewals) == 1:
            restart_in_child()
            provider.refresh(*OWNER, OLD)
        return NEW

    provider = MemoryCredentialProvider({OWNER: OLD}, renew=renew)

    assert (NEW, 2) == (provider.refresh(*OWNER, OLD), len(renewals))


def test_a_childs_tasks_do_not_wait_for_its_parent() -> None:
    """Tasks of a forked child do not wait for a renewal that ran in the parent."""
    renewals: list[int] = []

    async def renew(*_: object) -> Credentials:
        renewals.append(1)
        if len(renewals) == 1:
            restart_in_child()
            await provider.refresh(*OWNER, OLD)
        return NEW

    provider = AsyncMemoryCredentialProvider({OWNER: OLD}, renew=renew)

    assert (NEW, 2) == (asyncio.run(provider.refresh(*OWNER, OLD)), len(renewals))


class RacingCredential:
    """A credential that seems outdated just before another caller replaces it."""

    def __init__(self, replace: Callable[[], None]) -> None:
        self._replace: Callable[[], None] | None = replace

    def __eq__(self, _: object) -> bool:
        replace, self._replace = self._replace, None
        if replace is None:
            return False
        replace()
        return True

    __hash__ = None  # type: ignore[assignment]  # nobody needs to


def test_fresh_renewal_is_not_repeated() -> None:
    """A caller that arrives just after another caller's renewal gets the renewed credential."""
    plain_provider = MemoryCredentialProvider({OWNER: OLD})
    async_provider = AsyncMemoryCredentialProvider({OWNER: OLD})

    def rotate() -> None:
        with suppress(StopIteration):  # the coroutine never suspends
            async_provider.rotate(*OWNER, NEW).send(None)

    stale_credentials: Any = RacingCredential(lambda: plain_provider.rotate(*OWNER, NEW))
    stale_too: Any = RacingCredential(rotate)

    assert NEW == plain_provider.refresh(*OWNER, stale_credentials)
    assert NEW == asyncio.run(async_provider.refresh(*OWNER, stale_too))


def test_cancelled_waiters_do_not_disturb_a_renewal() -> None:
    """The renewal of a credential completes even if the tasks that waited for it were cancelled."""

    async def leave() -> object:
        renewing, may_end = asyncio.Event(), asyncio.Event()

        async def renew(*_: object) -> Credentials:
            renewing.set()
            await may_end.wait()
            return NEW

        provider = AsyncMemoryCredentialProvider({OWNER: OLD}, renew=renew)
        first = asyncio.create_task(provider.refresh(*OWNER, OLD))
        await renewing.wait()
        second = asyncio.create_task(provider.refresh(*OWNER, OLD))
        await asyncio.sleep(0)
        second.cancel()
        may_end.set()
        return await first

    assert NEW == asyncio.run(leave())


def test_task_waits_for_a_renewal_in_another_event_loop() -> None:
    """A task in one event loop waits for a renewal that runs in another loop."""
    start_event, other_begun = threading.Event(), threading.Event()
    renewals: list[object] = []

    async def renew(*_: object) -> Credentials:
        renewals.append(1)
        start_event.set()
        await asyncio.to_thread(other_begun.wait, 20)
        await asyncio.sleep(0.002)
        return NEW

    provider = AsyncMemoryCredentialProvider({OWNER: OLD}, renew=renew)
    results: list[object] = []

    def refresh_in_thread() -> None:
        start_event.wait(20)
        other_begun.set()
        results.append(asyncio.run(provider.refresh(*OWNER, OLD)))

    thread = threading.Thread(target=refresh_in_thread)
    thread.start()
    results.append(asyncio.run(provider.refresh(*OWNER, OLD)))
    thread.join()

    assert ([NEW, NEW], 1) == (results, len(renewals))


class BrokenVault:
    """A vault whose writes fail until the test repairs it."""

    def __init__(self) -> None:
        self.credentials: AnyCredentials = OLD
        self.is_broken = True

    def get(self, _: Owner) -> Any:
        """Return the stored credentials."""
        return self.credentials

    def has(self, _: Owner) -> bool:
        """Return whether there are credentials."""
        return True

    def put(self, _: Owner, new: AnyCredentials) -> None:
        """Store new credentials."""
        self.credentials = new

    def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace the old credentials, unless the vault is broken."""
        if self.is_broken:
            raise StorageUnavailable("The store is away.")
        assert old == self.credentials
        self.put(owner, new)


class AsyncBrokenVault:
    """The asynchronous `BrokenVault`."""

    def __init__(self, vault: BrokenVault) -> None:
        self._vault = vault

    async def get(self, owner: Owner) -> Any:
        """Return the stored credentials."""
        return self._vault.get(owner)

    async def has(self, owner: Owner) -> bool:
        """Return whether there are credentials."""
        return self._vault.has(owner)

    async def put(self, owner: Owner, new: AnyCredentials) -> None:
        """Store new credentials."""
        self._vault.put(owner, new)

    async def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace the old credentials, unless the vault is broken."""
        self._vault.replace(owner, old, new)


@pytest.mark.parametrize("is_awaited", [False, True], ids=["sync", "async"])
def test_renewed_credentials_that_could_not_be_stored_are_stored_later(*, is_awaited: bool) -> None:
    """If storing renewed credentials fails, the next renewal stores them and requests no others."""
    vault, renewed = BrokenVault(), list[object]()

    def renew(_service: str, _tenant: str | None, stale: object) -> Credentials:
        renewed.append(stale)
        return NEW

    async def renew_awaited(service: str, tenant: str | None, stale: object) -> Credentials:
        return renew(service, tenant, stale)

    provider = CredentialRenewal(vault, renew)
    awaited_provider = AsyncCredentialRenewal(AsyncBrokenVault(vault), renew_awaited)

    def refresh() -> Any:
        if is_awaited:
            return asyncio.run(awaited_provider.refresh(*OWNER, OLD))
        return provider.refresh(*OWNER, OLD)

    with pytest.raises(CredentialRefreshFailed):
        refresh()
    vault.is_broken = False

    assert NEW == refresh()
    assert NEW == vault.credentials
    assert [OLD] == renewed
    vault.put(OWNER, OLD)
    assert NEW == refresh()
    assert [OLD, OLD] == renewed
