"""Requests of synchronous programs; their connection runs in another thread's event loop."""

from __future__ import annotations

from threading import TIMEOUT_MAX, Lock
from typing import TYPE_CHECKING, Any

from moorage.domain.connectors.websocket_failures import reply_timeout

if TYPE_CHECKING:
    from moorage.adapters.concurrency.background import Background
    from moorage.adapters.websocket._server_connection import ServerConnection
    from moorage.adapters.websocket._session import Session
    from moorage.domain.service.messages import Arrival


class ThreadRequest:
    """One attempt of a request: an event loop sends it, and the reply wakes the calling thread.

    It needs neither a task nor a timer of the loop, because the thread itself limits its wait.

    Attributes:
        must_wait: True if the request was not sent, because the connection must be opened or
            emptied first.
    """

    __slots__ = (
        "_arrival",
        "_connection",
        "_error",
        "_is_done",
        "_is_given_up",
        "_is_over",
        "_session",
        "_written",
        "must_wait",
    )

    def __init__(self, connection: ServerConnection, written: tuple[str, str | bytes]) -> None:
        self._connection = connection
        self._written = written
        self._session: Session | None = None
        self._arrival: Arrival | None = None
        self._error: Exception | None = None
        self._is_done = self._is_given_up = self.must_wait = False
        self._is_over = Lock()
        self._is_over.acquire()

    def perform(self, background: Background, seconds: float) -> Any:
        """Send the request, and wait for its reply; return None if sending must wait.

        Raises:
            ConnectorError: the reply is an error, there was none in time, or the connection ended.
        """
        try:
            background.call(self._begin)
            is_over = self._is_over.acquire(timeout=min(seconds, TIMEOUT_MAX))
        except BaseException:
            self._give_up(background)
            raise
        if not is_over:
            self._give_up(background)
            raise reply_timeout(was_sent=True)
        error, arrival = self._error, self._arrival
        self._error = None
        if error is None and arrival is not None:
            error = arrival.error
        try:
            if error is None:
                return None if arrival is None else arrival.value
            raise error
        finally:
            # Otherwise the traceback would refer to this frame, and the frame to the error.
            del error, arrival

    def done(self) -> bool:
        """Return whether the request has ended, so that a later reply is dropped."""
        return self._is_done

    def set_result(self, arrival: Arrival, /) -> None:
        """Wake the calling thread with the reply."""
        self._arrival = arrival
        self._end()

    def set_exception(self, error: Exception, /) -> None:
        """Wake the calling thread with an error."""
        self._error = error
        self._end()

    def _begin(self) -> None:
        """Send the request if that requires no waiting; the event loop calls this."""
        if self._is_given_up:
            return
        identity, message = self._written
        try:
            session = self._session = self._connection.open_session()
            is_sent = session is not None and session.begin_request(identity, message, self)
        except Exception as error:  # noqa: BLE001 - raised in the calling thread
            self.set_exception(error)
            return
        if not is_sent:
            self.must_wait = True
            self._end()

    def _end(self) -> None:
        """Wake the calling thread, and end the request in the session."""
        self._is_done = True
        self._forget()
        self._is_over.release()

    def _give_up(self, background: Background) -> None:
        """Give up waiting, and tell the session to drop a late reply."""
        self._is_given_up = True
        background.call(self._forget)

    def _forget(self) -> None:
        """Make the session drop a late reply; the event loop calls this."""
        if self._session is not None:
            self._session.forget_request(self._written[0])
