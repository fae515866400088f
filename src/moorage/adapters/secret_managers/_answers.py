"""Parsing of secret managers' responses, and the errors for failed requests.

Reading never raises: a missing value is None. So no traceback contains a value that was read.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.domain.auth.methods import Credentials
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.text import is_encodable
from moorage.errors import AuthenticationFailed, ConfigurationError, InvalidData, StorageUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError

_REFUSED_STATUSES: Final = (401, 403)
_TEMPORARY_STATUSES: Final = (408, 412, 425, 429, 472, 473)
"""Temporary failures: a timeout, an inconsistent replica, a rate limit or a standby node."""


def value_at(response: Response, *path: str) -> Any:
    """Return the value at a path of a JSON response; None if there is none."""
    try:
        value: Any = response.json()
    except InvalidData:
        return None
    for name in path:
        value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
    return value


def secret_at(response: Response, *path: str) -> Secret | None:
    """Return a string of a response as a secret; None if there is none."""
    value = value_at(response, *path)
    return Secret(value) if isinstance(value, str) and value and is_encodable(value) else None


def table_at(response: Response, *path: str) -> Secret | None:
    """Return a JSON object of a response as a secret; None if there is none."""
    value = value_at(response, *path)
    return Secret(json.dumps(value)) if isinstance(value, dict) else None


def seconds_at(response: Response, *path: str) -> float | None:
    """Return the seconds in a field of a response, given as a number or as text."""
    try:
        value = float(value_at(response, *path))
    except (OverflowError, TypeError, ValueError):
        return None
    return value if 0 < value < 1e10 else None


def word_at(response: Response, *path: str) -> str | None:
    """Return an error code in a response; None if it is too long or has control characters."""
    value = value_at(response, *path)
    return value if isinstance(value, str) and len(value) <= 80 and value.isprintable() else None


def token_at(where: str, response: Response, now: datetime) -> Credentials:
    """Return the access token in a token service's response (RFC 6749)."""
    if not response.ok:
        code = word_at(response, "error")
        raise failure_error(
            where, response, code, "Assign an identity to this machine, or pass a login."
        )
    token, lifetime = secret_at(response, "access_token"), seconds_at(response, "expires_in")
    if token is None or lifetime is None:
        raise unexpected_answer(where, response)
    return Credentials.bearer(token, expires_at=now + timedelta(seconds=lifetime))


def unexpected_answer(where: str, response: Response) -> StorageUnavailable:
    """Return the error for a successful response with unexpected content."""
    return StorageUnavailable(
        f"{where} returned an unexpected response (status {response.status},"
        f" {len(response.body)} bytes).",
        remedy="Check the address, and any proxy in front of it.",
    )


def refusal(where: str, response: Response, code: str | None, remedy: str) -> AuthenticationFailed:
    """Return the error for a request that the secret manager does not permit."""
    return AuthenticationFailed(
        f"{where} refused the request (status {response.status}{f', {code}' if code else ''}).",
        status=response.status,
        vendor_code=code,
        remedy=remedy,
    )


def failure_error(where: str, response: Response, code: str | None, remedy: str) -> ConnectorError:
    """Return the error for an unsuccessful response; `remedy` applies to a missing permission."""
    status = response.status
    if status in _REFUSED_STATUSES:
        return refusal(where, response, code, remedy)
    status_and_code = f"status {status}{f', {code}' if code else ''}"
    if status >= 500 or status in _TEMPORARY_STATUSES:
        return StorageUnavailable(
            f"{where} is not available ({status_and_code}).",
            remedy="Check the status and the rate limits of the secret manager, and try again.",
        )
    if 300 <= status < 400:
        return ConfigurationError(
            f"{where} redirects to another address ({status_and_code}), and moorage does not"
            " send credentials there.",
            path="address",
            remedy="Set the address that the redirect points to.",
        )
    return ConfigurationError(
        f"{where} rejected the request as invalid ({status_and_code}).",
        path="manager",
        remedy="Check the address and the names in the settings of the secret manager.",
    )
