"""Records requests to a real vendor once, and replays them from a file without secrets.

```python
from moorage import ConnectorManager, Request, Service
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.testing import Cassette, VendorServer

with VendorServer() as vendor:  # in place of the real one
    vendor.respond_json({"rate": "0.19"})
    service = Service("vat", base_url=vendor.url)
    with Cassette("vat.json") as cassette, StdlibHttpClient() as http:
        manager = ConnectorManager([service], http=cassette.client(http))
        print(manager.call("vat", Request.get("/rates")).json())  # → {'rate': '0.19'}
```

The first run sends requests to the vendor and writes the file; later runs read it (mode `once`).
Fields for credentials are masked by name and personal data by form, both by the rules of
`Redaction`. Known secrets, and values that were once in a field for credentials, are masked
everywhere. A manager tells the recorder which values it sends as credentials, so their field names
do not matter. Only well-known headers of a request are written unmasked, and a value of its query
only if it is a word, a number, a date or short. A replayed request is masked in the same way
before it is compared, so it may have other credentials. Read a new file before you share it: no
rule finds everything.

A request matches a recorded one if method, path, parameters and body are equal. The host is
compared only if requests to this host were recorded, so that a server may have another port.
Equal requests get their responses in the order of the recording.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, TypeVar

from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import Response
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError
from moorage.runtime.flows import run_now
from moorage.testing.cassettes._exchange_file import (
    Exchange,
    RecordedRequest,
    RecordedResponse,
    load,
    save,
)
from moorage.testing.cassettes._scrubbing import Scrubber
from moorage.testing.fakes.http import (
    AsyncScriptedIncoming,
    ScriptedIncoming,
    UnexpectedRequest,
    as_bytes,
    refuse_if,
    with_whole_body,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike
    from types import TracebackType

    from moorage.domain.http.requests import Request, Timeouts
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.http import AsyncHttpClient, AsyncIncoming, HttpClient, Incoming

Client = TypeVar("Client")
Mode: TypeAlias = Literal["once", "record", "replay"]

_MODES: Final = ("once", "record", "replay")
_NEAREST: Final = 3


class NotRecorded(UnexpectedRequest):
    """Raised for a request that was not recorded, or whose recordings are all replayed already.

    Attributes:
        nearest: the recorded requests that are most like it, and how they differ.
    """

    remedy = (
        "If the request is intended, record the cassette again; with pytest, run it with"
        " --moorage-record=all."
    )

    def __init__(self, message: str, *, nearest: Iterable[str] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.nearest = tuple(nearest)


@with_careful_constructor
class Cassette:
    """A file of recorded exchanges.

    Args:
        path: the file.
        mode: `record` sends requests to the vendor and writes the file; `replay` only reads the
            file; `once` records if there is no file, and replays otherwise.
        redaction: the rules by which fields and personal data are masked.
        secrets: values that are masked everywhere.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        mode: Mode = "once",
        redaction: Redaction | None = None,
        secrets: Iterable[Secret] = (),
    ) -> None:
        if mode not in _MODES:
            raise ConfigurationError(
                f"{mode!r} is not a mode of a cassette.",
                path="mode",
                remedy=f"Give one of {', '.join(_MODES)}.",
            )
        self.path = Path(path)
        exists = self.path.exists()
        self.recording = mode == "record" or (mode == "once" and not exists)
        self._scrubber = Scrubber(Redaction() if redaction is None else redaction)
        self._exchanges = load(self.path) if exists and not self.recording else []
        self._left = list(range(len(self._exchanges)))
        self._recorded: list[_ExchangeRecording] = []
        self._lock = Lock()
        self.hide(*secrets)

    def client(self, inner: HttpClient | None = None) -> CassetteHttpClient:
        """Return an `HttpClient` that records exchanges of `inner`, or replays a recording."""
        return CassetteHttpClient(self, inner)

    def async_client(self, inner: AsyncHttpClient | None = None) -> AsyncCassetteHttpClient:
        """Return an `AsyncHttpClient` that records exchanges of `inner`, or replays a recording."""
        return AsyncCassetteHttpClient(self, inner)

    def hide(self, *secrets: Secret) -> None:
        """Mask these secrets too, in everything that the cassette writes or compares."""
        with self._lock:
            self._scrubber.hide(secrets)

    def learn_secrets(self, secrets: Sequence[bytes], words: Sequence[bytes], /) -> None:
        """Mask the credentials of a call in the whole cassette; its HTTP clients call this."""
        with self._lock:
            self._scrubber.know(secrets, words)

    @property
    def unused(self) -> tuple[str, ...]:
        """The recorded requests that were not replayed, each described in one line."""
        with self._lock:
            return tuple(self._exchanges[index].sent.summary for index in self._left)

    def save(self) -> None:
        """Write the recording to the file, if there is one."""
        with self._lock:
            recorded = list(self._recorded)
            for recording in recorded:
                recording.give_secrets_to(self._scrubber)
            written_exchanges = [recording.written(self._scrubber) for recording in recorded]
        if exchanges := [recording for recording in written_exchanges if recording is not None]:
            save(self.path, exchanges)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.save()

    def begin_exchange(self, request: Request, url: str) -> _ExchangeRecording:
        """Start to record a request that one of the cassette's clients is sending."""
        recording = _ExchangeRecording(request, url)
        with self._lock:
            self._recorded.append(recording)
        return recording

    def find_response(self, request: Request, url: str) -> RecordedResponse:
        """Return the recorded response to a client's request, unless it was replayed already."""
        body = as_bytes(request)
        with self._lock:
            self._scrubber.learn_request(url, request.headers, body)
            sent_request = RecordedRequest.of(
                request.method, url, request.headers, body, scrubber=self._scrubber
            )
            hosts = {exchange.sent.host for exchange in self._exchanges}
            candidates = [
                index
                for index in self._left
                if sent_request.host not in hosts
                or sent_request.host == self._exchanges[index].sent.host
            ]
            for index in candidates:
                if not sent_request.differs(self._exchanges[index].sent):
                    self._left.remove(index)
                    return self._exchanges[index].answered
            for index in candidates:
                if sent_request.fits(self._exchanges[index].sent):
                    self._left.remove(index)
                    return self._exchanges[index].answered
        raise self._not_recorded_error(sent_request)

    def _not_recorded_error(self, sent: RecordedRequest) -> NotRecorded:
        ranked_exchanges = sorted(
            self._exchanges, key=lambda exchange: exchange.sent.similarity(sent), reverse=True
        )
        nearest = [
            f"{exchange.sent.summary}:"
            f" {'; '.join(exchange.sent.differs(sent)) or 'was replayed already'}"
            for exchange in ranked_exchanges[:_NEAREST]
        ]
        count = f"{self.path.name}, which has {len(self._exchanges)} exchanges"
        lines = "".join(f"\n  {exchange}" for exchange in nearest)
        text = f" The nearest are:{lines}\n" if nearest else ""
        return NotRecorded(f"{sent.summary} is not recorded in {count}.{text}", nearest=nearest)


