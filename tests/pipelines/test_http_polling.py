"""The source that polls an HTTP endpoint: pages, times, repeats, positions, and wrong answers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AsyncConnectorManager,
    ConfigurationError,
    ConnectorError,
    ConnectorManager,
    InvalidData,
    Pipeline,
    PipelineConfig,
    PollingSource,
    RateLimitExceeded,
    Response,
    RetryPolicy,
    Service,
    SourceRecord,
    StateCheckpoints,
    VendorFailed,
)
from moorage.domain.pipelines.polled_endpoint import PolledEndpoint
from moorage.domain.pipelines.polled_position import PolledPosition, read_position
from moorage.pipelines.http_polling import HttpPolling
from moorage.testing import (
    Behaviour,
    MemorySink,
    ReceivedRequest,
    VendorServer,
    name_of,
    source_conformance,
)
from moorage.wiring.store_urls import aopen_storage
from tests.pipelines.pipeline_waiting import until
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage import Message, Request
    from moorage.domain.pipelines.records import Offset

QUICK_RETRIES = RetryPolicy(base_delay=0.0001, max_delay=0.0001)
BASE = "https://shop.example/v1"


class Shop:
    """A fake manager; its service computes each response from the request's parameters."""

    def __init__(self, answer: Callable[[dict[str, str]], Any]) -> None:
        self.answer = answer
        self.requests: list[Request] = []

    async def call(self, service: str, request: Request) -> Response:
        """Answer a request."""
        assert "shop" == service
        await asyncio.sleep(0)
        self.requests.append(request)
        answer = self.answer(dict(request.query))
        if isinstance(answer, Response):
            return answer
        return Response(200, body=json.dumps(answer).encode(), url=f"{BASE}{request.path}")


def endpoint(**options: Any) -> PolledEndpoint:
    """Return an endpoint of the fake service."""
    return PolledEndpoint(service="shop", path="/orders", **options)


def answering(*answers: Any) -> Callable[[dict[str, str]], Any]:
    """Return a function that returns these responses in order, and then repeats the last."""
    queue = list(answers)
    return lambda _: queue.pop(0) if len(queue) > 1 else queue[0]


def ids(records: Sequence[SourceRecord]) -> list[Any]:
    """Return the ids in the payloads of records."""
    return [record.json()["id"] for record in records]


async def drained_records(polling: HttpPolling, offset: Offset | None = None) -> list[SourceRecord]:
    """Return all records after a position, reading until a response has no new records."""
    records: list[SourceRecord] = []
    while new_records := await polling.after(offset):
        records += new_records
        offset = new_records[-1].offset
    return records


async def test_only_new_records_of_a_list_are_delivered() -> None:
    """Only records with a new id are delivered, in the order of the list."""
    shop = Shop(answering([{"id": 2}, {"id": 1}, {"id": 1}], [{"id": 2}, {"id": 3}], [{"id": 3}]))
    polling = HttpPolling(shop, endpoint(query={"state": "paid"}))
    first = await polling.after(None)
    assert [2, 1] == ids(first)
    assert ["2", "1"] == [record.id for record in first]
    assert (("state", "paid"),) == shop.requests[0].query
    second = await polling.after(first[-1].offset)
    assert [3] == ids(second)
    assert [] == await polling.after(second[-1].offset)
    assert str(first[0].offset) < str(first[1].offset) < str(second[0].offset)


async def test_records_have_the_key_and_the_id_of_their_fields() -> None:
    """Dotted paths select the list of records in a response, and the ids and keys of records."""
    body = {"data": {"orders": [{"meta": {"id": "a"}, "customer": {"id": 7}}, {"meta": {"id": 2}}]}}
    options = endpoint(items="data.orders", id="meta.id", key="customer.id")
    records = await HttpPolling(Shop(answering(body)), options).after(None)
    assert [("a", b"7"), ("2", None)] == [(record.id, record.key) for record in records]


def cursor_pages(pages: dict[str | None, Any]) -> Callable[[dict[str, str]], Any]:
    """Return a function that responds with the page for the parameter `after`."""
    return lambda query: pages[query.get("after")]


