"""Credentials for GitHub's API: a token, or an app installation."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from threading import TIMEOUT_MAX
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.steps._git_host_wire import FixedAccess
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.jwt import JwtAlgorithm, check_jwt_key, compact
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    CredentialRefreshFailed,
    InvalidData,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from moorage.adapters.steps._git_host_wire import Access, GitHostApi
    from moorage.errors import ConnectorError

_CLOCK_SKEW: Final = timedelta(seconds=60)
"""How far the clock of this machine may be ahead of GitHub's."""

_LIFETIME: Final = timedelta(minutes=9)
"""The lifetime of an app's own token, of which GitHub allows ten minutes."""

_RENEWAL_MARGIN: Final = timedelta(minutes=5)
_SHORTEST: Final = 0.01
"""Seconds that a request has at least, since a socket without a time limit would not wait."""


def bearer(token: Secret) -> Access:
    """Return an access that sends a GitHub token as a bearer token."""
    return FixedAccess("Authorization", Secret(f"Bearer {token.reveal()}"))


class AppAccess:
    """The token of a GitHub app installation, valid for an hour and renewed before its expiry.

    The app proves itself with a JSON Web Token that its private key signs. The installation's token
    has access to one repository.

    Args:
        app_id: the client id or the number of the app.
        installation_id: the number of its installation.
        private_key: the private key of the app, an RSA key in PEM.
        repository: the name of the repository, without its owner.

    Raises:
        ConfigurationError: the key is not an RSA key.
    """

    def __init__(
        self, app_id: str, installation_id: int, private_key: Secret, repository: str
    ) -> None:
        self._app_id = app_id
        self._installation_id = installation_id
        self._key = private_key
        self._repository = repository
        self._lock = ForkSafeLock()
        self._token: tuple[Secret, datetime] | None = None
        is_key = True
        try:
            check_jwt_key(JwtAlgorithm.RS256, private_key)
        except InvalidData:
            is_key = False
        if not is_key:
            raise ConfigurationError(
                "The private key of the GitHub app is not an RSA key in PEM.",
                path="private_key",
                remedy="Give the file that GitHub offered when you generated the key.",
            )

    def header(self, api: GitHostApi, timeout: float, /) -> tuple[str, Secret]:
        """Return the header with the app installation's token.

        Raises:
            CredentialRefreshFailed: GitHub issues no token.
            AttemptTimeout: another thread is still fetching the token.
        """
        until = monotonic() + timeout
        lock = self._lock.current
        if not lock.acquire(timeout=max(0.0, min(timeout, TIMEOUT_MAX))):
            raise AttemptTimeout(
                "GitHub has not yet issued the token that another call requested.",
                may_have_been_processed=False,
            )
        try:
            now = datetime.now(UTC)
            token = self._token
            if token is None or now >= token[1] - _RENEWAL_MARGIN:
                token = self._fetched(api, max(_SHORTEST, until - monotonic()), now)
                self._token = token
            return "Authorization", token[0]
        finally:
            lock.release()

    def renew(self, refused: Secret, /) -> bool:
        """Drop a refused token, so that the next request fetches a new one."""
        # Without the lock, because another thread may hold it until GitHub responds. At worst a new
        # token is dropped, and the next request fetches another one.
        token = self._token
        if token is not None and token[0] == refused:
            self._token = None
            return True
        # Another thread has already removed it.
        return token is None

    def _fetched(self, api: GitHostApi, timeout: float, now: datetime) -> tuple[Secret, datetime]:
        path = f"/app/installations/{self._installation_id}/access_tokens"
        body = {"repositories": [self._repository]}
        problem: ConnectorError | None = None
        document: Any = None
        try:
            answer = api.ask("POST", path, timeout, body=body, access=bearer(self._proof(now)))
            document = answer.json()
        except (AuthenticationFailed, VendorRejected) as error:
            problem = error
        if problem is not None:
            raise CredentialRefreshFailed(
                f"GitHub issued no token for the app's installation: {problem.message}",
                remedy="Check app_id, installation_id and the private key, and that the app is"
                " installed for the repository.",
            )
        try:
            ends_at = datetime.fromisoformat(document["expires_at"])
            return Secret(f"Bearer {document['token']}"), ends_at
        except (KeyError, TypeError, ValueError):
            document = None
        raise VendorFailed("GitHub answered without a token for the app's installation.")

    def _proof(self, now: datetime) -> Secret:
        claims = {
            "iat": int((now - _CLOCK_SKEW).timestamp()),
            "exp": int((now + _LIFETIME).timestamp()),
            "iss": self._app_id,
        }
        head = json.dumps({"alg": "RS256", "typ": "JWT"}, separators=(",", ":")).encode()
        body = json.dumps(claims, separators=(",", ":")).encode()
        return compact(JwtAlgorithm.RS256, self._key, head, body)
