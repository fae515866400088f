"""Credentials in a system keyring, with a test backend."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import InitError, KeyringLocked, PasswordSetError

from moorage.adapters.credentials.keyring import (
    AsyncKeyringCredentialProvider,
    KeyringCredentialProvider,
)
from moorage.domain.auth.methods import Credentials
from moorage.errors import (
    ConfigurationError,
    ConnectorError,
    CredentialNotFound,
    InvalidData,
    StorageUnavailable,
)
from moorage.testing import credentials_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.security.canaries import revealed_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD = kit.OLD
OWNER = ("shop", "acme-fr")
NAMES: dict[tuple[str, str | None], str] = {
    (service, tenant): f"odd-{service}-{number}"
    for service in ("a", "b")
    for number, tenant in enumerate(("None", ""))
}
NONE: Any = NoKeyring
BOTH_MODES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class MemoryKeyring(KeyringBackend):
    """A keyring backend in memory that can be locked or broken."""

    priority: Any = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library is typed in part
        self.passwords: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        """Return the stored password."""
        if self.error is not None:
            raise self.error
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store the password."""
        if self.error is not None:
            raise self.error
        self.passwords[service, username] = password


def call_provider(provider: Any, method_name: str, *options: object) -> Any:
    """Return the result of a synchronous or asynchronous method."""
    answer = getattr(provider, method_name)(*options)
    return asyncio.run(answer) if isinstance(provider, AsyncKeyringCredentialProvider) else answer


def provider_of(ring: KeyringBackend | None, *, is_async: bool, **options: Any) -> Any:
    """Return a credential provider on this keyring backend."""
    kind: Any = AsyncKeyringCredentialProvider if is_async else KeyringCredentialProvider
    return kind(backend=ring, **options)


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_synchronous_keyring_provider_passes_conformance_kit(check: kit.Check) -> None:
    """The synchronous keyring provider passes the conformance kit."""
    check(
        lambda renew: KeyringCredentialProvider(names=NAMES, renew=renew, backend=MemoryKeyring())
    )


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_keyring_provider_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """The asynchronous keyring provider passes the conformance kit."""
    asyncio.run(
        check(
            lambda renew: AsyncKeyringCredentialProvider(
                names=NAMES, renew=renew, backend=MemoryKeyring()
            )
        )
    )


@pytest.fixture(name="usual")
def _usual_keyring() -> Iterator[MemoryKeyring]:
    """Install a keyring backend that the keyring library finds by itself."""
    previous_keyring, ring = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(previous_keyring)


@BOTH_MODES
def test_default_keyring_is_used(usual: MemoryKeyring, is_async: bool) -> None:
    """Passwords from `keyring set` are read, and rotated credentials are stored in the keyring."""
    keyring.set_password("moorage", "services/shop", "old")
    provider = provider_of(None, is_async=is_async)
    assert OLD == call_provider(provider, "get", "shop", None)
    call_provider(provider, "rotate", *OWNER, Credentials.basic("u", "p"))
    assert Credentials.basic("u", "p") == call_provider(provider, "get", *OWNER)
    assert {("moorage", "services/shop"), ("moorage", "tenants/acme-fr/shop")} == {*usual.passwords}


@BOTH_MODES
def test_overtaken_renewal_is_discarded(is_async: bool) -> None:
    """If someone else stores a credential during a renewal, the renewed one is discarded."""
    ring = MemoryKeyring()

    def renew_too_late(*_: object) -> Credentials:
        ring.passwords["moorage", "tenants/acme-fr/shop"] = "other"
        return kit.NEW

    async def renew_later(*_: object) -> Credentials:
        return renew_too_late()

    provider = provider_of(
        ring, is_async=is_async, renew=renew_later if is_async else renew_too_late
    )
    call_provider(provider, "rotate", *OWNER, OLD)
    assert kit.OTHER == call_provider(provider, "refresh", *OWNER, OLD)


@BOTH_MODES
def test_applications_are_separate(is_async: bool) -> None:
    """Two applications of one user have separate keyring entries."""
    ring = MemoryKeyring()
    call_provider(provider_of(ring, is_async=is_async, application="erp"), "rotate", *OWNER, OLD)
    other_provider = provider_of(ring, is_async=is_async)
    assert not call_provider(other_provider, "has", *OWNER)
    with pytest.raises(CredentialNotFound, match="keyring set moorage tenants/acme-fr/shop"):
        call_provider(other_provider, "get", *OWNER)


@BOTH_MODES
def test_ambiguous_keyring_entry_needs_a_configured_name(is_async: bool) -> None:
    """A service or tenant whose keyring entry would be ambiguous needs a name in the settings."""
    ring = MemoryKeyring()
    provider = provider_of(ring, is_async=is_async)
    assert not call_provider(provider, "has", "a/b", None)
    with pytest.raises(CredentialNotFound, match="do not form a valid name"):
        call_provider(provider, "get", "shop", "A")
    with pytest.raises(ConfigurationError, match="Set the user's name"):
        call_provider(provider, "rotate", "shop", "", OLD)
    named_provider = provider_of(ring, is_async=is_async, names={("a/b", None): "ours"})
    call_provider(named_provider, "rotate", "a/b", None, OLD)
    assert OLD == call_provider(named_provider, "get", "a/b", None)


@BOTH_MODES
@pytest.mark.parametrize(
    "error, kind, message",
    [
        (KeyringLocked("s3cr3t"), StorageUnavailable, "is locked"),
        (InitError("s3cr3t"), ConfigurationError, "This machine has no usable keyring"),
        (PasswordSetError("s3cr3t"), StorageUnavailable, "failed with PasswordSetError"),
        (OSError("s3cr3t"), StorageUnavailable, "failed with OSError"),
    ],
)
def test_every_exception_of_keyring_becomes_moorage_error_without_original_text(
    error: Exception,
    kind: type[ConnectorError],
    message: str,
    is_async: bool,
) -> None:
    """Every exception of a keyring becomes a moorage error without the original text."""
    ring = MemoryKeyring()
    ring.error = error
    provider = provider_of(ring, is_async=is_async)
    for verb, value in (("get", OWNER), ("rotate", (*OWNER, Credentials.bearer("s3cr3t")))):
        with pytest.raises(kind, match=message) as excinfo:
            call_provider(provider, verb, *value)
        assert [] == [
            path for path, text in revealed_texts(excinfo.value, "error") if "s3cr3t" in text
        ]


@BOTH_MODES
def test_error_without_a_keyring_suggests_other_stores(is_async: bool) -> None:
    """On a machine without a keyring, the error suggests other stores for credentials."""
    with pytest.raises(ConfigurationError, match="store credentials elsewhere"):
        call_provider(provider_of(NONE(), is_async=is_async), "get", *OWNER)


@BOTH_MODES
def test_error_for_an_invalid_password_names_the_keyring_entry(is_async: bool) -> None:
    """The error for an invalid password names the keyring entry, and does not show the password."""
    ring = MemoryKeyring()
    ring.passwords["moorage", "services/shop"] = "s3cr3t\n"
    with pytest.raises(InvalidData, match="The password of 'services/shop'") as excinfo:
        call_provider(provider_of(ring, is_async=is_async), "get", "shop", None)
    assert "s3cr3t" not in str(excinfo.value)