class CassetteHttpClient:
    """An `HttpClient` that records requests in a cassette, or replays them."""

    def __init__(self, cassette: Cassette, inner: HttpClient | None) -> None:
        self._cassette = cassette
        self._inner = inner
        self._closed = False

    def learn_secrets(self, secrets: Sequence[bytes], words: Sequence[bytes], /) -> None:
        """Mask the credentials of a call; a manager calls this before each attempt."""
        self._cassette.learn_secrets(secrets, words)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and record the response, or replay a recorded response."""
        request = self._read(request)
        if not self._cassette.recording:
            return _whole_response(self._cassette.find_response(request, url), url)
        recording = self._cassette.begin_exchange(request, url)
        response = _inner_client(self._inner).send(request, url, timeouts)
        recording.end(response)
        return response

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Incoming:
        """Send a request and record the response, or replay a recorded response."""
        request = self._read(request)
        if not self._cassette.recording:
            recorded_answer = self._cassette.find_response(request, url)
            return ScriptedIncoming(
                recorded_answer.response(url), then=_unread_rest_error(recorded_answer)
            )
        recording = self._cassette.begin_exchange(request, url)
        incoming = _inner_client(self._inner).open(request, url, timeouts)
        return _RecordedIncoming(incoming, recording)

    def close(self) -> None:
        """Close the real HTTP client, if there is one."""
        self._closed = True
        if self._inner is not None:
            self._inner.close()

    def _read(self, request: Request) -> Request:
        refuse_if(closed=self._closed)
        return run_now(with_whole_body(request, plain=True))


class AsyncCassetteHttpClient:
    """An `AsyncHttpClient` that records requests in a cassette, or replays them."""

    def __init__(self, cassette: Cassette, inner: AsyncHttpClient | None) -> None:
        self._cassette = cassette
        self._inner = inner
        self._closed = False

    def learn_secrets(self, secrets: Sequence[bytes], words: Sequence[bytes], /) -> None:
        """Mask the credentials of a call; a manager calls this before each attempt."""
        self._cassette.learn_secrets(secrets, words)

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and record the response, or replay a recorded response."""
        request = await self._read(request)
        if not self._cassette.recording:
            return _whole_response(self._cassette.find_response(request, url), url)
        recording = self._cassette.begin_exchange(request, url)
        response = await _inner_client(self._inner).send(request, url, timeouts)
        recording.end(response)
        return response

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncIncoming:
        """Send a request and record the response, or replay a recorded response."""
        request = await self._read(request)
        if not self._cassette.recording:
            recorded_answer = self._cassette.find_response(request, url)
            return AsyncScriptedIncoming(
                recorded_answer.response(url), then=_unread_rest_error(recorded_answer)
            )
        recording = self._cassette.begin_exchange(request, url)
        incoming = await _inner_client(self._inner).open(request, url, timeouts)
        return _AsyncRecordedIncoming(incoming, recording)

    async def close(self) -> None:
        """Close the real HTTP client, if there is one."""
        self._closed = True
        if self._inner is not None:
            await self._inner.close()

    async def _read(self, request: Request) -> Request:
        refuse_if(closed=self._closed)
        return await with_whole_body(request, plain=False)


