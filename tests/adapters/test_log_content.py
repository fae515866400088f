"""Requests and responses in the integration log: selection, length limits and redaction."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    CallFinished,
    ConfigurationError,
    ConnectorError,
    ConnectorManager,
    Credentials,
    HedgeConfig,
    IntegrationLog,
    LogContent,
    LoggedCalls,
    LogQuery,
    Redaction,
    Request,
    Response,
    RetryPolicy,
    Service,
)
from moorage.adapters.logs.export import write_csv, write_json_lines, write_parquet
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.adapters.logs.sqlite import SqliteIntegrationLogger
from moorage.cli import main
from moorage.domain.auth.sent_values import SentCredentials
from moorage.domain.http.log_content import LARGEST_BODY
from moorage.domain.observation.call_content import LONGEST_CONTENT, CallContent
from moorage.domain.observation.integration_log import size_of_texts
from moorage.domain.observation.late_fields import facts_of
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.testing import AsyncScriptedHttpClient, FakeVendor, ScriptedHttpClient
from tests.adapters.entry_harnesses import KINDS
from tests.adapters.test_table_log import Harness, entry
from tests.security.canaries import Canaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage import Event

BASE = "https://vat.example"
ALL = LogContent(calls=LoggedCalls.ALL)
JSON = {"content-type": "application/json"}


def entries(
    request: Request,
    *answers: Response | ConnectorError,
    log: Any = None,
    content: LogContent | None = ALL,
    **settings: Any,
) -> tuple[IntegrationLog, ...]:
    """Return the integration log's entries of one call."""
    log = log or MemoryIntegrationLogger()
    settings.setdefault("retry", None)
    service = Service("vat", base_url=BASE, log_content=content, **settings)
    http = ScriptedHttpClient(FakeVendor([*answers]))
    with ConnectorManager([service], http=http, log=log) as manager:
        try:
            manager.call("vat", request)
        except ConnectorError:
            assert not isinstance(answers[-1], Response) or answers[-1].status >= 400
    items: tuple[IntegrationLog, ...] = log.find(LogQuery()).items
    return items


def texts(request: Request, *answers: Response, **settings: Any) -> tuple[str | None, str | None]:
    """Return the request and response strings that the log stored for one call."""
    (item,) = entries(request, *answers, **settings)
    return item.request, item.response


# --- selection of calls -----------------------------------------------------------------


@pytest.mark.parametrize(
    "content, status, stored",
    [
        (None, 503, False),
        (LogContent(calls=LoggedCalls.NONE), 503, False),
        (LogContent(), 200, False),
        (LogContent(), 503, True),
        (LogContent("all"), 200, True),
        (LogContent("all"), 503, True),
    ],
)
def test_service_decides_which_calls_are_logged(
    content: LogContent | None, status: int, stored: bool
) -> None:
    """By default no request or response is logged; a service may log failures, or all calls."""
    request, response = texts(
        Request.post("/orders", json={"amount": 5}),
        Response(status, JSON, b'{"id": 1}'),
        content=content,
    )

    assert (stored, stored) == (request is not None, response is not None)


def test_text_of_request_and_response() -> None:
    """A logged request has method, URL, headers and body; a logged response has its status."""
    request, response = texts(
        Request.post("/orders?page=2", json={"amount": 5}, headers={"X-Odd": "1"}),
        Response(404, {**JSON, "x-request-id": "r-7"}, b'{"id": 1}', reason="Not Found"),
    )

    assert request is not None
    assert request.startswith("POST https://vat.example/orders?page=2\n")
    assert "\nX-Odd: ***" in request
    assert request.lower().count("content-type: application/json") == 1
    assert request.endswith('\n\n{"amount":5}')
    assert response == (
        'HTTP 404 Not Found\ncontent-type: application/json\nx-request-id: r-7\n\n{"id": 1}'
    )


def test_events_do_not_hold_call_request_and_response_without_integration_log() -> None:
    """Without an integration log, events do not hold the call's request and response."""
    contents: list[object] = []

    def observer(event: Event) -> None:
        if isinstance(event, CallFinished):
            contents.append(facts_of(event)[0].content)

    service = Service("vat", base_url=BASE, log_content=ALL, retry=None)
    for log in (None, MemoryIntegrationLogger()):
        http = ScriptedHttpClient(FakeVendor([Response(200)]))
        with ConnectorManager([service], http=http, log=log, observers=[observer]) as manager:
            manager.call("vat", Request.get("/"))

    assert [False, True] == [content is not None for content in contents]