async def test_cursor_leads_from_page_to_page() -> None:
    """The last page is requested again, and a cursor that appears there is followed."""
    pages: dict[str | None, Any] = {
        None: {"orders": [{"id": 1}, {"id": 2}], "next": "b"},
        "b": {"orders": [{"id": 3}], "next": ""},
    }
    shop = Shop(cursor_pages(pages))
    options = endpoint(items="orders", next_page="next", cursor="after")
    polling = HttpPolling(shop, options)
    records = await drained_records(polling)
    assert [1, 2, 3] == ids(records)
    pages["b"] = {"orders": [{"id": 3}, {"id": 4}], "next": 7}
    pages["7"] = {"orders": [], "next": 7}
    assert [4] == ids(await drained_records(polling, records[-1].offset))
    assert {"after": "7"} == dict(shop.requests[-1].query)


async def test_source_continues_in_the_middle_of_a_page() -> None:
    """A new source reads the page of its position again, and skips the earlier records."""
    pages: dict[str | None, Any] = {
        "a": {"orders": [{"id": 1}, {"id": 2}, {"id": 3}], "next": "b"},
        "b": {"orders": [{"id": 4}], "next": None},
    }
    options = endpoint(items="orders", next_page="next", cursor="after", start="a")
    first = await HttpPolling(Shop(cursor_pages(pages)), options).after(None)
    restarted = HttpPolling(Shop(cursor_pages(pages)), options)
    assert [2, 3, 4] == ids(await drained_records(restarted, first[0].offset))
    # The same source may read the record again.
    assert [3, 4] == ids(await drained_records(restarted, first[1].offset))


async def test_known_page_leads_to_the_next_at_once() -> None:
    """If a page has no new records, the next page is read within the same call."""
    pages: dict[str | None, Any] = {
        None: {"orders": [{"id": 1}], "next": None},
        "b": {"orders": [{"id": 2}], "next": False},
    }
    options = endpoint(items="orders", next_page="next", cursor="after")
    polling = HttpPolling(Shop(cursor_pages(pages)), options)
    records = await polling.after(None)
    pages[None]["next"] = "b"
    assert [2] == ids(await polling.after(records[-1].offset))


async def test_cursor_of_an_empty_answer_is_used_next_time() -> None:
    """If an empty list comes with a new cursor, the cursor is used at the next poll."""
    shop = Shop(lambda query: {"orders": [], "next": int(query.get("after", 0)) + 1})
    polling = HttpPolling(shop, endpoint(items="orders", next_page="next", cursor="after"))
    for _ in range(3):
        assert [] == await polling.after(None)
    assert [{}, {"after": "1"}, {"after": "2"}] == [dict(r.query) for r in shop.requests]


@pytest.mark.parametrize(
    "header, path",
    [
        ('<https://shop.example/v1/orders?page=2>; rel="next"', f"{BASE}/orders?page=2"),
        ('</v1/orders?page=1>; rel=prev, <?page=2>; rel="last next"', f"{BASE}/orders?page=2"),
        ('</v1/orders?page=1>; rel="prev"; title="next"', None),
        ("</v1/orders?page=2>; rel = next", f"{BASE}/orders?page=2"),
        (f"</v1/orders?page=2>; rel={' ' * 20_000}", None),
        ("", None),
    ],
)
async def test_links_lead_from_page_to_page(header: str, path: str | None) -> None:
    """The next page's URL is in the link header "next", and may be relative."""
    body = json.dumps([{"id": 1}]).encode()
    page = Response(200, {"Link": header, "ETag": '"a"'}, body, url=f"{BASE}/orders")
    shop = Shop(answering(page, [{"id": 2}]))
    polling = HttpPolling(shop, endpoint(link_header=True))
    records = await polling.after(None)
    await polling.after(records[-1].offset)
    assert [path or "/orders"] == [request.path for request in shop.requests[1:]]
    # An ETag does not cover the links in headers.
    assert "if-none-match" not in shop.requests[1].headers


async def test_field_may_have_the_url_of_the_next_page() -> None:
    """Without a cursor parameter, a field of the response holds the URL of the next page."""
    answers = [{"orders": [{"id": 1}], "next": f"{BASE}/orders?p=2"}, {"orders": [], "next": None}]
    shop = Shop(answering(*answers))
    polling = HttpPolling(shop, endpoint(items="orders", next_page="next", query={"a": "b"}))
    await drained_records(polling)
    assert [("/orders", (("a", "b"),)), (f"{BASE}/orders?p=2", ())] == [
        (request.path, request.query) for request in shop.requests
    ]


