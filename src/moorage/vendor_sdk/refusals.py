"""Converts vendors' error responses to errors of moorage, by status, code and text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import HttpMethod
from moorage.domain.resilience.classify import is_success, vendor_code_and_message
from moorage.domain.values.frozen_values import frozen
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.domain.http.requests import Request, Response

    Kind = type[VendorRejected | VendorFailed | RateLimitExceeded | AuthenticationFailed]

_MAX_LENGTH: Final = 300
_LEFT: Final = frozenset({408, 425})
_USUAL_REDACTION: Final = Redaction()
_TIMED_OUT: Final = frozenset({408, 425})
"""The statuses that leave open whether the request was carried out, as those from 500 on do."""
_EMPTY_TABLE: Final[Mapping[Any, Any]] = {}


def masked_words(text: str | None) -> str | None:
    """Return a vendor's text without secrets, cut to 300 characters; None if it is empty."""
    return _USUAL_REDACTION.words(text or "", _MAX_LENGTH) or None


def refusal(
    kind: Kind,
    vendor: str,
    response: Response,
    code: str | None,
    words: str | None,
    *,
    otherwise: object = None,
) -> ConnectorError:
    """Return the moorage error for an error response, with the vendor's code and text.

    Args:
        kind: the class of the error. A status of 408 or 425 does not count as an error response and
            may come from a server in between, so `VendorFailed` then replaces the general classes.
        vendor: the vendor's display name.
        response: the answer.
        code: the vendor's code, if the answer has one.
        words: the vendor's text, if the answer has one; secrets in it must be masked.
        otherwise: the text of the message if the vendor's text is missing; by default the code.
    """
    fields: dict[str, Any] = {"by_vendor": True} if kind is RateLimitExceeded else {}
    verb = "refused"
    if response.status in _TIMED_OUT and kind in {VendorRejected, InvalidRequest}:
        kind, verb = VendorFailed, "failed"
    return kind(
        f"{vendor} {verb}: {words or otherwise or code}",
        status=response.status,
        vendor_code=code,
        vendor_message=words,
        response=response,
        **fields,
    )


def _unmask(text: str) -> str:
    return text


@frozen(kw_only=True)
class Refusals:
    """Tables from a vendor's error responses to errors; use one as the `classify` of a service.

    The first table with an entry for the answer decides: `codes_at` for its status, `codes`,
    `reading`, `statuses`. For a success, a status of 500 or more, and an answer without code and
    text, the service itself decides by the status.

    Attributes:
        vendor: the vendor's display name.
        codes_at: for single statuses, the classes of errors by the vendor's code.
        codes: classes of errors by the vendor's code, for any status.
        statuses: classes of errors by status.
        reading: classes of errors by status, for requests that are not a POST.
        otherwise: the class of the error for any other error response.
        left: further statuses for which the service decides; by default 408 and 425, because a
            request that took too long may have been executed.
        needs_code: True if the service decides about an answer without a code.
        read: reads the code and the text of an answer, by default from their usual places.
        mask: masks secrets in the vendor's text.
    """

    vendor: str
    codes_at: Mapping[int, Mapping[str, Kind]] = _EMPTY_TABLE
    codes: Mapping[str, Kind] = _EMPTY_TABLE
    statuses: Mapping[int, Kind] = _EMPTY_TABLE
    reading: Mapping[int, Kind] = _EMPTY_TABLE
    otherwise: Kind = VendorRejected
    left: frozenset[int] = _LEFT
    needs_code: bool = False
    read: Callable[[Response], tuple[str | None, str | None]] = vendor_code_and_message
    mask: Callable[[str], str] = _unmask

    def __call__(self, request: Request, response: Response) -> ConnectorError | None:
        """Return the error for an answer; None to judge by the status alone."""
        status = response.status
        if is_success(status) or status >= 500 or status in self.left:
            return None
        code, words = self.read(response)
        if code is None and (words is None or self.needs_code):
            return None
        kind = self._kind(request, status, code or "")
        return refusal(kind, self.vendor, response, code, words and self.mask(words))

    def _kind(self, request: Request, status: int, code: str) -> Kind:
        kind = self.codes_at.get(status, _EMPTY_TABLE).get(code) or self.codes.get(code)
        if kind is None and request.method is not HttpMethod.POST:
            kind = self.reading.get(status)
        return kind or self.statuses.get(status, self.otherwise)


def error_statuses(invalid: str, *, login: str = "401") -> dict[int, Kind]:
    """Return a table of errors by status, where 429 means an exhausted limit.

    Args:
        invalid: the statuses of requests that are wrong, separated by spaces.
        login: the statuses of refused credentials.
    """
    return {
        **dict.fromkeys(map(int, invalid.split()), InvalidRequest),
        **dict.fromkeys(map(int, login.split()), AuthenticationFailed),
        429: RateLimitExceeded,
    }
