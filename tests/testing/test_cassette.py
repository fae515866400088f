"""Cassettes: HTTP exchanges that are recorded once, without secrets, and then replayed."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import zlib
from typing import TYPE_CHECKING

import pytest

from moorage.domain.http.requests import Request, Response
from moorage.errors import ConfigurationError, ConnectionFailed
from moorage.testing.cassettes.cassette import Cassette, NotRecorded
from tests.testing.cassette_recorder import (
    HOST,
    TIMEOUTS,
    Recorder,
    get_request,
    post_request,
    recorder,
)
from tests.testing.modes import SyncOrAsync, await_if_needed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["recorder"]

# --- recording and replaying -----------------------------------------------------


def test_recorded_responses_are_replayed(recorder: Recorder) -> None:
    """A replayed response has the recorded status, reason, headers and body."""
    answer = Response(201, {"A": "b", "Content-Type": "text/plain"}, b"hello", reason="Made")
    recorder.vendor.queue(answer)
    recorder.record(get_request())

    (replayed_response,) = recorder.replay(get_request())

    assert (201, answer.headers, b"hello") == (
        replayed_response.status,
        replayed_response.headers,
        replayed_response.body,
    )
    assert ("Made", f"{HOST}/rates") == (replayed_response.reason, replayed_response.url)
    assert 1 == len(recorder.vendor.requests)


def test_once_records_and_then_replays(recorder: Recorder) -> None:
    """The first run calls the vendor, and later runs read the cassette file."""
    recorder.vendor.respond_json({"rate": "0.19"})
    request, url = get_request()
    answers: list[Response] = []
    for _ in range(3):
        with recorder.cassette() as cassette:
            answers.append(await_if_needed(recorder.client(cassette).send(request, url, TIMEOUTS)))

    assert [{"rate": "0.19"}] * 3 == [answer.json() for answer in answers]
    assert 1 == len(recorder.vendor.requests)


def test_new_recording_replaces_the_old(recorder: Recorder) -> None:
    """A new recording replaces the old one in the cassette file."""
    recorder.vendor.queue(Response(200), Response(404))
    recorder.record(get_request("/old"))
    recorder.record(get_request("/new"))

    assert [404] == [answer.status for answer in recorder.replay(get_request("/new"))]
    with pytest.raises(NotRecorded):
        recorder.replay(get_request("/old"))


def test_equal_requests_are_answered_in_order(recorder: Recorder) -> None:
    """If equal requests were recorded, their responses are replayed once each, in order."""
    recorder.vendor.queue(*map(Response, (500, 200, 404)))
    recorder.record(get_request(), get_request("/other"), get_request())

    answers = recorder.replay(get_request(), get_request(), get_request("/other"))

    assert [500, 404, 200] == [answer.status for answer in answers]


def test_unused_exchanges_are_counted(recorder: Recorder) -> None:
    """A test can require that every recorded exchange is replayed."""
    recorder.vendor.always(Response(200))
    recorder.record(get_request(), post_request("/charges?a=1"))
    cassette = recorder.cassette()
    unused = [cassette.unused]
    await_if_needed(recorder.client(cassette).send(*get_request(), TIMEOUTS))
    unused.append(cassette.unused)

    assert [("GET /rates", "POST /charges?a=1"), ("POST /charges?a=1",)] == unused


def test_a_failed_exchange_is_not_recorded(recorder: Recorder) -> None:
    """A failed exchange raises its error and is not recorded."""
    recorder.vendor.queue(ConnectionFailed("gone"), Response(200))
    with recorder.cassette() as cassette:
        client = recorder.client(cassette)
        with pytest.raises(ConnectionFailed, match="gone"):
            await_if_needed(client.send(*get_request("/lost"), TIMEOUTS))
        await_if_needed(client.send(*get_request(), TIMEOUTS))

    with pytest.raises(NotRecorded):
        recorder.replay(get_request("/lost"))


def test_empty_recording_writes_no_file(recorder: Recorder) -> None:
    """A cassette that recorded nothing writes no file."""
    with recorder.cassette():
        pass

    assert not recorder.path.exists()


def test_recording_needs_a_client(recorder: Recorder) -> None:
    """Recording requires an HTTP client, and replaying does not."""
    cassette = recorder.cassette()
    client: SyncOrAsync = cassette.async_client() if recorder.is_async else cassette.client()

    for verb in ("send", "open"):
        with pytest.raises(ConfigurationError, match="no HTTP client whose answers"):
            await_if_needed(getattr(client, verb)(*get_request(), TIMEOUTS))
    await_if_needed(client.close())


def test_cassette_that_is_closed_sends_and_replays_nothing(recorder: Recorder) -> None:
    """A closed cassette sends no request and replays no response."""
    client = recorder.client(recorder.cassette())
    await_if_needed(client.close())

    with pytest.raises(ConnectionFailed, match="closed"):
        await_if_needed(client.send(*get_request(), TIMEOUTS))


def test_unknown_cassette_mode_is_refused(tmp_path: Path) -> None:
    """An unknown cassette mode is refused when the cassette is created."""
    with pytest.raises(ConfigurationError, match="'twice' is not a mode"):
        Cassette(tmp_path / "a.json", mode="twice")  # type: ignore[arg-type]  # on purpose


def test_requests_that_overlap_are_recorded_in_order_in_which_they_were_sent(
    tmp_path: Path,
) -> None:
    """Requests that overlap are recorded in the order in which they were sent."""
    recorder = Recorder(tmp_path / "a.json", is_async=True)
    recorder.vendor.always(lambda _, url: Response(200, body=url.encode()))

    async def record() -> None:
        with recorder.cassette() as cassette:
            client = recorder.client(cassette)
            await asyncio.gather(
                *(client.send(*get_request(f"/{item}"), TIMEOUTS) for item in range(9))
            )

    asyncio.run(record())

    assert tuple(f"GET /{item}" for item in range(9)) == recorder.cassette().unused


# --- streams ---------------------------------------------------------------------


def _read(incoming: SyncOrAsync, times: int) -> list[bytes]:
    return [await_if_needed(incoming.read()) for _ in range(times)]


def test_streams_are_recorded_in_chunks(recorder: Recorder) -> None:
    """A streamed response is replayed in the recorded chunks."""
    recorder.vendor.queue(Response(200, {"A": "b"}, b"12345"))
    with recorder.cassette() as cassette:
        incoming = await_if_needed(recorder.client(cassette).open(*get_request(), TIMEOUTS))
        head = incoming.status, incoming.headers["a"]
        pieces = _read(incoming, 3)
        incoming.close()

    replayed_stream = await_if_needed(
        recorder.client(recorder.cassette()).open(*get_request(), TIMEOUTS)
    )

    assert ((200, "b"), [b"1234", b"5", b""]) == (head, pieces)
    assert (200, "b") == (replayed_stream.status, replayed_stream.headers["a"])
    assert [b"12345", b""] == _read(replayed_stream, 2)


def test_unread_rest_of_a_stream_is_not_recorded(recorder: Recorder) -> None:
    """The unread rest of a stream is not recorded, and reading it in a replay fails."""
    recorder.vendor.queue(Response(200, {}, b"12345"))
    with recorder.cassette() as cassette:
        incoming = await_if_needed(recorder.client(cassette).open(*get_request(), TIMEOUTS))
        _read(incoming, 1)
        incoming.close()

    incoming = await_if_needed(recorder.client(recorder.cassette()).open(*get_request(), TIMEOUTS))

    assert [b"1234"] == _read(incoming, 1)
    with pytest.raises(NotRecorded, match="was not recorded"):
        _read(incoming, 1)
    with pytest.raises(NotRecorded, match="was not recorded"):
        recorder.replay(get_request())


def test_a_streamed_request_is_read_before_it_is_sent(recorder: Recorder) -> None:
    """A request body that can be read only once is recorded, too."""
    recorder.vendor.always(Response(200))
    recorder.record(post_request(body=iter([b"one", b"two"])))

    assert [200] == [
        answer.status for answer in recorder.replay(post_request(body=iter([b"onetwo"])))
    ]
    assert b"onetwo" == recorder.vendor.requests[0].body


# --- matching --------------------------------------------------------------------


@pytest.mark.parametrize(
    "recorded, requests",
    [
        (get_request("/a?x=1&y=%20"), get_request("/a?y=+&x=1")),
        ((Request.get("/a"), "https://one.example/a"), (Request.get("/a"), "http://two:81/a")),
        (post_request(json={"a": 1, "b": [2]}), post_request(body=b'{"b": [2], "a": 1}')),
        (get_request(headers={"A": "b"}), get_request(headers={"C": "d"})),
        (get_request("/a?token=one&x=1"), get_request("/a?token=two&x=1")),
        (post_request(json={"client_secret": "one"}), post_request(json={"client_secret": "two"})),
        (
            post_request(form={"password": "one", "a": "b"}),
            post_request(form={"password": "two", "a": "b"}),
        ),
        (
            post_request(body=b"\xff\xfe\x01", headers={"Content-Type": "image/png"}),
            post_request(body=b"\xff\xfe\x01"),
        ),
        (
            post_request(
                body=gzip.compress(b"x", 1, mtime=1), headers={"Content-Encoding": "gzip"}
            ),
            post_request(
                body=gzip.compress(b"x", 9, mtime=2), headers={"Content-Encoding": "gzip"}
            ),
        ),
        (
            post_request(body=zlib.compress(b"x"), headers={"Content-Encoding": "deflate"}),
            post_request(body=zlib.compress(b"x"), headers={"Content-Encoding": "deflate"}),
        ),
    ],
)
def test_the_same_request_is_found(
    recorder: Recorder, recorded: tuple[Request, str], requests: tuple[Request, str]
) -> None:
    """Requests match even if their host, credentials, or order and layout of parts differ."""
    recorder.vendor.always(Response(200))
    recorder.record(recorded)

    assert [200] == [answer.status for answer in recorder.replay(requests)]


@pytest.mark.parametrize(
    "requests, difference",
    [
        ((Request.put("/charges", json={"a": 1}), f"{HOST}/charges?x=1"), "the method is POST"),
        ((Request.post("/", json={"a": 1}), f"{HOST}/charge?x=1"), "path is /charges instead of"),
        ((Request.post("/", json={"a": 1}), f"{HOST}/charges?x=2"), "query is [('x', '1')]"),
        ((Request.post("/", json={"a": True}), f"{HOST}/charges?x=1"), 'body is {"a": 1} instead'),
        ((Request.post("/", body=b"a=1"), f"{HOST}/charges?x=1"), 'instead of {"text": "a=1"}'),
        ((Request.post("/", body=b"x" * 999), f"{HOST}/charges?x=1"), "xxx…"),
        ((Request.post("/"), f"{HOST}/charges?x=1"), "instead of {}"),
    ],
)
def test_unrecorded_request_names_the_nearest(
    recorder: Recorder, requests: tuple[Request, str], difference: str
) -> None:
    """A request that was not recorded is refused, and the error shows the most similar one."""
    recorder.vendor.always(Response(200))
    recorder.record(
        get_request("/far"),
        get_request("/away"),
        post_request("/charges?x=1", json={"a": 1}),
        get_request("/off"),
    )

    with pytest.raises(NotRecorded) as info:
        recorder.replay(requests)

    assert difference in info.value.nearest[0]
    assert difference in str(info.value)
    assert 3 == len(info.value.nearest)
    assert isinstance(info.value, ConfigurationError)
    assert info.value.nearest == pickle.loads(pickle.dumps(info.value)).nearest  # noqa: S301 - our own


def test_exchanges_are_replayed_once(recorder: Recorder) -> None:
    """A request that is sent more often than recorded is refused."""
    recorder.vendor.always(Response(200))
    recorder.record(get_request())

    with pytest.raises(NotRecorded, match="GET /rates: was replayed already"):
        recorder.replay(get_request(), get_request())


def test_without_a_cassette_file_every_request_is_refused(recorder: Recorder) -> None:
    """If the cassette file is missing, a replay refuses the first request with an error."""
    with pytest.raises(
        NotRecorded, match=r"not recorded in vat\.json, which has 0 exchanges"
    ) as info:
        recorder.replay(get_request())

    assert () == info.value.nearest


# --- the file --------------------------------------------------------------------


def test_cassette_format_is_readable(recorder: Recorder) -> None:
    """The cassette file is JSON, with bodies as values, lines or base64."""
    recorder.vendor.queue(
        Response(200, {"A": "b"}, '{"naïve":["漢",1.5]}'.encode()),
        Response(200, {}, b"one\ntwo\n", reason="OK"),
        Response(200, {}, b'{\n  "a": 1\n}'),
        Response(200, {}, b"\x89PNG\r\n" + bytes(range(128, 220))),
    )
    recording = recorder.record(
        post_request(json={"a": 1}), get_request("/b?x=1"), get_request(), get_request()
    )

    document = json.loads(recording)
    assert recording.endswith("\n")
    assert "naïve" in recording
    first, second, third, fourth = document["exchanges"]
    assert {
        "method": "POST",
        "url": f"{HOST}/charges",
        "headers": ["Content-Type: application/json"],
        "body": {"json": {"a": 1}},
    } == first["request"]
    assert {
        "status": 200,
        "headers": ["A: b"],
        "body": {"json": {"naïve": ["漢", 1.5]}},
    } == first["answer"]
    assert {
        "status": 200,
        "reason": "OK",
        "body": {"text": ["one\n", "two\n"]},
    } == second["answer"]
    assert {"json": {"a": 1}, "layout": "indented"} == third["answer"]["body"]
    assert [76, 56] == [len(line) for line in fourth["answer"]["body"]["base64"]]


@pytest.mark.parametrize(
    "body, content_type",
    [
        (b"", "application/json"),
        (b'{"a":1.10}', "application/json"),
        (b'{"a":1,"a":2}', "application/json"),
        (b'{"a": 1, "b": [true, null]}', "application/json"),
        (b'{ "a":1 }', "application/json"),
        (b'{"a":"\\ud800"}', "application/json"),
        ('{"a":"é"}'.encode("utf-16"), "application/json"),
        (b"\xef\xbb\xbf{}", "application/json"),
        (b"not json", "application/json"),
        (b"[" * 100_000, "application/json"),
        ("é".encode("latin-1"), "text/plain; charset=latin-1"),
        ("é".encode("latin-1"), "text/plain"),
        ("é".encode("latin-1"), "text/plain; charset=klingon"),
        (b"a\r\nb\x0bc\xe2\x80\xa8d", "text/plain"),
        (b"\0\1\2", "text/plain"),
        (bytes(range(256)), "application/octet-stream"),
        (gzip.compress(b"plain", mtime=7), "application/gzip"),
        (b"\x1f\x8b no gzip", "application/gzip"),
        (gzip.compress(b"cut off", mtime=7)[:-9], "application/gzip"),
        (b"a=1&b=%20+&c", "application/x-www-form-urlencoded"),
        (b"--x\r\n\r\n\xff\r\n--x--", "multipart/mixed; boundary=x"),
        (b"--x\r\n\r\na\r\n--x--", "multipart/mixed; boundary=x"),
        (b"--x\r\n\r\na", "multipart/mixed"),
    ],
)
def test_a_body_is_replayed_to_the_byte(recorder: Recorder, body: bytes, content_type: str) -> None:
    """A recorded body without secrets is replayed with the same bytes."""
    recorder.vendor.queue(Response(200, {"Content-Type": content_type}, body))
    recorder.record(get_request())

    assert [body] == [answer.body for answer in recorder.replay(get_request())]


TAPE = (
    '{"version": 1, "exchanges": [{"request": {"method": "GET", "url": "/", "body": {}},'
    ' "answer": %s}]}'
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        '{"version": 1}',
        '{"version": 1, "exchanges": [{}]}',
        '{"version": 2, "exchanges": []}',
        TAPE % '{"status": 200, "headers": ["bad name: 1"]}',
        TAPE % '{"status": 200, "body": {"base64": ["?"]}}',
    ],
)
def test_invalid_cassettes_are_refused(recorder: Recorder, text: str) -> None:
    """A cassette file that is damaged, or of another version, is refused."""
    recorder.path.parent.mkdir()
    recorder.path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"vat.json is .*cannot be replayed"):
        recorder.cassette()


def test_old_cassette_file_stays_if_writing_fails(recorder: Recorder) -> None:
    """If writing a cassette fails, the old file stays, and no temporary file is left."""
    recorder.vendor.queue(Response(200), Response(200, reason="\ud800"))
    first_recording = recorder.record(get_request())

    with pytest.raises(UnicodeEncodeError):
        recorder.record(get_request("/new"))

    assert first_recording == recorder.path.read_text("utf-8")
    assert ["vat.json"] == [path.name for path in recorder.path.parent.iterdir()]


def test_each_host_has_its_own_responses(recorder: Recorder) -> None:
    """Equal requests to two hosts get the responses of their hosts, in any order."""
    recorder.vendor.queue(Response(200, body=b"a"), Response(200, body=b"b"))
    calls = [(Request.get("/"), f"https://{name}.example/status") for name in "ab"]
    recorder.record(*calls)

    assert [b"b", b"a"] == [answer.body for answer in recorder.replay(*reversed(calls))]


def test_a_value_that_is_masked_because_of_a_later_request_is_replayed(recorder: Recorder) -> None:
    """A request is replayed even if part of it was masked because of a later request."""
    key = "k9fJ2mQz7Xw4Lp8Rt6Vb3Nc"
    recorder.vendor.always(Response(204))
    calls = [
        (Request.post("/", body=json.dumps({"device": key}).encode()), f"{HOST}/devices"),
        (Request.get("/"), f"{HOST}/devices/{key}/state"),
        (Request.get("/", headers={"Authorization": f"Bearer {key}"}), f"{HOST}/rates"),
    ]

    assert key not in recorder.record(*calls)
    assert [204] * 3 == [answer.status for answer in recorder.replay(*calls)]