def changed_order(id: int, second: int) -> dict[str, Any]:
    """Return an order that changed at this second of a fixed minute."""
    return {"id": id, "at": f"2026-03-01T10:00:{second:02}Z"}


async def test_times_move_with_an_overlap() -> None:
    """Each request overlaps the newest time seen, and earlier records are not delivered again."""
    first = [changed_order(1, 0), changed_order(2, 30)]
    late_changes = [changed_order(3, 21), changed_order(2, 30), changed_order(1, 31)]
    shop = Shop(answering(first, first, late_changes))
    polling = HttpPolling(shop, endpoint(since="from", time="at", overlap=10, start="2026-01-01"))
    records = await polling.after(None)
    assert ["1@2026-03-01T10:00:00Z", "2@2026-03-01T10:00:30Z"] == [r.id for r in records]
    assert [] == await polling.after(records[-1].offset)
    new_records = await polling.after(records[-1].offset)
    assert [3, 1] == ids(new_records)
    assert ["2026-01-01", "2026-03-01T10:00:20Z", "2026-03-01T10:00:20Z"] == [
        dict(request.query)["from"] for request in shop.requests
    ]
    # A worker that begins at a position requests the records again, and recognises the known ones.
    assert [1] == ids(
        await HttpPolling(shop, endpoint(since="from", time="at", overlap=10)).after(
            new_records[0].offset
        )
    )


async def test_pages_of_a_time_keep_their_time() -> None:
    """All pages of a round use the first request's time; then the first page is read again."""

    def answer(query: dict[str, str]) -> Any:
        if query.get("from") is None and "after" not in query:
            return {"orders": [changed_order(1, 0)], "next": "b"}
        return {"orders": [changed_order(2, 50)], "next": None}

    shop = Shop(answer)
    options = endpoint(
        items="orders", next_page="next", cursor="after", since="from", time="at", overlap=0
    )
    assert [1, 2] == ids(await drained_records(HttpPolling(shop, options)))
    assert [{}, {"after": "b"}, {"from": "2026-03-01T10:00:50Z"}] == [
        dict(request.query) for request in shop.requests
    ]


@pytest.mark.parametrize(
    "time_format, times, since",
    [
        ("seconds", [1_700_000_000, 1_700_000_060.5], "1700000050"),
        ("milliseconds", [1_700_000_000_000, 1_700_000_060_500], "1700000050500"),
        ("iso", ["2023-11-14T22:13:20", "2023-11-14T23:14:20+01:00"], "2023-11-14T22:14:10Z"),
    ],
)
async def test_times_have_formats(time_format: str, times: list[Any], since: str) -> None:
    """Times are read and written in the format configured for the endpoint."""
    shop = Shop(answering([{"id": 1, "at": times[0]}, {"id": 2, "at": times[1]}]))
    options = endpoint(since="from", time="at", time_format=time_format, overlap=10)
    await drained_records(HttpPolling(shop, options))
    assert {"from": since} == dict(shop.requests[-1].query)


async def test_last_time_of_the_calendar_is_not_rounded_up() -> None:
    """A record with the latest time that Python supports does not stop the source."""
    shop = Shop(answering([{"id": 1, "at": "9999-12-31T23:59:59.999999Z"}]))
    await drained_records(HttpPolling(shop, endpoint(since="from", time="at", overlap=0)))
    assert {"from": "9999-12-31T23:59:59Z"} == dict(shop.requests[-1].query)


async def test_pages_without_an_end_are_an_error() -> None:
    """Pages without new records that form a circle raise an error, instead of an endless loop."""
    shop = Shop(
        lambda query: {
            "orders": [changed_order(1, 0)],
            "next": "b" if query.get("c") == "a" else "a",
        }
    )
    options = endpoint(
        items="orders", next_page="next", cursor="c", since="from", time="at", remember=5
    )
    polling = HttpPolling(shop, options)
    records = await polling.after(None)
    with pytest.raises(ConfigurationError, match="without a new record"):
        await polling.after(records[-1].offset)


