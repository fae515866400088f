"""Exchanges that are recorded once, without secrets, and replayed."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import re
import zlib
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncConnectorManager, ConnectorManager, Credentials, Service, VendorRejected
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.proof_refusals import ProofRefusal, nonce_of, refusal_of
from moorage.errors import ConfigurationError, ConnectionFailed
from moorage.testing.cassettes.cassette import Cassette, Mode, NotOnTape
from moorage.testing.fakes.clock import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
from moorage.testing.fakes.faults import AsyncFaultNetwork, FaultNetwork, FaultSchedule
from moorage.testing.fakes.http import (
    AsyncScriptedHttpClient,
    FakeVendor,
    ScriptedHttpClient,
    as_bytes,
)
from tests.testing.modes import Either, now

if TYPE_CHECKING:
    from pathlib import Path

HOST = "https://api.example"
TIMEOUTS = Timeouts(total=5.0)


class Recorder:
    """A cassette between a vendor and a client of one mode."""

    def __init__(self, path: Path, *, awaited: bool) -> None:
        self.path = path
        self.awaited = awaited
        self.vendor = FakeVendor()

    def cassette(self, mode: Mode = "once", **options: Any) -> Cassette:
        """A cassette with this file."""
        return Cassette(self.path, mode=mode, **options)

    def client(self, cassette: Cassette) -> Either:
        """A client of this mode, before the vendor."""
        if self.awaited:
            return cassette.async_client(AsyncScriptedHttpClient(self.vendor, piece=4))
        return cassette.client(ScriptedHttpClient(self.vendor, piece=4))

    def record(self, *requests: tuple[Request, str], **options: Any) -> str:
        """Record these requests; return the content of the file."""
        with self.cassette("record", **options) as cassette:
            client = self.client(cassette)
            for request, url in requests:
                now(client.send(request, url, TIMEOUTS))
        return self.path.read_text("utf-8")

    def replay(self, *requests: tuple[Request, str], **options: Any) -> list[Response]:
        """Replay these requests; return the answers."""
        client = self.client(self.cassette("replay", **options))
        return [now(client.send(request, url, TIMEOUTS)) for request, url in requests]


@pytest.fixture(params=["plain", "awaited"], name="recorder")
def _recorder(request: pytest.FixtureRequest, tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "tapes" / "vat.json", awaited=request.param == "awaited")


def _get(path: str = "/rates", **options: Any) -> tuple[Request, str]:
    return Request.get(path, **options), f"{HOST}{path}"


def _post(path: str = "/charges", **options: Any) -> tuple[Request, str]:
    return Request.post(path, **options), f"{HOST}{path}"


# --- recording and replaying -----------------------------------------------------


def test_recorded_responses_are_replayed(recorder: Recorder) -> None:
    """Status, reason, headers and body are replayed unchanged."""
    answer = Response(201, {"A": "b", "Content-Type": "text/plain"}, b"hello", reason="Made")
    recorder.vendor.queue(answer)
    recorder.record(_get())

    (replayed,) = recorder.replay(_get())

    assert (201, answer.headers, b"hello") == (replayed.status, replayed.headers, replayed.body)
    assert ("Made", f"{HOST}/rates") == (replayed.reason, replayed.url)
    assert 1 == len(recorder.vendor.requests)


def test_once_records_and_then_replays(recorder: Recorder) -> None:
    """The first run calls the vendor, and every later one reads the file."""
    recorder.vendor.respond_json({"rate": "0.19"})
    request, url = _get()
    answers: list[Response] = []
    for _ in range(3):
        with recorder.cassette() as cassette:
            answers.append(now(recorder.client(cassette).send(request, url, TIMEOUTS)))

    assert [{"rate": "0.19"}] * 3 == [answer.json() for answer in answers]
    assert 1 == len(recorder.vendor.requests)


def test_new_recording_replaces_the_old(recorder: Recorder) -> None:
    """A tape holds one recording."""
    recorder.vendor.queue(Response(200), Response(404))
    recorder.record(_get("/old"))
    recorder.record(_get("/new"))

    assert [404] == [answer.status for answer in recorder.replay(_get("/new"))]
    with pytest.raises(NotOnTape):
        recorder.replay(_get("/old"))


def test_equal_requests_are_answered_in_order(recorder: Recorder) -> None:
    """Each recorded answer is given once, in the order in which it was recorded."""
    recorder.vendor.queue(*map(Response, (500, 200, 404)))
    recorder.record(_get(), _get("/other"), _get())

    answers = recorder.replay(_get(), _get(), _get("/other"))

    assert [500, 404, 200] == [answer.status for answer in answers]


def test_unused_exchanges_are_counted(recorder: Recorder) -> None:
    """A test can require that every recorded exchange was used."""
    recorder.vendor.always(Response(200))
    recorder.record(_get(), _post("/charges?a=1"))
    cassette = recorder.cassette()
    unused = [cassette.unused]
    now(recorder.client(cassette).send(*_get(), TIMEOUTS))
    unused.append(cassette.unused)

    assert [("GET /rates", "POST /charges?a=1"), ("POST /charges?a=1",)] == unused


def test_a_failed_exchange_is_not_recorded(recorder: Recorder) -> None:
    """A failed exchange raises its error, and is not recorded."""
    recorder.vendor.queue(ConnectionFailed("gone"), Response(200))
    with recorder.cassette() as cassette:
        client = recorder.client(cassette)
        with pytest.raises(ConnectionFailed, match="gone"):
            now(client.send(*_get("/lost"), TIMEOUTS))
        now(client.send(*_get(), TIMEOUTS))

    with pytest.raises(NotOnTape):
        recorder.replay(_get("/lost"))


def test_nothing_recorded_is_nothing_written(recorder: Recorder) -> None:
    """A cassette that recorded nothing leaves no file."""
    with recorder.cassette():
        pass

    assert not recorder.path.exists()


def test_recording_needs_a_client(recorder: Recorder) -> None:
    """Recording needs a client; replaying needs none."""
    cassette = recorder.cassette()
    client: Either = cassette.async_client() if recorder.awaited else cassette.client()

    for verb in ("send", "open"):
        with pytest.raises(ConfigurationError, match="nobody whose answers"):
            now(getattr(client, verb)(*_get(), TIMEOUTS))
    now(client.close())


def test_a_closed_client_closes_the_one_behind_it(recorder: Recorder) -> None:
    """After `close` nothing is sent, and nothing replayed."""
    client = recorder.client(recorder.cassette())
    now(client.close())

    with pytest.raises(ConnectionFailed, match="closed"):
        now(client.send(*_get(), TIMEOUTS))


def test_a_mode_has_a_name(tmp_path: Path) -> None:
    """An unknown mode is refused where it is written."""
    with pytest.raises(ConfigurationError, match="'twice' is not a mode"):
        Cassette(tmp_path / "a.json", mode="twice")  # type: ignore[arg-type]  # on purpose


def test_many_tasks_record_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    """Requests that overlap stand on the tape in the order in which they were sent."""
    recorder = Recorder(tmp_path / "a.json", awaited=True)
    recorder.vendor.always(lambda _, url: Response(200, body=url.encode()))

    async def record() -> None:
        with recorder.cassette() as cassette:
            client = recorder.client(cassette)
            await asyncio.gather(*(client.send(*_get(f"/{item}"), TIMEOUTS) for item in range(9)))

    asyncio.run(record())

    assert tuple(f"GET /{item}" for item in range(9)) == recorder.cassette().unused


# --- streams ---------------------------------------------------------------------


def _read(incoming: Either, times: int) -> list[bytes]:
    return [now(incoming.read()) for _ in range(times)]


def test_streams_are_recorded_in_chunks(recorder: Recorder) -> None:
    """A stream is replayed in the chunks in which it was read."""
    recorder.vendor.queue(Response(200, {"A": "b"}, b"12345"))
    with recorder.cassette() as cassette:
        incoming = now(recorder.client(cassette).open(*_get(), TIMEOUTS))
        head = incoming.status, incoming.headers["a"]
        pieces = _read(incoming, 3)
        incoming.close()

    replayed = now(recorder.client(recorder.cassette()).open(*_get(), TIMEOUTS))

    assert ((200, "b"), [b"1234", b"5", b""]) == (head, pieces)
    assert (200, "b") == (replayed.status, replayed.headers["a"])
    assert [b"12345", b""] == _read(replayed, 2)


def test_partly_read_streams_end_early(recorder: Recorder) -> None:
    """The unread part of a stream is not recorded, and reading it fails."""
    recorder.vendor.queue(Response(200, {}, b"12345"))
    with recorder.cassette() as cassette:
        incoming = now(recorder.client(cassette).open(*_get(), TIMEOUTS))
        _read(incoming, 1)
        incoming.close()

    incoming = now(recorder.client(recorder.cassette()).open(*_get(), TIMEOUTS))

    assert [b"1234"] == _read(incoming, 1)
    with pytest.raises(NotOnTape, match="was not read"):
        _read(incoming, 1)
    with pytest.raises(NotOnTape, match="was not read"):
        recorder.replay(_get())


def test_a_streamed_request_is_read_before_it_is_sent(recorder: Recorder) -> None:
    """A body that can be read only once is recorded all the same."""
    recorder.vendor.always(Response(200))
    recorder.record(_post(body=iter([b"one", b"two"])))

    assert [200] == [answer.status for answer in recorder.replay(_post(body=iter([b"onetwo"])))]
    assert b"onetwo" == recorder.vendor.requests[0].body


# --- matching --------------------------------------------------------------------


@pytest.mark.parametrize(
    "recorded, requests",
    [
        (_get("/a?x=1&y=%20"), _get("/a?y=+&x=1")),
        ((Request.get("/a"), "https://one.example/a"), (Request.get("/a"), "http://two:81/a")),
        (_post(json={"a": 1, "b": [2]}), _post(body=b'{"b": [2], "a": 1}')),
        (_get(headers={"A": "b"}), _get(headers={"C": "d"})),
        (_get("/a?token=one&x=1"), _get("/a?token=two&x=1")),
        (_post(json={"client_secret": "one"}), _post(json={"client_secret": "two"})),
        (_post(form={"password": "one", "a": "b"}), _post(form={"password": "two", "a": "b"})),
        (
            _post(body=b"\xff\xfe\x01", headers={"Content-Type": "image/png"}),
            _post(body=b"\xff\xfe\x01"),
        ),
        (
            _post(body=gzip.compress(b"x", 1, mtime=1), headers={"Content-Encoding": "gzip"}),
            _post(body=gzip.compress(b"x", 9, mtime=2), headers={"Content-Encoding": "gzip"}),
        ),
        (
            _post(body=zlib.compress(b"x"), headers={"Content-Encoding": "deflate"}),
            _post(body=zlib.compress(b"x"), headers={"Content-Encoding": "deflate"}),
        ),
    ],
)
def test_the_same_request_is_found(
    recorder: Recorder, recorded: tuple[Request, str], requests: tuple[Request, str]
) -> None:
    """Host, headers, order and layout do not matter, nor do credentials."""
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
    """A request that was not recorded is refused with the nearest recorded one."""
    recorder.vendor.always(Response(200))
    recorder.record(_get("/far"), _get("/away"), _post("/charges?x=1", json={"a": 1}), _get("/off"))

    with pytest.raises(NotOnTape) as info:
        recorder.replay(requests)

    assert difference in info.value.nearest[0]
    assert difference in str(info.value)
    assert 3 == len(info.value.nearest)
    assert isinstance(info.value, ConfigurationError)
    assert info.value.nearest == pickle.loads(pickle.dumps(info.value)).nearest  # noqa: S301 - our own


def test_exchanges_are_replayed_once(recorder: Recorder) -> None:
    """A request repeated more often than recorded is refused."""
    recorder.vendor.always(Response(200))
    recorder.record(_get())

    with pytest.raises(NotOnTape, match="GET /rates: was replayed already"):
        recorder.replay(_get(), _get())


def test_without_a_tape_every_request_is_refused(recorder: Recorder) -> None:
    """Replaying needs no file until the first request."""
    with pytest.raises(NotOnTape, match=r"not on vat\.json, which has 0 exchanges") as info:
        recorder.replay(_get())

    assert () == info.value.nearest


# --- the file --------------------------------------------------------------------


def test_tape_format_is_readable(recorder: Recorder) -> None:
    """The file is JSON with bodies as values, lines or base64."""
    recorder.vendor.queue(
        Response(200, {"A": "b"}, '{"naïve":["漢",1.5]}'.encode()),
        Response(200, {}, b"one\ntwo\n", reason="OK"),
        Response(200, {}, b'{\n  "a": 1\n}'),
        Response(200, {}, b"\x89PNG\r\n" + bytes(range(128, 220))),
    )
    written = recorder.record(_post(json={"a": 1}), _get("/b?x=1"), _get(), _get())

    tape = json.loads(written)
    assert written.endswith("\n")
    assert "naïve" in written
    first, second, third, fourth = tape["exchanges"]
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
    """Nothing about a body that holds no secret is changed by writing it down."""
    recorder.vendor.queue(Response(200, {"Content-Type": content_type}, body))
    recorder.record(_get())

    assert [body] == [answer.body for answer in recorder.replay(_get())]


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
def test_invalid_tapes_are_refused(recorder: Recorder, text: str) -> None:
    """A damaged file, or one of another version, is refused."""
    recorder.path.parent.mkdir()
    recorder.path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"vat.json is .*cannot be replayed"):
        recorder.cassette()


def test_a_tape_that_cannot_be_written_leaves_the_old_one(recorder: Recorder) -> None:
    """A file is replaced as a whole or not at all, and nothing else is left behind."""
    recorder.vendor.queue(Response(200), Response(200, reason="\ud800"))
    before = recorder.record(_get())

    with pytest.raises(UnicodeEncodeError):
        recorder.record(_get("/new"))

    assert before == recorder.path.read_text("utf-8")
    assert ["vat.json"] == [path.name for path in recorder.path.parent.iterdir()]


# --- what is not written ---------------------------------------------------------

BASIC = b64encode(b"canary-basic-user:canary-basic-password").decode()
PART = (
    b'--edge-1\r\nContent-Disposition: form-data; name="password"\r\n\r\ncanary-part\r\n'
    b'--edge-1\r\nContent-Disposition: form-data; name="f"; filename="a.json"\r\n'
    b'Content-Type: application/json\r\n\r\n{"api_key": "canary-file", "a": 1}\r\n'
    b'--edge-1\r\nContent-Disposition: form-data; name="picture"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89\xff canary-certain \r\n--edge-1--\r\n"
)

SENT: list[tuple[Request, str]] = [
    _get("/a", headers={"Authorization": "Bearer canary-bearer"}),
    _get("/b", headers={"Authorization": f"Basic {BASIC}"}),
    _get("/c", headers={"Authorization": "Basic canary-not-base64"}),
    _get("/d", headers={"X-Api-Key": "canary-api-key", "X-Plain": "is canary-api-key"}),
    _get("/e", headers={"Cookie": "sid=canary-cookie; theme=canary-theme"}),
    _get("/f", headers={"X-House-Rule": "canary-house-rule"}),
    _get("/g?access_token=canary-query&x=1"),
    (Request.get("/h"), "https://canary-user:canary-password@api.example/h"),
    (Request.get("/i"), f"{HOST}/i#id_token=canary-fragment"),
    _get("/j/canary-certain/canary%2Dcertain/x", headers={"X-Plain": "a canary-certain b"}),
    _post("/k", json={"a": [{"client_secret": "canary-json", "deep": {"pin": 4711}}]}),
    _post("/l", json={"passwords": ["canary-list", {"x": "canary-nested"}], "b": 2}),
    _post("/m", json={"note": "canary-house-body", "house_body": "canary-house-body"}),
    _post("/n", form={"client_secret": "canary-form", "a": "see canary-form here"}),
    _post("/o", body=PART, headers={"Content-Type": "multipart/form-data; boundary=edge-1"}),
    _post(
        "/p",
        body=b"<a><ns:Password type='x'>canary-xml</ns:Password><b>canary-xml</b></a>",
        headers={"Content-Type": "text/xml"},
    ),
    _post("/q", body=b"password: canary-text", headers={"Content-Type": "text/plain"}),
    _post("/r", body=b"\xff\xfe canary-certain"),
    _post("/s", body=b"\xff\xfe" + "canary-certain".encode("utf-16-le")),
    _post(
        "/t",
        body='{"token": "canary-wide"}'.encode("utf-16"),
        headers={"Content-Type": "application/json"},
    ),
    _post(
        "/u",
        body=gzip.compress(b'{"token": "canary-zipped"}'),
        headers={"Content-Encoding": "gzip"},
    ),
    _post("/u2", body=zlib.compress(b"canary-zip"), headers={"Content-Encoding": "deflate"}),
    _post("/v", body=b'{"token": "canary-untyped"}'),
    _post("/w", json={"sum": 12345678, "x": "c\u00e4n\u00e4ry/certain"}),
    _post("/x", json={"card": 4242424242424242, "iban": "DE89370400440532013000"}),
]

ECHOES = (
    "canary-bearer", "canary-basic-user", "canary-basic-password", BASIC, "canary-api-key",
    "canary-cookie", "canary-theme", "canary-house-rule", "canary-query", "canary-user",
    "canary-password", "canary-json", "canary-list", "canary-nested", "canary-form",
    "canary-xml", "canary-untyped", "canary-certain", "canary-wide",
)  # fmt: skip

ANSWERS = [
    Response(
        200,
        {
            "Set-Cookie": "session=canary-set-cookie; HttpOnly",
            "Location": "https://canary-else:canary-where@x.example/?code=1&token=canary-located",
            "X-Echo": "who is canary-set-cookie?",
        },
        json.dumps(
            {
                "refresh_token": "canary-refresh",
                "link": "https://canary-else:canary-where@x.example/",
                "echo": " ".join(ECHOES),
                "escaped": "https://canary-odd:canary-slash@x.example",
                "inner": json.dumps({"token": "canary-inner"}),
                "again": "canary-refresh",
            }
        )
        .replace("//canary-odd", "\\/\\/canary-odd")
        .encode(),
        reason="canary-certain",
    ),
    Response(200, {"Content-Type": "application/json"}, b'{"a": 12345678, "b": "canary-certain"}'),
    Response(200, {"Content-Type": "application/json"}, b'"c\\u00e4n\\u00e4ry\\/certain"'),
    Response(401, {}, f"no such key: {', '.join(ECHOES)}".encode()),
]

SECRETS = [
    Secret("canary-certain"),
    Secret("12345678"),
    Secret("c\u00e4n\u00e4ry/certain"),
    Secret(""),
]
RULES = Redaction(header_names={"X-House-Rule"}, body_keys={"house_body"})


def _with_canaries(recorder: Recorder) -> str:
    def echo(request: Request, _: str) -> Response:
        return Response(200, body=as_bytes(request))

    recorder.vendor.queue(*ANSWERS)
    recorder.vendor.always(echo)
    return recorder.record(*SENT, redaction=RULES, secrets=SECRETS)


def test_no_secret_is_written_wherever_it_stood(recorder: Recorder) -> None:
    """Not one canary of headers, URLs, bodies, cookies, answers or echoes is in the file."""
    written = _with_canaries(recorder)

    assert [] == re.findall(r"(?i)canary[-\w]*|c\\u00e4n\\u00e4ry|cänäry[^\"]*", written)
    assert [] == re.findall("4711|12345678|4242424242424242|DE89370400440532013000", written)
    bodies = [
        b64decode("".join(exchange[side].get("body", {}).get("base64", "")))
        for exchange in json.loads(written)["exchanges"]
        for side in ("request", "answer")
    ]
    assert any(bodies)
    for spelling in (b"canary", "canary".encode("utf-16-le")):
        assert [] == [body for body in bodies if spelling in body]


def test_masked_exchanges_can_be_replayed(recorder: Recorder) -> None:
    """Masked exchanges match the same requests, and masked JSON stays JSON."""
    _with_canaries(recorder)

    answers = recorder.replay(*SENT, redaction=RULES, secrets=SECRETS)

    assert [200, 200, 200, 401] == [answer.status for answer in answers[:4]]
    assert {"a": "***", "b": "***"} == answers[1].json()
    assert "***" == answers[2].json()


def test_compressed_bodies_are_masked_inside(recorder: Recorder) -> None:
    """A secret in a gzip body is masked, and the body replayed as gzip."""
    hidden = gzip.compress(b'{"token": "canary-zipped", "a": 1}')
    recorder.vendor.queue(Response(200, {"Content-Type": "application/gzip"}, hidden))
    written = recorder.record(_get())

    (answer,) = recorder.replay(_get())

    assert '"coding": "gzip"' in written
    assert {"token": "***", "a": 1} == json.loads(gzip.decompress(answer.body))


def test_replay_works_with_other_credentials(recorder: Recorder) -> None:
    """Replaying does not compare credentials."""
    _with_canaries(recorder)
    others = [
        (
            request.evolve(
                headers=[
                    (name, value.replace("canary", "linnet"))
                    for name, value in request.headers.pairs
                ]
            ),
            url.replace("canary", "linnet"),
        )
        for request, url in SENT[:9]
    ]

    answers = recorder.replay(*others, redaction=RULES)

    assert [200, 200, 200, 401] == [answer.status for answer in answers[:4]]


def test_a_secret_that_becomes_known_later_is_masked_everywhere(recorder: Recorder) -> None:
    """A token in an answer is masked in earlier and later requests."""
    recorder.vendor.respond_json({"access_token": "swordfish-1"})
    recorder.vendor.always(Response(200))
    login, use = _post("/login", json={"a": "b"}), _get("/x/swordfish-1?ref=swordfish-1")

    written = recorder.record(login, use, _post("/y", body=b"plain swordfish-1"))

    assert "swordfish" not in written
    (token,) = recorder.replay(login)
    assert "***" == token.json()["access_token"]
    assert [200] == [item.status for item in recorder.replay(_get("/x/***?ref=***"))]


def test_secret_hidden_during_the_recording(recorder: Recorder) -> None:
    """A secret that becomes known during the recording can be masked."""
    recorder.vendor.always(Response(200))
    with recorder.cassette() as cassette:
        now(recorder.client(cassette).send(*_get("/x/swordfish"), TIMEOUTS))
        cassette.hide(Secret("swordfish"))

    assert "swordfish" not in recorder.path.read_text("utf-8")


@pytest.mark.parametrize(
    "value",
    ["short", "customer", "Bearer", "true", "20260101", "1.0", "https://auth.example/token"],
)
def test_words_that_say_nothing_are_not_taken_for_secrets(recorder: Recorder, value: str) -> None:
    """A common word, number or URL in the place of a credential is not masked elsewhere."""
    recorder.vendor.respond_json({"token_type": value, "other": value})

    assert f'"other": "{value}"' in recorder.record(_get())


def test_learned_values_are_masked_as_whole_words(recorder: Recorder) -> None:
    """A longer word that contains a learned value is not masked."""
    recorder.vendor.respond_json({"key": "abc-1", "list": ["abc-12", "xabc-1", "an abc-1."]})
    recorder.vendor.respond_json({"key": "abcd-1", "list": ["abcd-12", "xabcd-1", "an abcd-1."]})
    written = json.loads(recorder.record(_get(), _get()))

    bodies = [exchange["answer"]["body"]["json"]["list"] for exchange in written["exchanges"]]

    assert [
        ["abc-12", "xabc-1", "an abc-1."],
        ["abcd-12", "xabcd-1", "an ***."],
    ] == bodies


def test_a_cassette_shows_nothing(recorder: Recorder) -> None:
    """Neither a cassette nor the error of a request that is not on it shows a secret."""
    cassette = recorder.cassette(secrets=[Secret("swordfish")], mode="replay")
    request = Request.post("/x", json={"token": "swordfish-1"}, headers={"Cookie": "swordfish-2"})

    with pytest.raises(NotOnTape) as info:
        now(recorder.client(cassette).send(request, f"{HOST}/x?q=swordfish", TIMEOUTS))

    assert "swordfish" not in f"{info.value}{info.value!r}{cassette!r}"


def test_proofs_are_masked_and_nonce_requests_replayed(recorder: Recorder) -> None:
    """A DPoP proof is masked, and a request for a nonce is replayed."""
    fields = {"WWW-Authenticate": 'DPoP realm="r", error="use_dpop_nonce"', "DPoP-Nonce": "n-1"}
    recorder.vendor.queue(Response(401, fields))

    written = recorder.record(_get(headers={"DPoP": "cafe.babe.f00d", "Authorization": "DPoP tok"}))
    (replayed,) = recorder.replay(_get())

    assert not [word for word in ("cafe", "babe", "f00d", "tok", "n-1") if word in written]
    assert ProofRefusal.NONCE is refusal_of(replayed.headers)
    assert nonce_of(replayed.headers) is not None


KEY = "kX9vQ2pL7wZ4mN8tR3-canary"
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


def _echo(request: Request, url: str) -> Response:
    text = f"{url} {[*request.headers.pairs]} {as_bytes(request)!r}"
    return Response(400, {"X-Told": url.partition("//")[2]}, text.encode(), reason="No")


@pytest.mark.parametrize(
    "requests",
    [
        _get("/a", headers={"X-Acme": KEY}),
        _get("/a", headers={"X-Acme": f"Acme {KEY}"}),
        _get("/a", headers={"Acme": "letmein"}),
        _get(f"/a?k={KEY}"),
        _get("/a?user=3f9c2b7d-canary"),
        _get(f"/bot{TOKEN}/send"),
        _post("/a", body=f"see {KEY}".encode(), headers={"X-Acme": KEY}),
    ],
    ids=lambda requests: requests[1],
)
def test_a_key_under_an_unknown_name_is_not_written(
    recorder: Recorder, requests: tuple[Request, str]
) -> None:
    """Values of unknown headers, keys in queries and a bot's token are masked by their looks."""
    recorder.vendor.always(
        _echo if KEY in repr(requests) or TOKEN in requests[1] else Response(400)
    )
    written = recorder.record(requests)

    assert [] == [word for word in (KEY, KEY[:12], "letmein", "3f9c", TOKEN) if word in written]
    assert [400] == [answer.status for answer in recorder.replay(requests)]


