"""The errors of an exchange through pyreqwest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.http.connections._wire import DeadlinePassed, resource_error
from moorage.adapters.http.messages._http1 import (
    AUTHENTICATION_REQUIRED,
    NotHttp,
    ResponseTooLarge,
)
from moorage.adapters.http.pyreqwest._errors import meaning_of
from moorage.adapters.http.stdlib._exchange_base import ExchangeErrors
from moorage.domain.resilience.interruptions import is_interruption
from moorage.errors import AttemptTimeout, ConnectionFailed

if TYPE_CHECKING:
    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._wire import Origin
    from moorage.adapters.http.pyreqwest._timeouts import StepTimeouts


class PyreqwestErrors(ExchangeErrors):
    """The errors of requests through pyreqwest, with the same messages as for all clients.

    Args:
        origin: the destination.
        gateway: the proxy, if the request is sent through one.
        timeouts: the timeouts of the steps.
        deadline: the time at which the exchange must have ended.
        status: the status code of the response, if it has arrived.
    """

    def __init__(
        self,
        origin: Origin,
        gateway: Gateway | None,
        timeouts: StepTimeouts,
        deadline: float,
        status: int | None = None,
    ) -> None:
        self._origin = origin
        self._gateway = gateway
        self._timeouts = timeouts
        self._deadline = deadline
        self._status = status

    def no_slot(self) -> AttemptTimeout:
        """Return the error for an exchange that waited too long for a connection slot."""
        return self._timed_out("pool", "had no free connection", sent=False)

    def of(self, error: Exception) -> Exception:
        """Return the error for an exception of pyreqwest, an exceeded limit or a missing slot.

        An interruption is returned unchanged.
        """
        if isinstance(error, NotHttp):
            return self._bad_response(error)
        if is_interruption(error):
            return error
        return self.no_slot() if isinstance(error, DeadlinePassed) else self.of_pyreqwest(error)

    def of_pyreqwest(self, error: Exception) -> Exception:
        """Return the error for an exception of pyreqwest, whose own message may contain the URL."""
        meaning = meaning_of(error)
        if meaning.too_large:
            return self._bad_response(
                ResponseTooLarge("has a head that is too large for pyreqwest")
            )
        if meaning.malformed:
            return self._bad_response(NotHttp("is not HTTP"))
        if meaning.timed_out and not meaning.sent:
            return AttemptTimeout(
                f"{self._peer} could not be reached within {self._timeouts.connect} s.",
                may_have_been_processed=False,
            )
        has_responded = self._status is not None
        if meaning.timed_out:
            problem = "did not finish its response" if has_responded else "did not respond"
            return self._timed_out("read", problem, sent=True)
        if not meaning.sent and meaning.unauthenticated and self._gateway is not None:
            return self._gateway.refused(self._origin, AUTHENTICATION_REQUIRED)
        reason = f": {meaning.reason}" if meaning.reason else ""
        if not meaning.sent and meaning.exhausted:
            return resource_error(self._peer, meaning.reason)
        if not meaning.sent:
            return ConnectionFailed(
                f"{self._peer} could not be reached{reason}.", may_have_been_processed=False
            )
        problem = "before the end of its" if has_responded else "without a"
        return ConnectionFailed(f"{self._peer} closed the connection {problem} response{reason}.")

    def _bound_of(self, step: str) -> float | None:
        timeout_seconds: float | None = getattr(self._timeouts, step)
        return timeout_seconds

    def _status_so_far(self) -> int | None:
        return self._status