@pytest.mark.parametrize("tail", [0, 1, 5])
@pytest.mark.parametrize("length", [2, 3, 7])
async def test_pages_in_a_circle_are_an_error(tail: int, length: int) -> None:
    """Cursors that lead back to an earlier page stop the source, even across restarts."""

    def answer(query: dict[str, str]) -> Any:
        number = int(query.get("c", "page-0").removeprefix("page-"))
        following = number + 1 if number + 1 < tail + length else tail
        return {"orders": [{"id": number}], "next": f"page-{following}"}

    shop = Shop(answer)
    options = endpoint(items="orders", next_page="next", cursor="c")

    async def poll() -> None:
        offset: Offset | None = None
        for _ in range(8 * (tail + length)):
            records = await HttpPolling(shop, options).after(offset)
            offset = records[-1].offset

    with pytest.raises(ConfigurationError, match="form a circle") as excinfo:
        await poll()
    assert "next_page" == excinfo.value.path
    assert len(shop.requests) <= 4 * (tail + length)


async def test_wrong_order_of_times_is_an_error() -> None:
    """Records that are not ordered by time stop the source, because some would be lost."""
    shop = Shop(answering([changed_order(1, 40), changed_order(2, 10)]))
    with pytest.raises(ConfigurationError, match="does not sort its records by at") as excinfo:
        await HttpPolling(shop, endpoint(since="from", time="at", overlap=5)).after(None)
    assert not excinfo.value.retryable


async def test_records_before_the_wanted_time_are_left_out() -> None:
    """If a service returns more than requested, such as whole days, no record is repeated."""
    shop = Shop(answering([changed_order(1, 0), changed_order(2, 40)]))
    options = endpoint(since="from", time="at", overlap=5)
    first = await HttpPolling(shop, options).after(None)
    assert [] == await HttpPolling(shop, options).after(first[-1].offset)


@pytest.mark.parametrize("options", [{}, {"since": "from", "time": "at"}])
async def test_number_of_recognised_records_is_limited(options: dict[str, Any]) -> None:
    """More records at one time than the source can remember raise an error with a remedy."""
    shop = Shop(answering([changed_order(number, number) for number in range(3)]))
    with pytest.raises(ConfigurationError, match="more than 2 records at once"):
        await HttpPolling(shop, endpoint(remember=2, **options)).after(None)


async def test_unchanged_answer_is_not_sent_again() -> None:
    """A repeated request is conditional, and a 304 response means no new records."""
    body = json.dumps([{"id": 1}]).encode()
    headers = {"ETag": '"a"', "Last-Modified": "Sun, 01 Mar 2026 10:00:00 GMT"}
    shop = Shop(answering(Response(200, headers, body), Response(304), Response(204)))
    polling = HttpPolling(shop, endpoint())
    records = await polling.after(None)
    for _ in range(2):
        assert [] == await polling.after(records[-1].offset)
    assert [(None, None), ('"a"', headers["Last-Modified"])] == [
        (request.headers.get("if-none-match"), request.headers.get("if-modified-since"))
        for request in shop.requests[:2]
    ]
    # From another position, all records are wanted.
    await polling.after(None)
    assert "if-none-match" not in shop.requests[-1].headers


@pytest.mark.parametrize(
    "body, options, problem",
    [
        (b"<html>", {}, "no list of records"),
        (b"{}", {}, "no list of records"),
        (b"[1]", {"items": "orders"}, "no list of records in the field orders"),
        (b"[1]", {}, "no id of a record in the field id"),
        (b'[{"id": true}]', {}, "no id of a record"),
        (b'[{"id": ""}]', {}, "no id of a record"),
        (b'[{"id": 1%b}]' % (b"0" * 400), {}, "no id of a record"),
        (b'[{"id": "%b"}]' % (b"x" * 1_001), {}, "no id of a record"),
        (b'[{"id": "\\ud800"}]', {}, "no id of a record"),
        (b'[{"id": 1}]', {"since": "a", "time": "at"}, "no time of a record in the field at"),
        (b'[{"id": 1, "at": 5}]', {"since": "a", "time": "at"}, "no time"),
        (b'[{"id": 1, "at": "soon"}]', {"since": "a", "time": "at"}, "no time"),
        (
            b'[{"id": 1, "at": 1e300}]',
            {"since": "a", "time": "at", "time_format": "seconds"},
            "no time",
        ),
        (
            b'[{"id": 1, "at": "1700000000"}]',
            {"since": "a", "time": "at", "time_format": "seconds"},
            "no time",
        ),
        (
            b'[{"id": 1, "at": "9999-12-31T23:59:59-23:59"}]',
            {"since": "a", "time": "at"},
            "no time",
        ),
        (b'{"o": [], "n": {}}', {"items": "o", "next_page": "n"}, "no readable cursor or URL"),
        (b'{"o": [], "n": 5}', {"items": "o", "next_page": "n"}, "no readable cursor or URL"),
        (
            b'{"o": [], "n": true}',
            {"items": "o", "next_page": "n", "cursor": "c"},
            "no readable cursor or URL",
        ),
        (b'{"o": [], "n": "a\\u0000"}', {"items": "o", "next_page": "n"}, "no readable cursor"),
        (b'{"o": [], "n": "a b"}', {"items": "o", "next_page": "n"}, "can be requested"),
        (b'{"o": [], "n": "http://[a"}', {"items": "o", "next_page": "n"}, "can be requested"),
    ],
)
async def test_answer_in_another_form_is_an_error(
    body: bytes, options: dict[str, Any], problem: str
) -> None:
    """A response that the options do not describe stops the source with an explanation."""
    shop = Shop(answering(Response(200, body=body)))
    with pytest.raises(VendorFailed, match=problem) as excinfo:
        await HttpPolling(shop, endpoint(**options)).after(None)
    assert not excinfo.value.retryable


