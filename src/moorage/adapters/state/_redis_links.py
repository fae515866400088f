"""Connections to Redis for threads, each for one thread at a time.

A command is one packed request: what redis-py does around that takes longer than the request.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from redis import exceptions as wrong

from moorage.adapters.state._redis_place import UnsentError
from moorage.adapters.state._redis_wire import request, with_script

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.state._redis_place import Place
    from moorage.adapters.state._redis_wire import Batch

Answer = TypeVar("Answer")


class Link:
    """One connection, which one thread has at a time; to a node of a cluster, if one is given."""

    def __init__(self, place: Place, node: tuple[str, int] | None = None) -> None:
        self._place = place
        self._node = node
        self._connection: Any = None
        self._connected = False

    def ready(self, until: float) -> None:
        """Be connected by a time of `monotonic()`, or raise `UnsentError`.

        A server that was restarted has closed its end: that is seen here, where nothing has been
        sent yet.
        """
        if self._connected:
            self.bound(until)
            if not self._interrupted():
                return
        self.close()
        try:
            until = self._moment(until)
            left = until - monotonic()
            if left <= 0:
                raise TimeoutError  # noqa: TRY301 - told of as every other lack of time is
            place, node = self._place, self._node
            connection = place.connection(left) if node is None else place.connection_to(*node)
            self._connection = connection
            connection.until = until
            connection.socket_connect_timeout = connection.socket_timeout = left
            connection.connect()
            if not self._place.checked:
                self._check()
        except (wrong.RedisError, OSError) as error:
            self.close()
            raise UnsentError from error
        except BaseException:
            self.close()
            raise
        self._connected = True

    def bound(self, until: float) -> None:
        """Set the deadline of everything that is sent and received, as a time of `monotonic()`."""
        self._connection._sock.until = self._moment(until)  # noqa: SLF001 - redis-py bounds each read

    def _moment(self, until: float) -> float:
        """The same time, or the store's own timeout from now if the caller has no deadline."""
        return monotonic() + self._place.timeout if until == inf else until

    def _interrupted(self) -> bool:
        """Return whether something arrived without a request, such as the end."""
        try:
            return self._connection.can_read(0)  # type: ignore[no-any-return]  # as redis-py says
        except (wrong.RedisError, OSError):
            return True

    def _check(self) -> None:
        with suppress(wrong.ResponseError):
            # Whoever may not ask goes without the answer.
            self._place.check(self.command("INFO"))
        self._place.checked = True

    def command(self, *words: str) -> Any:
        """The reply to a command, by the time that was last set with `bound`."""
        self._connection.send_command(*words, check_health=False)
        return self._connection.read_response(disconnect_on_error=True)

    def ask(self, batch: Batch, *, asking: bool = False) -> list[Any]:
        """Do a batch in one call of the script, by the time that was last set with `bound`.

        With `asking` a node answers for keys that are about to move to it.
        """
        packed = request(batch)
        try:
            return self._exchange(packed, asking=asking)
        except wrong.NoScriptError:
            return self._exchange(with_script(packed), asking=asking)

    def _exchange(self, packed: bytes, *, asking: bool) -> list[Any]:
        connection = self._connection
        if asking:
            self.command("ASKING")
        connection.send_packed_command([packed], check_health=False)
        return connection.read_response(disconnect_on_error=True)  # type: ignore[no-any-return]  # as the script replies

    def close(self) -> None:
        """Disconnect."""
        self._connected = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


class _Over(list[Link]):
    """Where connections are given back that nobody wants any more."""

    def append(self, link: Link, /) -> None:
        link.close()


class Links:
    """Connections to one server, each for one thread at a time; the latest used comes first.

    Taking and giving back are single steps that nothing can fall into, a finaliser or a signal
    handler that wants a connection of its own included.
    """

    def __init__(self, place: Place, node: tuple[str, int] | None = None) -> None:
        self._place = place
        self._node = node
        self._idle: list[Link] = []

    def ask(self, batch: Batch, until: float, *, asking: bool = False) -> list[Any]:
        """Do a batch by a time of `monotonic()`.

        Raises:
            UnsentError: there was no connection.
            RedisError: as redis-py says.
        """
        return self._with_one(until, lambda link: link.ask(batch, asking=asking))

    def command(self, until: float, *words: str) -> Any:
        """The reply to a command, by a time of `monotonic()`."""
        return self._with_one(until, lambda link: link.command(*words))

    def _with_one(self, until: float, use: Callable[[Link], Answer]) -> Answer:
        try:
            link = self._idle.pop()
        except IndexError:
            link = Link(self._place, self._node)
        try:
            link.ready(until)
            link.bound(until)
            replies = use(link)
        except (UnsentError, wrong.ConnectionError, wrong.ReadOnlyError):
            # It ended, or what was the primary is none any more: so with the others.
            link.close()
            self.close()
            raise
        except wrong.ResponseError:
            self._idle.append(link)
            raise
        except BaseException:
            # There may be an unread reply in it.
            link.close()
            raise
        self._idle.append(link)
        return replies

    def finish(self) -> None:
        """Disconnect for good: what is in use, when it is given back."""
        left, self._idle = self._idle, _Over()
        while left:
            left.pop().close()

    def close(self) -> None:
        """Disconnect, but for what is in use."""
        while self._idle:
            self._idle.pop().close()