def test_a_query_stays_readable_and_tells_values_apart(recorder: Recorder) -> None:
    """Words, numbers and dates are written as they are, and other values do not coincide."""
    plain = "/a?status=paid&limit=100&from=2026-01-31&to=2026-01-31T10:00:00Z&fields=&flag"
    first, second = "/a?customer=cus_9s6XKzkNRiz8i3", "/a?customer=cus_NffrFeUfNV2Hib"
    recorder.vendor.queue(*map(Response, (200, 201, 202)))
    written = recorder.record(_get(plain), _get(first), _get(second))

    assert plain in written
    assert "cus_" not in written
    answers = recorder.replay(_get(second), _get(first), _get(plain))
    assert [202, 201, 200] == [answer.status for answer in answers]


def test_ordinary_headers_are_recorded(recorder: Recorder) -> None:
    """Headers of HTTP itself and of correlation are not masked."""
    plain = {
        "Accept": "text/html",
        "If-None-Match": '"v1"',
        "Idempotency-Key": "order-1",
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    recorder.vendor.always(Response(200))
    written = json.loads(recorder.record(_get(headers={**plain, "X-Acme": "acme"})))

    reports = [f"{name}: {value}" for name, value in plain.items()]
    assert [*reports, "X-Acme: ***"] == written["exchanges"][0]["request"]["headers"]


def test_a_tape_that_shows_a_value_of_a_query_is_replayed(recorder: Recorder) -> None:
    """Recordings from before such values were masked are found all the same."""
    recorder.path.parent.mkdir()
    request = {"method": "GET", "url": f"{HOST}/a?customer=cus_9s6XKzkNRiz8i3", "body": {}}
    tape = {"version": 1, "exchanges": [{"request": request, "answer": {"status": 200}}]}
    recorder.path.write_text(json.dumps(tape))

    assert [200] == [
        item.status for item in recorder.replay(_get("/a?customer=cus_9s6XKzkNRiz8i3"))
    ]


WORD = "swordfish"
CREDENTIALS = {
    "header": Credentials.api_key(WORD, header="X-Whatever"),
    "query": Credentials.api_key(WORD, query="whatever"),
    "basic": Credentials.basic("me", WORD),
}


@pytest.mark.parametrize("existing", ["fixed", "provided", "general", "faulty"])
@pytest.mark.parametrize("kind", CREDENTIALS)
def test_managers_credentials_are_masked(recorder: Recorder, kind: str, existing: str) -> None:
    """A manager's credentials are masked in every place."""
    provided = existing in {"provided", "faulty"}
    fields: dict[str, Any] = (
        {"needs_credentials": True} if provided else {"credentials": CREDENTIALS[kind]}
    )
    faulty = existing == "faulty"
    if existing == "general":
        fields["request_transforms"] = (lambda request: request,)
    service = Service("vat", f"{HOST}/v1", **fields)
    recorder.vendor.always(_echo)

    def ask(mode: Mode) -> Any:
        with recorder.cassette(mode) as cassette:
            kind_of = AsyncConnectorManager if recorder.awaited else ConnectorManager
            provider_of = (
                AsyncMemoryCredentialProvider if recorder.awaited else MemoryCredentialProvider
            )
            provider: Any = provider_of()
            now(provider.rotate("vat", None, CREDENTIALS[kind]))
            client: Any = recorder.client(cassette)
            if faulty:
                clock, none = VirtualClock(), FaultSchedule()
                client = (
                    AsyncFaultNetwork(client, none, sleeper=AsyncVirtualSleeper(clock))
                    if recorder.awaited
                    else FaultNetwork(client, none, sleeper=VirtualSleeper(clock))
                )
            manager: Any = kind_of([service], http=client, credentials=provider)
            with pytest.raises(VendorRejected) as caught:
                now(manager.call("vat", Request.get(f"/a/{WORD}", query={"q": f"is {WORD}"})))
            with pytest.raises(VendorRejected):
                now(manager.stream("vat", Request.get("/b", query={"q": WORD})))
            return caught.value.status

    assert 400 == ask("record")
    written = recorder.path.read_text("utf-8")
    assert WORD not in written
    assert "/a/***" in written
    assert 400 == ask("replay")
