"""The classification of an HTTP response as a success, or as the error it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from moorage.domain.http.media_type import is_json
from moorage.domain.http.redaction import Redaction
from moorage.domain.secrets.frames import error_name
from moorage.domain.values.json_text import LARGEST_PARSED
from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request, Response

_MAX_LENGTH: Final = 300
_USUAL_REDACTION: Final = Redaction()
_CODE: Final = late_pattern(r"[A-Za-z0-9_.:/-]{1,64}")
_CODES: Final = ("code", "type", "error_code")
_WORDS: Final = ("message", "detail", "title", "error_message")
_KINDS: Final[dict[int, tuple[type[ConnectorError], str]]] = {
    400: (InvalidRequest, "the request is wrong"),
    401: (AuthenticationFailed, "the credential is not accepted"),
    403: (AuthenticationFailed, "the credential does not allow this"),
    404: (VendorRejected, "the requested object does not exist"),
    409: (VendorRejected, "the request conflicts with what the vendor has"),
    412: (VendorRejected, "a condition of the request, such as If-Match, is not met"),
    422: (InvalidRequest, "the request is wrong"),
    429: (RateLimitExceeded, "the vendor's rate limit is reached"),
}
_REMEDIES: Final = {
    412: "Read the object again, and repeat the request with its current version, or omit the"
    " condition."
}
_RETRYABLE_STATUSES: Final = frozenset({408, 425})
_NOT_MODIFIED: Final = 304
_CONFLICT: Final = 409
_END_SIZE: Final = 4_096
_BLANK_BYTES: Final = b" \t\r\n\0\xef\xbb\xbf\xfe\xff"
"""White space, byte order marks, and the zeros of UTF-16 and UTF-32."""
_BRACKET_PAIRS: Final = frozenset({b"{}", b"[]", b'""'})
_REDIRECT_STATUSES: Final = frozenset({301, 307, 308})
"""Redirects to send the same request elsewhere, because it was not processed here."""


def is_success(status: int) -> bool:
    """Return whether an HTTP status code means success."""
    return 200 <= status < 300 or status == _NOT_MODIFIED


def classify(
    response: Response,
    redaction: Redaction = _USUAL_REDACTION,
    *,
    safe: bool = True,
    keyed: bool = False,
) -> ConnectorError | None:
    """Return the error that a response's HTTP status stands for; None for a success.

    Args:
        response: the response.
        redaction: masks the text that the error quotes.
        safe: whether the request's method changes nothing. After another method some responses
            prove neither success nor failure.
        keyed: whether the request has an idempotency key to which the vendor repeats its response.
            Then a conflict without a reason may be with an earlier request of this key, which is
            under way.
    """
    status = response.status
    if is_success(status) and (safe or status != _NOT_MODIFIED):
        return None
    code, message = vendor_code_and_message(response, redaction)
    details: dict[str, Any] = {"status": status, "response": response}
    details |= {"vendor_code": code, "vendor_message": message}
    if keyed and status == _CONFLICT and code is None and message is None:
        return IdempotencyInProgress(
            "The vendor reported a conflict (HTTP 409) without a reason. It may still be"
            " processing an earlier request with this key."
        )
    if status >= 500 or status in _RETRYABLE_STATUSES:
        return VendorFailed(f"The vendor failed (HTTP {status}).", **details)
    if status < 200 or (status < 400 and not safe and status not in _REDIRECT_STATUSES):
        return VendorFailed(
            f"The response (HTTP {status}) does not show whether the request was processed.",
            retryable=False,
            remedy="Look up the operation at the vendor, and correct the base_url or the path.",
            **details,
        )
    if status < 400:
        return VendorRejected(
            f"The vendor redirected the request (HTTP {status}), but moorage does not follow"
            " redirects.",
            remedy="Set the base_url or the path to the address that the vendor redirects to.",
            **details,
        )
    kind, description = _KINDS.get(status, (VendorRejected, "the vendor refused the request"))
    if kind is RateLimitExceeded:
        details["by_vendor"] = True
    if status in _REMEDIES:
        details["remedy"] = _REMEDIES[status]
    suffix = f": {message}" if message else "."
    return kind(f"{description} (HTTP {status}){suffix}", **details)


def is_json_as_promised(request: Request, response: Response) -> bool:
    """Return whether a response's body is JSON, if its headers or the request require that.

    An empty body passes. In a body of more than 64 KiB only the two ends are checked. A shorter
    body passes if its two ends match, it closes all brackets and it is UTF-8. Any other body is
    parsed.
    """
    body = response.body
    if not body:
        return True
    if not is_json(response.headers.get("content-type")):
        accepted_types = request.headers.get("accept", "").split(",")
        if not all(map(is_json, accepted_types)):
            return True
    if len(body) > LARGEST_PARSED:
        return _ends_as_json(body)
    if _ends_as_json(body) and _is_balanced(body):
        return True
    try:
        response.json()
    except InvalidData:
        return False
    return True


def _is_balanced(body: bytes) -> bool:
    """Return whether a body is UTF-8 and closes as many brackets as it opens.

    Brackets in strings count too, so a valid JSON body may be unbalanced.
    """
    if body.count(b"{") != body.count(b"}") or body.count(b"[") != body.count(b"]"):
        return False
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ends_as_json(body: bytes) -> bool:
    """Return whether a long body looks like JSON, judging from its beginning and end."""
    first_byte = body[:_END_SIZE].lstrip(_BLANK_BYTES)[:1]
    last_bytes = body[-_END_SIZE:].rstrip(_BLANK_BYTES)[-1:]
    return first_byte + last_bytes in _BRACKET_PAIRS


def unreadable_answer_error(
    response: Response,
    missing: str | None = None,
    *,
    problem: str = "does not match the vendor's own description",
) -> VendorFailed:
    """Return the error for a successful response that cannot be read, or lacks a required field.

    A response that is a JSON document arrived completely, so it is well formed, and only differs
    from its description. XML is no such proof: the HTML page of a proxy may be XML too.
    """
    description = problem if missing is None else f"has no {missing}"
    return VendorFailed(
        f"The answer (HTTP {response.status}) {description}.",
        is_well_formed=_is_json_document(response),
        status=response.status,
        response=response,
        retryable=False,
        remedy="Look up the operation at the vendor before you repeat it, and inform the vendor.",
    )


def _is_json_document(response: Response) -> bool:
    try:
        response.json()
    except InvalidData:
        return False
    return True


def as_unreadable(exception: Exception, response: Response) -> ConnectorError:
    """Return the error for an exception that a vendor's parser raised on a successful response.

    An error of this package stays as it is. Any other exception means that the response could not
    be read.
    """
    if isinstance(exception, InvalidData):
        return unreadable_answer_error(response)
    if isinstance(exception, ConnectorError):
        return exception
    return unreadable_answer_error(
        response, problem=f"made its parser raise {error_name(exception)}"
    )


def vendor_code_and_message(
    response: Response, redaction: Redaction = _USUAL_REDACTION
) -> tuple[str | None, str | None]:
    """Return the vendor's error code and message, if they are at a usual place in the body.

    A body of more than 64 KiB is not searched for them.
    """
    if len(response.body) > LARGEST_PARSED:
        return None, None
    try:
        body = response.json()
    except InvalidData:
        return None, None
    if not isinstance(body, dict):
        return None, None
    body_fields = cast("dict[str, Any]", body)
    error_fields = body_fields.get("error")
    if isinstance(error_fields, str):
        # The form of OAuth errors: {"error": code, "error_description": message}.
        return _code_and_message(
            [error_fields], body_fields, ("error_description", "message"), redaction
        )
    fields = cast("dict[str, Any]", error_fields) if isinstance(error_fields, dict) else body_fields
    return _code_and_message([fields.get(name) for name in _CODES], fields, _WORDS, redaction)


def _code_and_message(
    codes: list[Any], body: dict[str, Any], words: tuple[str, ...], redaction: Redaction
) -> tuple[str | None, str | None]:
    """Find the vendor's error code and message among the strings of its response."""
    texts = [text for code in codes if (text := _printable_text(code, redaction))]
    message = next(
        (text for name in words if (text := _printable_text(body.get(name), redaction))), None
    )
    code = next((text for text in texts if _CODE.fullmatch(text)), None)
    return code, message or next((text for text in texts if not _CODE.fullmatch(text)), None)


def _printable_text(value: object, redaction: Redaction) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value).encode(errors="replace").decode()
    return redaction.words(text, _MAX_LENGTH)
