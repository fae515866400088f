"""A session with a secret manager: its requests and its current login."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from moorage.domain.auth.methods import authorise, sign, signs
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.http.urls import join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    StorageUnavailable,
    VendorFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Request, Response
    from moorage.ports.clock import Clock
    from moorage.ports.secret_manager import LoginProvider

Answer = TypeVar("Answer")
P = TypeVar("P", bound="LoginProvider")

_SECOND: Final = 1_000_000_000
_RENEW_AT: Final = 2 / 3
_RETRY_RENEWAL_AFTER: Final = 5.0
"""Seconds after which a failed renewal is retried, while the old login is still valid."""
_LONGEST_FILE: Final = 65_536


class HttpWire:
    """Sends requests to a secret manager through an HTTP client."""

    def __init__(
        self,
        where: str,
        send: Callable[[Request, str, Timeouts], Coroutine[Any, Any, Response]],
        read: Callable[[str], Coroutine[Any, Any, Secret | None]],
        timeout: float,
        clock: Clock,
    ) -> None:
        self._where = where
        self._send = send
        self._read = read
        self.timeout = timeout
        self._timeouts = Timeouts(total=timeout)
        self.utc, self.nanoseconds = clock.utc, clock.nanoseconds

    async def send(
        self, base: str, request: Request, credentials: Credentials | None = None, /
    ) -> Response:
        """Send a request, with credentials if given, and return the response."""
        if credentials is not None:
            request = authorise(request, credentials)
        url = join_url(base, request)
        if credentials is not None and signs(credentials):
            request = sign(request, url, credentials, SigningContext(self.utc(), self.nonce()))
        try:
            return await self._send(request, url, self._timeouts)
        except (ConnectionFailed, VendorFailed) as error:
            reason = error.message
        # Raised outside the handler, so that it does not carry the client's frames with the
        # request.
        raise StorageUnavailable(
            f"{self._where} cannot be reached: {reason}",
            remedy="Check the address and status of the secret manager and the network, and"
            " try again.",
        )

    async def read(self, path: str, /) -> Secret:
        """Return the content of a file that contains a secret."""
        content = await self._read(path)
        if content is None:
            raise ConfigurationError(
                f"The file {path} cannot be read, is empty or is too long.",
                path="path",
                remedy="Create the file there, and let this process read it.",
            )
        return content

    def nonce(self) -> str:
        """Return a random nonce."""
        return os.urandom(16).hex()


class Session(Generic[P]):
    """The current login at a secret manager; only one caller at a time renews it."""

    def __init__(
        self,
        manager: P,
        wire: HttpWire,
        enter: Callable[[object, float], Coroutine[Any, Any, bool]],
        leave: Callable[[object], None],
    ) -> None:
        self.manager = manager
        self.wire = wire
        self._enter = enter
        self._leave = leave
        self._login: _Login | None = None

    async def do(self, act: Callable[[Credentials], Coroutine[Any, Any, Answer]]) -> Answer:
        """Run an operation with the current login; if that is refused, log in and try once more."""
        login_before = self._login
        current_login = await self._current(None)
        try:
            return await act(current_login.credentials)
        except AuthenticationFailed:
            if current_login is not login_before:
                raise
        return await act((await self._current(current_login)).credentials)

    async def _current(self, refused_login: _Login | None) -> _Login:
        login = self._login
        if (
            login is not None
            and login is not refused_login
            and self.wire.nanoseconds() < login.renew_at
        ):
            return login
        holder = object()
        try:
            if not await self._enter(holder, 2 * self.wire.timeout):
                raise StorageUnavailable(
                    f"The login at {self.manager.where} did not end within the timeout.",
                    remedy="Check the status of the secret manager, or raise `timeout`.",
                )
            if self._login is login:
                self._login = await self._renew(None if login is refused_login else login)
            return self._login  # type: ignore[return-value]  # set here or by the caller before
        finally:
            self._leave(holder)

    async def _renew(self, login: _Login | None) -> _Login:
        try:
            previous_credentials = None if login is None else login.credentials
            credentials = await self.manager.log_in(self.wire, previous_credentials)
        except ConnectorError:
            now = self.wire.nanoseconds()
            if login is None or now >= login.ends:
                raise
            login.renew_at = now + _RETRY_RENEWAL_AFTER * _SECOND
            return login
        return _Login(credentials, self.wire)


class _Login:
    """The credentials of a login, with the times of renewal and expiry."""

    def __init__(self, credentials: Credentials, wire: HttpWire) -> None:
        self.credentials = credentials
        now, self.renew_at, self.ends = wire.nanoseconds(), float("inf"), float("inf")
        if credentials.expires_at is not None:
            lifetime = (credentials.expires_at - wire.utc()).total_seconds() * _SECOND
            self.renew_at, self.ends = now + lifetime * _RENEW_AT, now + lifetime


def content_of(path: str) -> Secret | None:
    """Return the content of a small file without surrounding space; None if unreadable."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST_FILE + 1).strip()
    except OSError:
        return None
    return Secret(content) if 0 < len(content) <= _LONGEST_FILE else None
