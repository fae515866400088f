"""The operations of language models that need more than one request."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.declared.inference import InferenceContract
from moorage.contracts.inference import GenerationRequest, InferenceCapability
from moorage.contracts.validators import check_kind
from moorage.domain.http.server_sent_events import EventDecoder
from moorage.errors import ConnectionFailed, ConnectorError, VendorFailed
from moorage.services.contracts.flows import Flows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.contracts.inference import Generation, OpenedGeneration
    from moorage.contracts.wire import Wire
    from moorage.domain.http.server_sent_events import ServerSentEvent

_MOST_BYTES: Final = 64 * 1024 * 1024
"""The size of an answer above which its stream is refused."""


class InferenceFlows(Flows, InferenceContract):
    """The operations of one tenant."""

    async def stream(
        self, request: GenerationRequest, *, timeout: float | None = None
    ) -> GenerationSession:
        """Ask a model for the next turn of a conversation, and receive its text as it is written.

        If the connection breaks before the first piece of text, the request is sent once more.
        Afterwards an error is raised, and the text received so far is in `text`.

        Args:
            request: conversation and task.
            timeout: seconds for the whole operation, reading included; by default the service's.

        Raises:
            RateLimitExceeded: the account's budget of tokens does not suffice for this request.
        """
        check_kind(request, GenerationRequest, "request")

        async def call_vendor(vendor: Any, wire: Wire) -> GenerationSession:
            open_stream = partial(vendor.stream, wire, request)
            return GenerationSession(open_stream, await open_stream(), vendor.name, wire.account)

        needs = {*request.needs, InferenceCapability.STREAMS}
        return await self._dispatcher.execute(
            self._request("stream", needs), call_vendor, timeout=timeout
        )


class GenerationSession:
    """An answer that a model is writing.

    Args:
        open_stream: sends the request.
        opened: first response of the vendor.
        vendor, account: names of the vendor and its account, for errors.
    """

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[OpenedGeneration]],
        opened: OpenedGeneration,
        vendor: str,
        account: str,
    ) -> None:
        self._open_stream = open_stream
        self._opened = opened
        self._vendor = vendor
        self._account = account
        self._may_repeat = True
        self._is_over = False
        self._pieces: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self._decoder = EventDecoder()
        self._arrived: deque[ServerSentEvent] = deque()
        self._size = 0

    @property
    def text(self) -> str:
        """The text that has been read so far."""
        return "".join(self._pieces)

    @property
    def generation(self) -> Generation | None:
        """The complete answer; None until the end was read."""
        return self._opened.events.generation

    async def read(self) -> str:
        """Read the next piece of the text; return "" at the end."""
        while not self._is_over:
            try:
                piece = self._next_piece()
                if piece:
                    self._pieces.append(piece)
                    return piece
                if self.generation is not None:
                    await self._drain()
                    return ""
                await self._receive()
            except (ConnectionFailed, VendorFailed) as broken:
                error: ConnectorError = broken
            except BaseException:
                self.settle()
                raise
            else:
                continue
            await self._repeat_or_raise(error)
        return ""

    def settle(self) -> None:
        """End the answer early; the vendor may bill it in full, so all of its tokens count."""
        self._is_over = True
        self._opened.arriving.settle()

    def _next_piece(self) -> str:
        """Return the text of the next event that has any; "" if all arrived events are read."""
        while self._arrived:
            piece = self._opened.events.read(self._arrived.popleft())
            if self.generation is not None:
                self._opened.arriving.count_tokens(self.generation.usage.total)
                self._arrived.clear()
                return piece
            if piece:
                return piece
        return ""

    async def _receive(self) -> None:
        """Wait for more events of the stream."""
        chunk = await self._opened.arriving.read()
        if not chunk:
            raise ConnectionFailed(
                "The stream ended before the model's answer was complete.",
                may_have_been_processed=True,
            )
        self._size += len(chunk)
        if self._size > _MOST_BYTES:
            raise VendorFailed("The vendor sent an answer of more than 64 MiB.", retryable=False)
        self._arrived.extend(self._decoder.feed(chunk))

    async def _drain(self) -> None:
        """Read the end of the stream, so that the call counts as complete."""
        try:
            with suppress(ConnectorError):
                while await self._opened.arriving.read():
                    pass
        finally:
            self.settle()

    async def _repeat_or_raise(self, error: ConnectorError) -> None:
        """Send the request once more if the caller got nothing yet; otherwise raise the error."""
        self.settle()
        error.vendor = error.vendor or self._vendor
        error.account = error.account or self._account
        error.service = error.service or self._account
        error.operation = error.operation or "inference.stream"
        if self._pieces or not self._may_repeat or not error.retryable:
            raise error
        self._may_repeat = False
        self._opened = await self._open_stream()
        self._begin()
        self._is_over = False