def test_size_of_a_waiting_entry() -> None:
    """`size_of_texts` counts the request, response and error strings of a log entry as stored."""
    sizes: list[int] = []

    class Log(MemoryIntegrationLogger):
        def write(self, entry: IntegrationLog, /) -> None:
            sizes.append(size_of_texts(entry))
            super().write(entry)

    body = b"x" * 2_000
    for answer in (Response(200, JSON, body), Response(404, JSON, body)):
        (item,) = entries(Request.get("/"), answer, log=Log())
        texts = (item.request, item.response, item.error_message)
        assert sum(sys.getsizeof(text) for text in texts if text) == sizes[-1] > 2_000
        assert sizes[-1] == size_of_texts(attrs.evolve(item))
    entries(Request.get("/"), Response(200, JSON, body), log=Log(), content=None)
    assert 0 == sizes[-1]


def test_latest_attempt_is_stored() -> None:
    """After a retry, the log has the response of the last attempt, if it got one."""
    retry = RetryPolicy(max_attempts=2, base_delay=0.0)
    _, response = texts(Request.get("/"), Response(503), Response(404), retry=retry)
    assert response == "HTTP 404"

    lost_entries = entries(Request.get("/"), ConnectorError("gone", retryable=False))
    assert [("GET https://vat.example/", None)] == [
        (item.request, item.response) for item in lost_entries
    ]


def test_a_call_that_sends_nothing_has_no_content() -> None:
    """A call of a plain function, or one that returns a stored answer, logs no request."""
    log = MemoryIntegrationLogger()
    vendor = FakeVendor([Response(200, JSON, b"{}")])
    services = [Service("vat", base_url=BASE, log_content=ALL), Service("f", log_content=ALL)]
    with ConnectorManager(services, http=ScriptedHttpClient(vendor), log=log) as manager:
        manager.run("f", int)
        for _ in range(2):
            manager.call("vat", Request.post("/", json={}), idempotency_key="k")

    assert [False, True, False] == [item.request is not None for item in log.find(LogQuery()).items]


def test_a_stream_is_stored_without_its_body() -> None:
    """A streamed response is logged without its body; an error has the start of its body."""
    for answer, expected in (
        (Response(200, JSON, b"{}"), "HTTP 200\ncontent-type: application/json"),
        (Response(404, JSON, b"{}"), "HTTP 404\ncontent-type: application/json\n\n{}"),
    ):
        log = MemoryIntegrationLogger()
        service = Service("vat", base_url=BASE, log_content=ALL, retry=None)
        http = ScriptedHttpClient(FakeVendor([answer]))
        with ConnectorManager([service], http=http, log=log) as manager:
            try:
                with manager.stream("vat", Request.get("/file")) as stream:
                    b"".join(stream)
            except ConnectorError:
                assert answer.status == 404
        (item,) = log.find(LogQuery()).items
        assert expected == item.response


def test_hedged_reads_store_the_answer_that_won() -> None:
    """For hedged reads, the log has the request and response of the attempt that won."""

    async def log_of_call() -> IntegrationLog:
        log = MemoryIntegrationLogger()
        service = Service("vat", base_url=BASE, log_content=ALL, hedge=HedgeConfig(delay=60.0))
        http = AsyncScriptedHttpClient(FakeVendor([Response(200, JSON, b"[1]")]))
        async with AsyncConnectorManager(
            [service], http=http, log=AsyncMemoryIntegrationLogger(log)
        ) as manager:
            await manager.call("vat", Request.get("/"))
        (item,) = log.find(LogQuery()).items
        return item

    item = asyncio.run(log_of_call())
    assert "HTTP 200\ncontent-type: application/json\n\n[1]" == item.response


# --- length limits ----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x", "é", "😀"])
def test_long_bodies_are_cut_in_the_log(text: str) -> None:
    """A logged body is cut at `max_body` bytes, with a note of its full length."""
    body = (text * 5_000).encode()
    content = LogContent(calls=LoggedCalls.ALL, max_body=1_000)
    request, response = texts(
        Request.post("/", body=body, headers={"content-type": "text/plain"}),
        Response(200, {"content-type": "text/plain"}, body),
        content=content,
    )
    for stored_text in (request, response):
        assert stored_text is not None
        shown_body, note = stored_text.split("\n\n", 1)[1].rsplit("\n", 1)
        assert note == f"[cut: the body has {len(body)} bytes]"
        assert 900 < len(shown_body.encode()) <= 1_000
        assert {text, "…"} >= {*shown_body}


