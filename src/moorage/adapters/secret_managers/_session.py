"""What a secret manager is asked through, and who we are to it just now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.domain.auth.methods import authorise, sign, signs
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.http.urls import join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.occasion import Occasion
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
    from moorage.ports.secret_manager import SecretManager

Answer = TypeVar("Answer")

_SECOND: Final = 1_000_000_000
_RENEW_AT: Final = 2 / 3
_ANEW_AFTER: Final = 5.0
"""Seconds after which a renewal that failed is tried again, while the old still holds."""
_LONGEST_FILE: Final = 65_536


class HttpWire:
    """A wire over an HTTP client, in whichever colour."""

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
        """What is answered."""
        if credentials is not None:
            request = authorise(request, credentials)
        url = join_url(base, request)
        if credentials is not None and signs(credentials):
            request = sign(request, url, credentials, Occasion(self.utc(), self.nonce()))
        try:
            return await self._send(request, url, self._timeouts)
        except (ConnectionFailed, VendorFailed) as error:
            reason = error.message
        # Out here, or it would carry along the frames of the client, which hold what was sent.
        raise StorageUnavailable(
            f"{self._where} cannot be asked: {reason}",
            remedy="Check its address, the network and how it is; then try again.",
        )

    async def read(self, path: str, /) -> Secret:
        """What a file holds."""
        content = await self._read(path)
        if content is None:
            raise ConfigurationError(
                f"{path} cannot be read, is empty, or is too long for a file of secrets.",
                path="path",
                remedy="Put the file there, and let this process read it.",
            )
        return content

    def nonce(self) -> str:
        """What nobody else says."""
        return os.urandom(16).hex()


class Session:
    """Who we are to a manager just now; one caller at a time finds out."""

    def __init__(
        self,
        manager: SecretManager,
        wire: HttpWire,
        enter: Callable[[object, float], Coroutine[Any, Any, bool]],
        leave: Callable[[object], None],
    ) -> None:
        self.manager = manager
        self.wire = wire
        self._enter = enter
        self._leave = leave
        self._held: _Held | None = None

    async def do(self, act: Callable[[Credentials], Coroutine[Any, Any, Answer]]) -> Answer:
        """Do something with what is held; once more, if that was held before and is refused."""
        held = self._held
        current = await self._current(None)
        try:
            return await act(current.credentials)
        except AuthenticationFailed:
            if current is not held:
                raise
        return await act((await self._current(current)).credentials)

    async def _current(self, refused: _Held | None) -> _Held:
        held = self._held
        if held is not None and held is not refused and self.wire.nanoseconds() < held.renew_at:
            return held
        holder = object()
        try:
            if not await self._enter(holder, 2 * self.wire.timeout):
                raise StorageUnavailable(
                    f"{self.manager.where} takes too long to let us in.",
                    remedy="Check how it is, or give more `timeout`.",
                )
            if self._held is held:
                self._held = await self._renewed(None if held is refused else held)
            return self._held  # type: ignore[return-value]  # whoever came in before has set it
        finally:
            self._leave(holder)

    async def _renewed(self, held: _Held | None) -> _Held:
        try:
            before = None if held is None else held.credentials
            got = await self.manager.log_in(self.wire, before)
        except ConnectorError:
            now = self.wire.nanoseconds()
            if held is None or now >= held.ends:
                raise
            held.renew_at = now + _ANEW_AFTER * _SECOND
            return held
        return _Held(got, self.wire)


class _Held:
    """What requests carry, when to renew it, and when it does not hold any more."""

    def __init__(self, credentials: Credentials, wire: HttpWire) -> None:
        self.credentials = credentials
        now, self.renew_at, self.ends = wire.nanoseconds(), float("inf"), float("inf")
        if credentials.expires_at is not None:
            lifetime = (credentials.expires_at - wire.utc()).total_seconds() * _SECOND
            self.renew_at, self.ends = now + lifetime * _RENEW_AT, now + lifetime


def content_of(path: str) -> Secret | None:
    """What a small file holds, without the white space around it; None if it cannot be had."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST_FILE + 1).strip()
    except OSError:
        return None
    return Secret(content) if 0 < len(content) <= _LONGEST_FILE else None
