"""Refusals: from a vendor's status, code and text to the error that says what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import HttpMethod
from moorage.domain.resilience.classify import is_success, vendor_words
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

_LONGEST: Final = 300
_LEFT: Final = frozenset({408, 425})
_USUAL: Final = Redaction()
_TIMED_OUT: Final = frozenset({408, 425})
"""The statuses that leave open whether the request was carried out, as those from 500 on do."""
_NOTHING: Final[Mapping[Any, Any]] = {}


def masked_words(text: str | None) -> str | None:
    """A vendor's text without secrets and in at most 300 characters; None if it is empty."""
    return _USUAL.words(text or "", _LONGEST) or None


def refusal(
    kind: Kind,
    vendor: str,
    response: Response,
    code: str | None,
    words: str | None,
    *,
    otherwise: object = None,
) -> ConnectorError:
    """The error of a refusal, with the vendor's code and text.

    Args:
        kind: the class of the error. A status of 408 or 425 is no refusal, and may come from a
            server in between: `VendorFailed` then replaces the general classes.
        vendor: the vendor's name as people write it.
        response: the answer.
        code: the vendor's code, if the answer has one.
        words: the vendor's text, if the answer has one. Mask what nobody may read.
        otherwise: what the message says instead of a missing text; by default the code.
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


def _unmasked(text: str) -> str:
    return text


@frozen(kw_only=True)
class Refusals:
    """The meaning of a vendor's refusals, as a table that a service takes as its `classify`.

    The first table that knows the answer decides: `codes_at` its status, `codes`, `reading`, then
    `statuses`. A success, a status of 500 and more, and an answer without a code and a text are
    left to the service, which judges them by their status.

    Attributes:
        vendor: the vendor's name as people write it.
        codes_at: by status, classes of errors by the vendor's code.
        codes: classes of errors by the vendor's code, whatever the status.
        statuses: classes of errors by status.
        reading: classes of errors by status, for requests that are not a POST.
        otherwise: the class of the error of any other refusal.
        left: further statuses that are left to the service, by default 408 and 425, since a
            request that took too long may have been executed.
        needs_code: True to leave an answer without a code to the service.
        read: reads the code and the text of an answer, by default from their usual places.
        mask: masks what nobody may read in the vendor's text.
    """

    vendor: str
    codes_at: Mapping[int, Mapping[str, Kind]] = _NOTHING
    codes: Mapping[str, Kind] = _NOTHING
    statuses: Mapping[int, Kind] = _NOTHING
    reading: Mapping[int, Kind] = _NOTHING
    otherwise: Kind = VendorRejected
    left: frozenset[int] = _LEFT
    needs_code: bool = False
    read: Callable[[Response], tuple[str | None, str | None]] = vendor_words
    mask: Callable[[str], str] = _unmasked

    def __call__(self, request: Request, response: Response) -> ConnectorError | None:
        """The error that the answer stands for; None if the service judges it by its status."""
        status = response.status
        if is_success(status) or status >= 500 or status in self.left:
            return None
        code, words = self.read(response)
        if code is None and (words is None or self.needs_code):
            return None
        kind = self._kind(request, status, code or "")
        return refusal(kind, self.vendor, response, code, words and self.mask(words))

    def _kind(self, request: Request, status: int, code: str) -> Kind:
        kind = self.codes_at.get(status, _NOTHING).get(code) or self.codes.get(code)
        if kind is None and request.method is not HttpMethod.POST:
            kind = self.reading.get(status)
        return kind or self.statuses.get(status, self.otherwise)
