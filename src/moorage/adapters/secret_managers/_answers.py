"""What secret managers answer, and what it means when they do not.

Reading is total: what is not there is None. So no frame of ours that raises holds what was read.
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

_REFUSED: Final = (401, 403)
_LATER: Final = (408, 412, 425, 429, 472, 473)
"""Not now: too slow, not yet consistent, too often, or a node that stands by."""


def found(response: Response, *path: str) -> Any:
    """What stands at a path of an answer in JSON."""
    try:
        value: Any = response.json()
    except InvalidData:
        return None
    for name in path:
        value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
    return value


def secret_at(response: Response, *path: str) -> Secret | None:
    """A text of an answer that is not to be shown."""
    value = found(response, *path)
    return Secret(value) if isinstance(value, str) and value and is_encodable(value) else None


def table_at(response: Response, *path: str) -> Secret | None:
    """A table of an answer, as JSON that is not to be shown."""
    value = found(response, *path)
    return Secret(json.dumps(value)) if isinstance(value, dict) else None


def seconds_at(response: Response, *path: str) -> float | None:
    """A duration of an answer; some write their numbers as text."""
    try:
        value = float(found(response, *path))
    except (OverflowError, TypeError, ValueError):
        return None
    return value if 0 < value < 1e10 else None


def word_at(response: Response, *path: str) -> str | None:
    """A code of an answer; what has spaces in it is no code, and may say anything."""
    value = found(response, *path)
    return value if isinstance(value, str) and len(value) <= 80 and value.isprintable() else None


def token_at(where: str, response: Response, now: datetime) -> Credentials:
    """The access token that a token service granted (RFC 6749)."""
    if not response.ok:
        code = word_at(response, "error")
        raise failed(where, response, code, "Give this machine, or this login, an identity.")
    token, lifetime = secret_at(response, "access_token"), seconds_at(response, "expires_in")
    if token is None or lifetime is None:
        raise nonsense(where, response)
    return Credentials.bearer(token, expires_at=now + timedelta(seconds=lifetime))


def nonsense(where: str, response: Response) -> StorageUnavailable:
    """An answer has the status of success, and is not what it should be."""
    return StorageUnavailable(
        f"{where} gave an answer that is not one of a secret manager's (status {response.status},"
        f" {len(response.body)} bytes).",
        remedy="Check its address, and what stands before it.",
    )


def refused(where: str, response: Response, code: str | None, remedy: str) -> AuthenticationFailed:
    """We are not who may do this."""
    return AuthenticationFailed(
        f"{where} refused us (status {response.status}{f', {code}' if code else ''}).",
        status=response.status,
        vendor_code=code,
        remedy=remedy,
    )


def failed(where: str, response: Response, code: str | None, remedy: str) -> ConnectorError:
    """What an answer without success means; `remedy` is for who was refused."""
    status = response.status
    if status in _REFUSED:
        return refused(where, response, code, remedy)
    said = f"status {status}{f', {code}' if code else ''}"
    if status >= 500 or status in _LATER:
        return StorageUnavailable(
            f"{where} cannot serve us now ({said}).",
            remedy="Check how it is, and whether it is asked too often; then try again.",
        )
    if 300 <= status < 400:
        return ConfigurationError(
            f"{where} sends us elsewhere ({said}), which is not followed with a secret in hand.",
            path="address",
            remedy="Give the address that answers by itself.",
        )
    return ConfigurationError(
        f"{where} does not understand what it is asked ({said}).",
        path="manager",
        remedy="Check its address, and the names given with it.",
    )