def test_whole_bodies_have_no_note() -> None:
    """A body of at most `max_body` bytes is logged whole, without a note."""
    body = b"x" * 1_000
    content = LogContent(calls=LoggedCalls.ALL, max_body=1_000)
    _, response = texts(Request.get("/"), Response(200, {}, body), content=content)
    assert response == f"HTTP 200\n\n{body.decode()}"


@pytest.mark.parametrize(
    "headers, body, expected",
    [
        ({"content-type": "image/png"}, b"\x89PNG\r\n", "<6 bytes of image/png>"),
        ({"content-type": "text/plain"}, b"a\0b", "<3 bytes of text/plain>"),
        (JSON, gzip.compress(b"{}" * 99, mtime=0), "bytes of application/json>"),
        ({}, b"\xff\xfe\xfd\xfc\xfb\xfa", "<6 bytes of an unknown type>"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--b", "<3 bytes of multipart"),
    ],
)
def test_binary_bodies_are_described(headers: dict[str, str], body: bytes, expected: str) -> None:
    """For a binary body, only size and type are logged."""
    for stored_text in texts(
        Request.post("/", body=body, headers=headers), Response(200, headers, body)
    ):
        assert stored_text is not None
        described = stored_text.split("\n\n", 1)[1]
        assert expected in described
        assert described.startswith("<")


def test_a_streamed_body_is_described() -> None:
    """A request body that is streamed is not read for the log."""
    request, _ = texts(Request.post("/", body=lambda: iter([b"abc"])), Response(200))
    assert request is not None
    assert request.endswith("\n\n<a body that is streamed>")


def test_long_headers_and_urls_are_cut() -> None:
    """Long headers and URLs are cut so that the text fits the database column."""
    headers = {f"x-{number}": "v" * 900 for number in range(500)}
    _, response = texts(
        Request.get("/" + "é" * 9_000),
        Response(200, headers, b"x" * LARGEST_BODY),
        content=LogContent(calls=LoggedCalls.ALL, max_body=LARGEST_BODY),
    )
    assert response is not None
    assert LARGEST_BODY < len(response.encode()) <= LONGEST_CONTENT


@pytest.mark.parametrize("size", [0, -1, LARGEST_BODY + 1, True, 1.5])
def test_invalid_max_body_is_refused(size: Any) -> None:
    """`max_body` must be a whole number of bytes in the allowed range."""
    with pytest.raises(ConfigurationError, match=r"allowed range"):
        LogContent(max_body=size)


@pytest.fixture(params=KINDS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Yield a database of each kind for the integration log."""
    test_harness = Harness(request.param, tmp_path)
    try:
        yield test_harness
    finally:
        test_harness.close()


def test_longest_content_is_stored_by_every_database(harness: Harness) -> None:
    """The longest allowed request and response are stored unchanged by each database."""
    text = "😀" * (LONGEST_CONTENT // 4)
    log = harness.log()
    written_entry = entry(0, request=text, response=text)
    log.write(written_entry)
    (found_entry,) = log.find(LogQuery(id=written_entry.id)).items
    assert (text, text) == (found_entry.request, found_entry.response)


def test_request_and_response_are_dropped_after_logging() -> None:
    """A call's request and response are made text once, then dropped, and cannot be pickled."""
    request = Request.post("/", json={"a": 1})
    content = CallContent(ALL, Redaction(), request, BASE, SentCredentials(None, request))
    content.receive(Response(200))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(content)
    assert (None, None) == (content.request, content.response)
    content.redact()
    request_and_response = content.request, content.response
    content.redact()

    assert request_and_response == (content.request, content.response)
    assert "HTTP 200" == content.response
    assert [None, None] == [content._originals, content._response]  # noqa: SLF001 - what is kept


# --- secrets ----------------------------------------------------------------------------


def credential_forms(secret: str) -> dict[str, Credentials]:
    """Return a credential of each kind, all with this secret."""
    return {
        "bearer": Credentials.bearer(secret),
        "basic": Credentials.basic("user", secret),
        "header": Credentials.api_key(secret, header="X-Key"),
        "query": Credentials.api_key(secret, query="key"),
        "aws_sigv4": Credentials.signed(
            AwsSigV4(access_key_id="id", region="eu-central-1", service="execute-api"), secret
        ),
    }


CARD = "4242 4242 4242 4242"
KEY = "rk_" + "live_51HxyzCanaryOfAKey"
"""A key that was not sent, and that stands under no name of a credential."""


HEX_ID = "8f14e45fceea167a5a36dedd4bea2543"
JWT = (
    "eyJhbGciOiJIUzI1NiJ9."
    + "eyJzdWIiOiIxMjM0NTY3ODkwIn0" * 3
    + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
)


@pytest.mark.parametrize(
    "name, value, is_shown",
    [
        ("X-Request-Id", HEX_ID, True),
        ("Request-Id", f"{HEX_ID}{HEX_ID}", True),
        ("traceparent", f"00-{HEX_ID}-b7ad6b7169203331-01", True),
        ("X-Request-Id", JWT, False),
        ("X-Request-Id", f"Bearer {HEX_ID}", False),
        ("X-Correlation-Id", KEY, False),
        ("Server", HEX_ID, False),
    ],
)
def test_ids_for_the_vendor_are_stored(name: str, value: str, is_shown: bool) -> None:
    """A long id in an id header is logged; a token or key in an id header is masked."""
    (item,) = entries(Request.get("/a"), Response(200, {name: value}), content=ALL)

    assert item.response is not None
    assert is_shown is (f"{name}: {value}" in item.response)
    assert is_shown is (value in item.response)


@pytest.mark.untraced
@pytest.mark.parametrize("form", credential_forms("x"))
def test_no_secret_is_written(form: str, tmp_path: Path, capsys: Any) -> None:
    """Secrets that a vendor echoes appear in no log entry, export or output."""
    canaries = Canaries()
    secret, named_secret, token = (canaries.plant(name) for name in ("secret", "named", "token"))
    path, password, cvc = (canaries.plant(name) for name in ("path", "password", "cvc"))
    fields = {
        "password": password,
        "nested": {"client_secret": named_secret, "customer": {"name": path}},
        "cvc": cvc,
        "number": CARD,
        "compact": int(CARD.replace(" ", "")),
        "note": f"of {secret}, {KEY} and {CARD}",
        "access_token": token,
    }
    flat = {
        "password": password,
        "client_secret": named_secret,
        "note": secret,
        "access_token": token,
    }
    xml = "".join(f"<{name}>{value}</{name}>" for name, value in flat.items())
    bodies = {
        "application/json": json.dumps(fields),
        "application/problem+json": json.dumps([fields]),
        "application/x-www-form-urlencoded": urlencode({**flat, "card": CARD}),
        "application/xml": f"<a>{xml}<card>{CARD}</card></a>",
        "text/plain": "\n".join(f"{name}: {value}" for name, value in flat.items()),
        "": json.dumps(fields),
    }
    log = SqliteIntegrationLogger(tmp_path / "calls.db", create=True, threads=False)
    for kind, body in bodies.items():
        headers = {"content-type": kind} if kind else {}
        entries(
            Request.post(
                f"/a?token={token}&plain={secret}&note={KEY}",
                body=body.encode(),
                headers={
                    **headers,
                    "X-Api-Key": named_secret,
                    "Cookie": f"a={password}",
                    "X-Odd": path,
                },
            ),
            Response(
                422,
                {**headers, "set-cookie": f"s={token}", "x-request-id": secret, "server": token},
                (body + f"\n{secret} Bearer {token}").encode(),
                reason=f"no {secret}",
            ),
            log=log,
            credentials=credential_forms(secret)[form],
            redaction=Redaction(body_paths=["nested.customer.name"]),
        )
    items = log.find(LogQuery()).items
    assert len(bodies) == len([item for item in items if item.request and item.response])
    with (tmp_path / "calls.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(items, file)
    with (tmp_path / "calls.jsonl").open("w", encoding="utf-8") as file:
        write_json_lines(items, file)
    with (tmp_path / "calls.parquet").open("wb") as binary:
        write_parquet(items, binary)
    log.close()
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    for item in items:
        assert 0 == main(["logs", "show", item.id, "--store", url])
    assert 0 == main(["logs", "list", "--store", url, "--json"])
    written_outputs = [capsys.readouterr().out, *map(repr, items)]
    written_outputs += [file.read_bytes().decode("latin-1") for file in tmp_path.iterdir()]

    assert any("HTTP 422" in text for text in written_outputs)
    for text in written_outputs:
        assert set() == canaries.heard(text)
        assert CARD not in text
        assert KEY not in text
        assert CARD.replace(" ", "") not in text
