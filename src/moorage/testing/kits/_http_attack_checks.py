"""Checks of an HTTP client with a hostile vendor: floods, smuggling and redirects."""

from __future__ import annotations

from gzip import compress
from typing import TYPE_CHECKING, Final

from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.errors import AttemptTimeout, ConnectorError, InvalidData, VendorFailed
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.kits._http_harness import (
    BRIEFLY,
    DEFLATE,
    GRACE,
    GZIP,
    PATIENCE,
    PATIENT,
    decompression_bomb,
    failure_of,
    harness,
)
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from moorage.ports.http import AsyncHttpClient
    from moorage.testing.kits._http_harness import Clients

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_SECRET: Final = "sk-live-42"  # noqa: S105 - opens nothing
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_STRAY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsmuggle"


async def a_byte_a_second_ends_with_the_total_timeout(clients: Clients) -> None:
    """A response that arrives one byte per second ends when the total timeout is over."""
    async with harness(clients) as (vendor, client):
        for reason, behaviour in {
            "its head came a byte a second": Behaviour(piece=1, pause=1.0),
            "its body came a byte a second": Behaviour(
                raw=_OK + b"Content-Length: 99\r\n\r\nx", repeat=b"x", pause=1.0
            ),
        }.items():
            vendor.queue(behaviour)
            timeouts = Timeouts(read=PATIENCE, total=BRIEFLY)
            call = client.send(Request.get("/"), vendor.url, timeouts)
            await failure_of(call, AttemptTimeout, because=reason, within=BRIEFLY + GRACE)


_FLOODS: Final[dict[str, Behaviour]] = {
    "its chunks did not end": Behaviour(
        raw=_OK + _CHUNKED + b"\r\n",
        repeat=b"18000\r\n" + bytes(98_304) + b"\r\n",
    ),
    "its trailers did not end": Behaviour(
        raw=_OK + _CHUNKED + b"\r\n0\r\n", repeat=b"A: b\r\n" * 99
    ),
    "the size of its chunk did not end": Behaviour(
        raw=_OK + _CHUNKED + b"\r\n1;", repeat=b"x" * 999
    ),
    "it sent 100 MB of fields": Behaviour(
        raw=_OK + (b"A: " + b"x" * 1020 + b"\r\n") * 100_000 + b"\r\n", then="close"
    ),
    "it sent 100,000 fields": Behaviour(raw=_OK + b"A: b\r\n" * 100_000 + b"\r\n", then="close"),
    "it announced an exbibyte": Behaviour(
        raw=_OK + b"Content-Length: 1152921504606846976\r\n\r\n", repeat=bytes(99_999)
    ),
}


async def a_flood_is_refused(clients: Clients) -> None:
    """A response with an endless or oversized part is refused."""
    async with harness(clients) as (vendor, client):
        for reason, behaviour in _FLOODS.items():
            vendor.queue(behaviour)
            call = client.send(Request.get("/"), vendor.url, PATIENT)
            await failure_of(call, VendorFailed, because=reason)


def _bombs() -> dict[str, bytes]:
    """Return one compressed body for each compression coding; each expands enormously."""
    return {
        "gzip": decompression_bomb(GZIP),
        "deflate": decompression_bomb(DEFLATE),
        "gzip, gzip": compress(decompression_bomb(GZIP)),
    }


async def a_decompression_bomb_is_refused(clients: Clients) -> None:
    """A compressed body that expands a thousandfold is refused before memory fills up."""
    async with harness(clients) as (vendor, client):
        for coding, packed_bytes in _bombs().items():
            vendor.respond(200, {"Content-Encoding": coding}, packed_bytes)
            call = client.send(Request.get("/"), vendor.url, PATIENT)
            if "," not in coding:
                await failure_of(call, VendorFailed, because=f"its body was a bomb in {coding}")
                continue
            # A client that does not undo nested codings returns the body as it arrived.
            answer = await _answer_or_refusal(call)
            require(
                answer is None or answer.body == packed_bytes,
                f"A decompression bomb was decompressed or changed: {coding}.",
            )