class _ExchangeRecording:
    """A request that is being recorded, with its response; the repr shows nothing of them."""

    def __init__(self, request: Request, url: str) -> None:
        self.response: Response | None = None
        self._request = request
        self._url = url
        self._whole = True
        self._pieces: list[bytes] = []

    def end(self, response: Response, *, whole: bool = True) -> None:
        """Store the complete response of the exchange."""
        self._whole = whole
        self.response = response

    def note(self, piece: bytes, incoming: Incoming | AsyncIncoming) -> bytes:
        """Store a piece of the response's body; an empty piece indicates the end."""
        if piece:
            self._pieces.append(piece)
        else:
            self.leave(incoming, whole=True)
        return piece

    def leave(self, incoming: Incoming | AsyncIncoming, *, whole: bool = False) -> None:
        """Store the received part of an incomplete response."""
        if self.response is None:
            body = b"".join(self._pieces)
            self.end(Response(incoming.status, incoming.headers, body), whole=whole)

    def written(self, scrubber: Scrubber) -> Exchange | None:
        """Return the masked recording of the exchange, if it has a response."""
        request, response = self._request, self.response
        if response is None:
            return None
        sent_request = RecordedRequest.of(
            request.method, self._url, request.headers, as_bytes(request), scrubber=scrubber
        )
        return Exchange(
            sent_request, RecordedResponse.of(response, whole=self._whole, scrubber=scrubber)
        )

    def give_secrets_to(self, scrubber: Scrubber) -> None:
        """Pass the credentials of the exchange to the scrubber."""
        request, response = self._request, self.response
        scrubber.learn_request(self._url, request.headers, as_bytes(request))
        if response is not None:
            scrubber.learn("", response.headers, response.body)


class _RecordedIncoming:
    def __init__(self, inner: Incoming, recording: _ExchangeRecording) -> None:
        self._inner = inner
        self._recording = recording
        self.status, self.headers = inner.status, inner.headers

    def read(self) -> bytes:
        return self._recording.note(self._inner.read(), self._inner)

    def close(self) -> None:
        self._inner.close()
        self._recording.leave(self._inner)


class _AsyncRecordedIncoming:
    def __init__(self, inner: AsyncIncoming, recording: _ExchangeRecording) -> None:
        self._inner = inner
        self._recording = recording
        self.status, self.headers = inner.status, inner.headers

    async def read(self) -> bytes:
        return self._recording.note(await self._inner.read(), self._inner)

    def close(self) -> None:
        self._inner.close()
        self._recording.leave(self._inner)


def _inner_client(inner: Client | None) -> Client:
    if inner is None:
        raise ConfigurationError(
            "The cassette has no HTTP client whose answers it could record.",
            path="inner",
            remedy="Give the cassette a client, such as cassette.client(StdlibHttpClient()).",
        )
    return inner


def _whole_response(answered: RecordedResponse, url: str) -> Response:
    end_error = _unread_rest_error(answered)
    if end_error is not None:
        raise end_error
    return answered.response(url)


def _unread_rest_error(answered: RecordedResponse) -> NotRecorded | None:
    """Return the error to raise after the recorded part of a response; None if it is complete."""
    if answered.whole:
        return None
    return NotRecorded(
        "The rest of this answer was not recorded, because nobody read it during the recording."
    )
