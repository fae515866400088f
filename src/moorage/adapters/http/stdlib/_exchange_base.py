"""The common code of exchanges: deadline, request body and errors.

All clients share it, so that each reports a failure in the same words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._request import Upload
from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.adapters.http.messages._http1 import ResponseTooLarge
from moorage.errors import AttemptTimeout, ConnectorError, LocalFailure, VendorFailed

if TYPE_CHECKING:
    from moorage.adapters.http.connections._pool import Pool
    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._wire import Origin
    from moorage.adapters.http.messages._http1 import NotHttp
    from moorage.adapters.http.stdlib._engine import Engine
    from moorage.domain.http.requests import BodyStream, Headers


_SERVER_ERROR: Final = 500


class ExchangeErrors(ABC):
    """The errors of a request, with the same messages as for all clients."""

    __slots__ = ()

    _deadline: float
    _gateway: Gateway | None
    _origin: Origin

    @abstractmethod
    def _bound_of(self, step: str) -> float | None:
        """Return the time limit of a step in seconds."""

    @abstractmethod
    def _status_so_far(self) -> int | None:
        """Return the status code of the response, if it has arrived."""

    @property
    def _peer(self) -> str:
        """Return the name of the server or proxy for messages."""
        proxy = "" if self._gateway is None else f" (through the proxy {self._gateway.origin})"
        return f"{self._origin}{proxy}"

    def _timed_out(self, step: str, problem: str, *, sent: bool) -> AttemptTimeout:
        timeout_seconds = self._bound_of(step)
        if timeout_seconds is None or monotonic() >= self._deadline:
            step, timeout_seconds = "total", self._bound_of("total")
        return AttemptTimeout(
            f"{self._peer} {problem} within the {step} timeout of {timeout_seconds} s.",
            may_have_been_processed=sent,
        )

    def _body_failed(self, error: Exception, *, sent: bool) -> LocalFailure:
        return LocalFailure(
            f"{self._peer} did not receive {'all of ' if sent else ''}the request, because"
            f" reading the request body failed with {type(error).__name__}.",
            may_have_been_processed=sent,
            retryable=True,
            remedy="Read the cause of this error, and correct the iterator or file that"
            " yields the body.",
        )

    def _closed_early(self) -> LocalFailure:
        return LocalFailure(
            f"The response of {self._peer} was closed before its end.",
            may_have_been_processed=True,
        )

    def _bad_response(self, error: NotHttp) -> VendorFailed:
        remedy, status = None, self._status_so_far()
        is_too_large = isinstance(error, ResponseTooLarge)
        if is_too_large:
            remedy = (
                "If you expect this size, raise the HTTP client's limit or stream the"
                " response. The limit also applies to a compressed stream, unless the request"
                " has the header Accept-Encoding: identity."
            )
        return VendorFailed(
            f"{self._peer} sent a response that {error}.",
            status=status,
            remedy=remedy,
            # The answer to a repeated request would be as large.
            retryable=not is_too_large or (status is not None and status >= _SERVER_ERROR),
        )


class ExchangeBase(ExchangeErrors):
    """The base class of exchanges; an exchange is one request and its response.

    Attributes:
        status: the status code, once the head of the response has arrived.
        headers: the header fields, once the head of the response has arrived.
    """

    __slots__ = ("_size",)

    status: int
    headers: Headers
    _engine: Engine
    _holder: object
    _max_body: int | None
    _pool: Pool | None  # the pool whose slot we hold or wait for
    _size: int  # bytes of the body so far

    @abstractmethod
    async def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""

    @abstractmethod
    def close(self) -> None:
        """Stop reading the response; may be called at any time, also repeatedly."""

    async def _open_body(self, stream: BodyStream, *, framed: bool = True) -> Upload:
        """Read the start of the body before sending anything, since its source may fail."""
        try:
            return await Upload.of(self._engine.network, stream, self._deadline, framed=framed)
        except DeadlinePassed:
            raise self._timed_out("total", "did not receive the request", sent=False) from None
        except ConnectorError:
            raise
        except Exception as error:
            raise self._body_failed(error, sent=False) from error

    def _count_bytes(self, count: int) -> None:
        self._size += count
        if self._max_body is not None and self._size > self._max_body:
            raise self._bad_response(
                ResponseTooLarge(f"has a body of more than {self._max_body} bytes")
            )