@pytest.mark.parametrize("offset", [3, "x", "1/", "1/[]", "1/{}", '1/{"known": [[]]}'])
async def test_position_of_another_source_is_refused(offset: Offset) -> None:
    """A stored position in another format raises an error, instead of starting over."""
    with pytest.raises(InvalidData, match="does not belong to this endpoint"):
        await HttpPolling(Shop(answering([])), endpoint()).after(offset)


@pytest.mark.parametrize(
    "options, path",
    [
        ({"service": ""}, "service"),
        ({"path": "a b"}, "path"),
        ({"path": "a\n"}, "path"),
        ({"query": {"a": 1}}, "query"),
        ({"query": 3}, "query"),
        ({"items": "x" * 1_001}, "items"),
        ({"id": 5}, "id"),
        ({"link_header": "yes"}, "link_header"),
        ({"link_header": True, "next_page": "a"}, "next_page"),
        ({"cursor": "a"}, "next_page"),
        ({"since": "a"}, "since"),
        ({"time": "a"}, "since"),
        ({"time_format": "unix"}, "time_format"),
        ({"start": "a"}, "start"),
        ({"query": {"a": "b"}, "since": "a", "time": "b"}, "query"),
        ({"overlap": float("nan")}, "overlap"),
        ({"remember": 0}, "remember"),
        ({"interval": 0}, "interval"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], path: str) -> None:
    """A wrong option is refused, and the error names it."""
    values: dict[str, Any] = {"service": "shop", "path": "/orders"} | options
    with pytest.raises(ConfigurationError) as excinfo:
        PolledEndpoint(**values)
    assert path == excinfo.value.path


@examples(60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12),
    st.integers(1, 4),
    st.sampled_from(["pages", "times"]),
    st.data(),
)
def test_no_record_is_lost_or_repeated(
    steps: list[tuple[int, bool]], size: int, kind: str, data: st.DataObject
) -> None:
    """Whatever records are added, and wherever a worker resumes, each record is delivered once."""
    listed: list[dict[str, Any]] = []

    def pages(query: dict[str, str]) -> Any:
        begin = int(query.get("after", 0))
        is_last = begin + size > len(listed)
        page = listed[begin : begin + size]
        return {"orders": page, "next": None if is_last else begin + size}

    def times(query: dict[str, str]) -> Any:
        start = int(query.get("from", 0))
        return {"orders": [order for order in listed if order["at"] >= start]}

    options = {
        "pages": endpoint(items="orders", next_page="next", cursor="after"),
        "times": endpoint(
            items="orders", since="from", time="at", time_format="seconds", overlap=3
        ),
    }[kind]
    shop = Shop({"pages": pages, "times": times}[kind])

    async def run() -> None:
        polling = HttpPolling(shop, options)
        offset: Offset | None = None
        seen: list[int] = []
        for added, is_killed in steps:
            for _ in range(added):
                listed.append({"id": len(listed), "at": 10 + len(listed) // 2})
            records = await drained_records(polling, offset)
            offsets = [str(record.offset) for record in records]
            assert sorted(offsets) == offsets
            if is_killed and records:
                # A new worker continues after any of the records.
                delivered = data.draw(st.integers(1, len(records)))
                records = records[:delivered]
                polling = HttpPolling(shop, options)
            offset = records[-1].offset if records else offset
            seen += ids(records)
        seen += ids(await drained_records(polling, offset))
        assert list(range(len(listed))) == seen

    asyncio.run(run())


@given(
    st.integers(0, 10**14),
    st.lists(st.text(max_size=3), max_size=3),
    st.none() | st.integers(0),
    st.booleans(),
    st.none() | st.text(max_size=3),
)
def test_position_that_was_written_is_read_again(
    count: int, digests: list[str], newest: int | None, by_time: bool, mark: str | None
) -> None:
    """A position that was written is read back unchanged."""
    options = endpoint(**({"since": "a", "time": "b"} if by_time else {}))
    remembered = dict.fromkeys(digests, 0)
    page = None if by_time else "p"
    times = (newest, newest) if by_time else (None, None)
    pages = 0 if mark is None or by_time else count
    position = PolledPosition(count, page, *times, remembered, pages, None if by_time else mark)
    assert position == read_position(options, position.text(options))


def serve(server: VendorServer, items: list[Any]) -> None:
    """Make a server list items in pages of five."""

    def answer(request: ReceivedRequest) -> Behaviour:
        begin = int(dict(request.query).get("after", 0))
        body: dict[str, Any] = {"orders": items[begin : begin + 5]}
        if begin + 5 <= len(items):
            body["next"] = begin + 5
        return Behaviour.of_json(body)

    server.always(answer)


@pytest.mark.parametrize("check", source_conformance.CHECKS, ids=name_of)
async def test_source_passes_source_conformance_kit_with_real_server(
    check: source_conformance.Check,
) -> None:
    """The source passes the source conformance kit with a real server."""
    items: list[Any] = []
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    options = endpoint(items="orders", key="key", next_page="next", cursor="after")

    async def publish(messages: Sequence[Message]) -> None:
        for message in messages:
            key = None if message.key is None else message.key.decode()
            fields = {"key": key, "payload": message.payload.decode()}
            items.append({"id": message.id or f"number-{len(items)}", **fields})

    with VendorServer() as server:
        serve(server, items)
        service = Service("shop", base_url=server.url)
        async with AsyncConnectorManager([service]) as manager:

            def make_source() -> PollingSource:
                polling = HttpPolling(manager, options)

                async def records_after(offset: Offset | None) -> list[SourceRecord]:
                    return [
                        SourceRecord(
                            record.json()["payload"],
                            id=record.id,
                            key=record.key,
                            offset=record.offset,
                        )
                        for record in await polling.after(offset)
                    ]

                return PollingSource("shop", records_after, checkpoints, interval=0.01)

            await check(
                source_conformance.SourceSubject(
                    make=make_source,
                    publish=publish,
                    keeps=frozenset({"key", "id"}),
                    releases=False,
                )
            )


async def test_pipeline_goes_on_after_a_limit_of_the_vendor() -> None:
    """After a 429 with Retry-After, the pipeline waits the requested time, and loses nothing."""
    with VendorServer() as server:
        serve(server, [{"id": number} for number in range(7)])
        server.respond(429, {"Retry-After": "0"})
        options = endpoint(items="orders", next_page="next", cursor="after")
        checkpoints = StateCheckpoints(aopen_storage("memory:"))
        sink = MemorySink()
        service = Service("shop", base_url=server.url, retry=RetryPolicy(max_attempts=1))
        with ConnectorManager([service]) as manager:
            polling = HttpPolling(manager, options)
            source = PollingSource("shop", polling.after, checkpoints, interval=0.01)
            pipeline = Pipeline(
                "shop", source, sink, config=PipelineConfig(reconnect=QUICK_RETRIES)
            )
            run_task = asyncio.create_task(pipeline.run())
            await until(lambda: len(sink.values) == 7)
            pipeline.stop()
            await run_task
        assert 1 == pipeline.statistics().reconnects
    assert list(range(7)) == [value["id"] for value in sink.values]


async def test_error_of_a_429_has_the_retry_time() -> None:
    """The error for a 429 contains the time at which requests may be sent again."""
    with VendorServer() as server:
        server.respond(429, {"Retry-After": "600"})
        with (
            ConnectorManager([Service("shop", base_url=server.url)]) as manager,
            pytest.raises(RateLimitExceeded) as excinfo,
        ):
            await HttpPolling(manager, endpoint()).after(None)
    error: ConnectorError = excinfo.value
    assert error.retry_at is not None