async def redirects_are_not_followed(clients: Clients) -> None:
    """A redirect is returned as the response, and never followed."""
    request = Request.get("/", headers={"Authorization": f"Bearer {_SECRET}", "Cookie": _SECRET})
    with VendorServer() as other_server:
        other_server.always(Behaviour(204))
        async with harness(clients) as (vendor, client):
            for status in (301, 302, 303, 307, 308):
                for location in (f"{other_server.url}/steal", f"{vendor.url}/", "/", "//"):
                    vendor.respond(status, {"Location": location, "Refresh": f"0;url={location}"})
                    answer = await client.send(request, f"{vendor.url}/", PATIENT)
                    require(answer.status == status, f"{status} came back as {answer.status}.")
            require(len(vendor.requests) == 20, "A redirect was followed in a circle.")
        require(
            other_server.connections == 0,
            "A redirect was followed to another host, with the secrets of the request.",
        )


async def cookies_are_not_stored(clients: Clients) -> None:
    """A cookie is returned as a header field, and sent only if a request contains it."""
    async with harness(clients) as (vendor, client):
        fields = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Domain=127.0.0.1")]
        vendor.respond(200, fields)
        answer = await client.send(Request.get("/"), vendor.url, PATIENT)
        cookies = answer.headers.get_all("set-cookie")
        require(
            cookies == ("a=1; Path=/", "b=2; Domain=127.0.0.1"), f"{cookies} are not the cookies."
        )
        vendor.always(Behaviour(204))
        for cookie in (None, "c=3"):
            headers = {} if cookie is None else {"Cookie": cookie}
            await client.send(Request.get("/", headers=headers), vendor.url, PATIENT)
            sent_cookie = vendor.requests[-1].headers.get("cookie")
            require(
                sent_cookie == cookie, f"The cookie {sent_cookie!r} was sent instead of {cookie!r}."
            )


async def a_body_after_head_is_not_the_next_response(clients: Clients) -> None:
    """A body that wrongly follows a HEAD or 204 response is never taken for the next response."""
    for method, head in (
        ("HEAD", _OK + b"Content-Length: %d\r\n\r\n" % len(_STRAY)),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
    ):
        async with harness(clients) as (vendor, client):
            vendor.queue(Behaviour(raw=head + _STRAY), Behaviour(201))
            first_answer = await _answer_or_refusal(
                client.send(_request_with(method), vendor.url, PATIENT)
            )
            require(
                first_answer is None or first_answer.body == b"",
                f"An answer to {method} got a body.",
            )
            await _require_own_response(vendor, client, f"the body of an answer to {method}")


async def invalid_utf_8_is_returned_unchanged(clients: Clients) -> None:
    """Bytes that are not UTF-8 are returned unchanged in a body, and cause no error in headers."""
    odd_bytes = bytes(range(0x80, 0x100))
    async with harness(clients) as (vendor, client):
        vendor.queue(
            Behaviour(
                raw=_OK
                + b"X: caf\xe9\xff\r\nContent-Length: %d\r\n\r\n%b" % (len(odd_bytes), odd_bytes)
            )
        )
        answer = await _answer_or_refusal(client.send(Request.get("/"), vendor.url, PATIENT))
        if answer is not None:
            require(answer.body == odd_bytes, "Bytes that are not UTF-8 were returned changed.")
            require(isinstance(answer.text, str), "A body that is not UTF-8 has no text.")
        vendor.respond(200, {"Content-Type": "application/json; charset=utf-8"}, b'{"a": "\xff"}')
        answer = await client.send(Request.get("/"), vendor.url, PATIENT)
        require("�" in answer.text, f"{answer.text!r} hides that it is not UTF-8.")


_INJECTED: Final = "\r\nX-Injected: yes\r\n\r\n"


