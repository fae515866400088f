"""Credentials in the keyring of a desktop: macOS's Keychain, Windows' locker, Secret Service.

A password holds a token, or a credential's table in JSON. The credential of the service `shop` is
the password of the user `services/shop`, and the credential for its tenant `acme-fr` is the
password of the user `tenants/acme-fr/shop`:

    keyring set moorage services/shop
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import keyring
from keyring.errors import InitError, KeyringLocked, NoKeyringError

from moorage.adapters.credentials._renewing import (
    AsyncCredentialRenewal,
    CredentialRenewal,
    check_credential,
)
from moorage.adapters.credentials._vaults import PlainVault, ThreadedVault
from moorage.adapters.secret_managers._owner_names import secret_path
from moorage.domain.auth.credential_tables import read_credentials_text, write_credentials
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError, CredentialNotFound, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyring.backend import KeyringBackend

    from moorage.adapters.credentials._renewing import AsyncRenew, Owner, Renew
    from moorage.domain.auth.credential_codec import AnyCredentials
    from moorage.errors import ConnectorError

_APPLICATION: Final = "moorage"


class KeyringCredentialProvider(CredentialRenewal):
    """Reads and writes credentials in the keyring of the current user.

    Args:
        application: the name of the application in the keyring.
        names: the names of users in the keyring that differ from the rule, by service and tenant.
        renew: called with the service, the tenant and the stale credential, returns a new one;
            without it, a refresh checks whether the credential was replaced. One thread at a time
            calls it for a credential. Its result is dropped if the credential was replaced
            meanwhile.
        backend: a keyring of the library; by default the one that the library chooses.
    """

    def __init__(
        self,
        application: str = _APPLICATION,
        *,
        names: Mapping[Owner, str] | None = None,
        renew: Renew | None = None,
        backend: KeyringBackend | None = None,
    ) -> None:
        super().__init__(PlainVault(_Passwords(application, names or {}, backend)), renew)


class AsyncKeyringCredentialProvider(AsyncCredentialRenewal):
    """The asynchronous `KeyringCredentialProvider`; threads use the keyring.

    Args:
        application: the name of the application in the keyring.
        names: the names of users in the keyring that differ from the rule, by service and tenant.
        renew: awaited with the service, the tenant and the stale credential, returns a new one;
            without it, a refresh checks whether the credential was replaced. One task at a time
            awaits it for a credential. Its result is dropped if the credential was replaced
            meanwhile.
        backend: a keyring of the library; by default the one that the library chooses.
    """

    def __init__(
        self,
        application: str = _APPLICATION,
        *,
        names: Mapping[Owner, str] | None = None,
        renew: AsyncRenew | None = None,
        backend: KeyringBackend | None = None,
    ) -> None:
        super().__init__(ThreadedVault(_Passwords(application, names or {}, backend)), renew)


class KeyringSecrets:
    """Reads single passwords from the keyring of the current user.

    Args:
        application: the name of the application in the keyring.
        backend: a keyring of the library; by default the one that the library chooses.
    """

    def __init__(
        self, application: str = _APPLICATION, *, backend: KeyringBackend | None = None
    ) -> None:
        self._passwords = _Passwords(application, {}, backend)

    def read(self, name: str) -> Secret | None:
        """Return the password stored for a user name; None if there is none."""
        return self._passwords.read(name)


class _Passwords:
    """The passwords of one application in a keyring; all operations block."""

    def __init__(
        self, application: str, names: Mapping[Owner, str], backend: KeyringBackend | None
    ) -> None:
        self._application = application
        self._names = dict(names)
        self._backend = backend

    async def get(self, owner: Owner) -> Any:
        """Return the current credentials of a service and tenant."""
        user = self._user(owner)
        content = None if user is None else self.read(user)
        if content is None:
            raise self._missing_error(owner, user)
        return read_credentials_text(content, f"The password of {user!r} for {self._application!r}")

    async def has(self, owner: Owner) -> bool:
        """Return whether credentials of this service and tenant are stored."""
        user = self._user(owner)
        return user is not None and self.read(user) is not None

    async def put(self, owner: Owner, new: AnyCredentials) -> None:
        """Store new credentials of a service and tenant."""
        user = self._user(owner)
        if user is None:
            raise ConfigurationError(
                self._missing_error(owner, None).message,
                path="names",
                remedy="Set the user's name in `names`.",
                service=owner[0],
            )
        content = write_credentials(check_credential(new))
        try:
            self._keyring().set_password(self._application, user, content.reveal())
        except Exception as error:  # noqa: BLE001 - a keyring may raise anything
            failure = _keyring_error(error)
        else:
            return
        # Raised outside the handler, so that it does not carry the keyring's frames with the
        # password.
        raise failure

    async def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace stale credentials, unless another caller has already replaced them."""
        if await self.get(owner) == old:
            await self.put(owner, new)

    def read(self, user: str) -> Secret | None:
        """Return the password stored for a user name; None if there is none."""
        try:
            content = self._keyring().get_password(self._application, user)
        except Exception as error:  # noqa: BLE001 - a keyring may raise anything
            failure = _keyring_error(error)
        else:
            return None if content is None else Secret(content)
        raise failure

    def _keyring(self) -> Any:
        return keyring.get_keyring() if self._backend is None else self._backend

    def _user(self, owner: Owner) -> str | None:
        return self._names.get(owner) or secret_path("", *owner)

    def _missing_error(self, owner: Owner, user: str | None) -> CredentialNotFound:
        if user is not None:
            return CredentialNotFound(
                f"The keyring has no password for the user {user!r} of {self._application!r}.",
                service=owner[0],
                remedy=f"Set one: keyring set {self._application} {user}",
            )
        tenant_phrase = "no tenant" if owner[1] is None else f"tenant {owner[1]!r}"
        return CredentialNotFound(
            f"The keyring has no user for {owner[0]!r} with {tenant_phrase}, because they do"
            " not form a valid name.",
            service=owner[0],
            remedy="Set the user's name in `names`.",
        )


def _keyring_error(error: Exception) -> ConnectorError:
    """Return the error for a failure of the keyring, without the text of the keyring's error."""
    if isinstance(error, (NoKeyringError, InitError)):
        return ConfigurationError(
            "This machine has no usable keyring.",
            path="backend",
            remedy="Install a keyring, or store credentials elsewhere. On a server, nobody"
            " logs in to unlock a keyring.",
        )
    if isinstance(error, KeyringLocked):
        return StorageUnavailable(
            "The keyring is locked.",
            remedy="Unlock the keyring as the user that runs this process.",
        )
    return StorageUnavailable(
        f"The keyring failed with {type(error).__name__}.",
        remedy="Try `keyring --list-backends` and `keyring get` as the same user.",
    )
