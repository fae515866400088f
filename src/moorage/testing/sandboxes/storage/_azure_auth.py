"""The Azure sandbox's authentication: Shared Key and shared access signatures."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import attrs

from moorage.testing.sandboxes.storage._azure_documents import document
from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer, tag

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest

_SKEW: Final = timedelta(minutes=15)
_STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"
_STANDARD: Final = (
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
    "If-Modified-Since",
    "If-Match",
    "If-None-Match",
    "If-Unmodified-Since",
    "Range",
)
_DELEGATION_FIELDS: Final = ("skoid", "sktid", "skt", "ske", "sks", "skv")
_WEEK: Final = timedelta(days=7)
_USER_ID: Final = "0f2b5a76-7f6e-4a2b-8a5e-2f9e4f6d7c11"
_DIRECTORY: Final = "5a1d3c0e-0b3d-4d8f-9f00-3c2f6f1d2a10"
_MAY: Final = {"r": {"GET", "HEAD"}, "w": {"PUT"}, "d": {"DELETE"}}


@attrs.frozen
class Account:
    """An Azure Storage account with its key.

    Attributes:
        name: name of the account.
        key: one of its keys, in base64.
    """

    name: str
    key: str = attrs.field(repr=False)


def authentication_error(detail: str) -> ErrorAnswer:
    """Return Azure's error for a request that fails authentication."""
    message = "Server failed to authenticate the request."
    return ErrorAnswer("AuthenticationFailed", 403, message, AuthenticationErrorDetail=detail)


def signature(key: str, text: str) -> str:
    """Return the base64 HMAC-SHA256 signature of a text."""
    return b64encode(hmac.new(b64decode(key), text.encode(), hashlib.sha256).digest()).decode()


def check_shared_key(request: SandboxRequest, length: int, account: Account, now: datetime) -> None:
    """Check the signature of a request signed with the account's key."""
    _check_request_time(request, now)
    _, _, stated_credential = request.headers["authorization"].partition(" ")
    fields = {name: request.headers.get(name, "") for name in _STANDARD}
    lines = [request.method, *(fields | {"Content-Length": str(length or "")}).values()]
    azure_headers = {
        name.lower(): value
        for name, value in request.headers.items()
        if name[:5].lower() == "x-ms-"
    }
    lines += [
        f"{name}:{azure_headers[name]}" for name in sorted(azure_headers, key=_as_azure_sorts)
    ]
    lines.append(f"/{account.name}{request.path}")
    lines += [f"{name.lower()}:{value}" for name, value in sorted(request.query)]
    expected = f"{account.name}:{signature(account.key, chr(10).join(lines))}"
    if not hmac.compare_digest(expected.encode(), stated_credential.encode()):
        raise authentication_error("The MAC signature found in the HTTP request is not the same.")


def delegation_key(account: Account, times: dict[str, str], now: datetime) -> bytes:
    """Return the XML document with a delegation key for a period."""
    if not times.keys() <= {"Start", "Expiry"}:
        raise ErrorAnswer("InvalidXmlNodeValue", 400, "A node has a value that it cannot have.")
    start_time, end_time = (_parsed_time(times.get(name, "")) for name in ("Start", "Expiry"))
    if start_time >= end_time or end_time - now > _WEEK or end_time - start_time > _WEEK:
        raise ErrorAnswer("InvalidXmlNodeValue", 400, "A node has a value that it cannot have.")
    fields = [_USER_ID, _DIRECTORY, times["Start"], times["Expiry"], "b", "2025-01-05"]
    names = "SignedOid SignedTid SignedStart SignedExpiry SignedService SignedVersion Value"
    values = [*fields, _derived_key(account, [*fields, "", "", ""])]
    child_elements = (tag(name, value) for name, value in zip(names.split(), values, strict=True))
    return document("UserDelegationKey", *child_elements)


def _derived_key(account: Account, fields: list[str]) -> str:
    return signature(account.key, "\n".join(fields))


def _check_delegation(fields: dict[str, str], now: datetime) -> None:
    if not _parsed_time(fields.get("skt", "")) <= now < _parsed_time(fields.get("ske", "")):
        raise authentication_error("The user delegation key is not good now.")


def _parsed_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise authentication_error(f"{text} is not a time.") from None


def _as_azure_sorts(name: str) -> list[int]:
    alphabet = "_0123456789abcdefghijklmnopqrstuvwxyz"
    return [alphabet.find(letter) for letter in name if letter != "-"]


def _check_request_time(request: SandboxRequest, now: datetime) -> None:
    try:
        stamp = parsedate_to_datetime(request.headers.get("x-ms-date", ""))
    except ValueError:
        raise authentication_error("The Date header in the request is incorrect.") from None
    if abs(now - stamp) > _SKEW:
        raise authentication_error("Request date header too old.")


def check_sas(request: SandboxRequest, account: Account, now: datetime) -> None:
    """Check the signature of a signed URL.

    Raises:
        No: the signature is wrong or has expired.
    """
    query = dict(request.query)
    key_fields, key = [""], account.key
    if "skoid" in query:
        key_fields = [*(query.get(name, "") for name in _DELEGATION_FIELDS), "", "", ""]
        key = _derived_key(account, key_fields)
        _check_delegation(query, now)
    lines = [
        query.get("sp", ""),
        query.get("st", ""),
        query.get("se", ""),
        f"/blob/{account.name}{unquote(request.path)}",
        *key_fields,
        query.get("sip", ""),
        query.get("spr", ""),
        query.get("sv", ""),
        query.get("sr", ""),
        *("", "", ""),
        *(query.get(name, "") for name in ("rscd", "rsce", "rscl", "rsct")),
    ]
    if not hmac.compare_digest(signature(key, "\n".join(lines)).encode(), query["sig"].encode()):
        raise authentication_error("Signature did not match.")
    if now >= _parsed_time(query.get("se", "")):
        raise authentication_error("Signed expiry time has passed.")
    if not any(request.method in _MAY[letter] for letter in query["sp"]):
        raise ErrorAnswer("AuthorizationPermissionMismatch", 403, "This request is not authorized.")