async def line_breaks_inject_no_headers(clients: Clients) -> None:
    """A line break or NUL in a name, value or URL never creates a header line."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        for text in (_INJECTED, "\n", "\r", "\0", "a\r\n b"):
            for fields in ({"X": text + "a"}, {"X": "a" + text + "a"}, {text: "a"}):
                await _require_no_effect(client, vendor, f"{vendor.url}/", fields)
            for url in (f"{vendor.url}/{text}", f"{vendor.url}/?a={text}b", f"{vendor.url}{text}/"):
                await _require_no_effect(client, vendor, url, {})


async def _require_no_effect(
    client: AsyncHttpClient, vendor: VendorServer, url: str, fields: dict[str, str]
) -> None:
    request_count = len(vendor.requests)
    try:
        await client.send(Request.get("/", headers=fields), url, PATIENT)
    except ConnectorError as error:
        require(isinstance(error, InvalidData), f"{error!r} does not say what is wrong.")
        require(
            len(vendor.requests) == request_count,
            "A request that was refused was sent nevertheless.",
        )
        return
    for received_webhook in vendor.requests[request_count:]:
        require(
            "x-injected" not in received_webhook.headers,
            f"A field was injected by {fields or url!r}.",
        )
        require(
            received_webhook.target.isprintable(),
            f"The target {received_webhook.target!r} is not printable.",
        )
    require(
        len(vendor.requests) == request_count + 1, f"A request was injected by {fields or url!r}."
    )


_AMBIGUOUS: Final[dict[str, bytes]] = {
    "chunks and a length": _CHUNKED + b"Content-Length: 3\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a length and chunks": b"Content-Length: 3\r\n" + _CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks twice": _CHUNKED + _CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks in chunks": b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "the same length twice": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a list of lengths": b"Content-Length: 2, 2\r\n\r\nok",
    "chunks with a line feed": _CHUNKED + b"\r\n2\nok\n0\n\n",
    "a field that goes on": b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "lines with a line feed": b"Content-Length: 2\n\nok",
    "a line with a carriage return": b"X: a\rContent-Length: 99\r\nContent-Length: 2\r\n\r\nok",
    "a name with a space": b"Content-Length : 99\r\nContent-Length: 2\r\n\r\nok",
}


async def ambiguous_responses_affect_no_other(clients: Clients) -> None:
    """A response of ambiguous length is refused or understood, and never disturbs another one."""
    for reason, remaining_bytes in _AMBIGUOUS.items():
        async with harness(clients) as (vendor, client):
            vendor.queue(Behaviour(raw=_OK + remaining_bytes + _STRAY), Behaviour(201))
            brief = Timeouts(read=BRIEFLY, total=PATIENCE)
            answer = await _answer_or_refusal(client.send(Request.get("/"), vendor.url, brief))
            require(
                answer is None or answer.body in {b"ok", b"ok" + _STRAY},
                f"{answer and answer.body!r} was made of an answer with {reason}.",
            )
            await _require_own_response(vendor, client, reason)


async def a_protocol_switch_affects_no_other_response(clients: Clients) -> None:
    """A switch to another protocol is refused or returned as 101, and disturbs no response."""
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(raw=switch + _STRAY), Behaviour(201))
        brief = Timeouts(read=BRIEFLY, total=PATIENCE)
        answer = await _answer_or_refusal(client.send(Request.get("/"), vendor.url, brief))
        require(
            answer is None or answer.status == 101,
            f"A switch of protocols was returned as {answer!r}.",
        )
        await _require_own_response(vendor, client, "a switch to another protocol")


async def _require_own_response(
    vendor: VendorServer, client: AsyncHttpClient, because: str
) -> None:
    answer = await client.send(Request.get("/"), vendor.url, PATIENT)
    require(
        answer.status == 201,
        f"Bytes of an earlier response were returned as {answer!r}: {because}.",
    )


def _request_with(method: str) -> Request:
    return Request.head("/") if method == "HEAD" else Request.get("/")


async def _answer_or_refusal(call: Awaitable[Response]) -> Response | None:
    """Return the response; None if the client refused it."""
    try:
        return await call
    except VendorFailed:
        return None


CHECKS: Final = (
    a_byte_a_second_ends_with_the_total_timeout,
    a_flood_is_refused,
    a_decompression_bomb_is_refused,
    redirects_are_not_followed,
    cookies_are_not_stored,
    a_body_after_head_is_not_the_next_response,
    invalid_utf_8_is_returned_unchanged,
    line_breaks_inject_no_headers,
    ambiguous_responses_affect_no_other,
    a_protocol_switch_affects_no_other_response,
)
