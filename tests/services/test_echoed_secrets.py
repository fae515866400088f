"""Secrets that a vendor repeats in its responses are masked in errors."""

from __future__ import annotations

import base64
import json
import pickle
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from moorage import (
    AuthenticationFailed,
    AwsSigV4,
    ConnectionFailed,
    ConnectorError,
    Credentials,
    FormFile,
    HmacSigning,
    OAuthCredentials,
    PaymentDeclined,
    Redaction,
    Request,
    Response,
    RetryPolicy,
    VendorFailed,
)
from moorage.domain.auth.sent_values import LARGEST_BODY
from moorage.domain.observation.call_events import CallFinished
from moorage.domain.secrets.sensitive import MASK
from tests.services.vat import vat
from tests.support.modes import sync_and_async
from tests.support.virtual_ports import PiecewiseBody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.modes import Harness

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced

SECRET = "kX9/vQ2+pL7wZ4=mN8tR3-canary"
OTHER_SECRET = "q7Jd-second+canary/F5sV1hB9"
GET = Request.get("/rates")

KINDS: dict[str, Any] = {
    "bearer": Credentials.bearer(SECRET),
    "basic": Credentials.basic("me", SECRET),
    "basic, a key as user": Credentials.basic(SECRET, "x"),
    "header": Credentials.api_key(SECRET, header="X-Whatever"),
    "query": Credentials.api_key(SECRET, query="whatever"),
    "access token": OAuthCredentials(access_token=SECRET, refresh_token=OTHER_SECRET),
    "refresh token": OAuthCredentials(access_token=OTHER_SECRET, refresh_token=SECRET),
    "signing key": Credentials.signed(
        AwsSigV4(access_key_id="AKIDEXAMPLE", region="eu-1", service="api"), SECRET
    ),
    "session token": Credentials.signed(
        AwsSigV4(access_key_id="AKIDEXAMPLE", region="eu-1", service="api", session_token=SECRET),
        OTHER_SECRET,
    ),
    "hmac key": Credentials.signed(
        HmacSigning(signs="{body}", headers={"X-Signature": "{signature}"}), SECRET
    ),
}


def secret_notations(secret: str) -> Iterator[str]:
    """Yield the notations in which a vendor may repeat a secret."""
    yield from (secret, secret.lower(), quote(secret, safe=""), f"Bearer {secret}")
    yield base64.b64encode(secret.encode()).decode()
    yield base64.b64encode(f"me:{secret}".encode()).decode()
    yield secret.encode().hex()
    yield "x" * 290 + secret


def shown_texts(error: ConnectorError) -> str:
    """Return everything that printing, pickling or inspecting an error shows."""
    reports = [
        str(error),
        repr(error),
        repr(error.args),
        repr(vars(error)),
        repr(pickle.dumps(error)),
    ]
    response: Response | None = getattr(error, "response", None)
    if response is not None:
        reports += [response.text, str(response.headers.pairs), f"{response.reason} {response.url}"]
    return "\n".join(reports)


def echoing_response(echo: str, status: int) -> Response:
    """Return an error response that repeats the request's secret in its body and headers."""
    table = {"error": {"code": "bad_key", "message": f"No such key: {echo}"}, "more": [echo]}
    fields = {"Location": f"https://x.example/?k={quote(echo)}", "X-Echo": echo}
    fields["Content-Type"] = "application/json"
    body = json.dumps(table).encode()
    return Response(status, fields, body, reason=f"No {echo}", url=f"https://x.example/{echo}")


@pytest.mark.parametrize("kind", KINDS)
@sync_and_async
async def test_echoed_credentials_are_masked(harness: Harness, kind: str) -> None:
    """A credential that the vendor echoes, in any notation, is masked in errors."""
    service = vat(credentials=KINDS[kind])
    manager = harness.manager(service)
    for status in (302, 400, 401, 404, 429, 503):
        for echo in secret_notations(SECRET):
            harness.vendor.answers(echoing_response(echo, status))
            with pytest.raises(ConnectorError) as excinfo:
                await manager.call("vat", GET)

            result = shown_texts(excinfo.value)
            assert echo not in result
            assert SECRET[:12] not in result
            assert MASK in result
            if status in {400, 401, 404}:
                assert "bad_key" == excinfo.value.vendor_code  # type: ignore[attr-defined]  # they have one


CARD = json.dumps({"card": SECRET}).encode()
REDACTION = Redaction(header_names={"X-Mine"}, query_names={"mine"}, body_keys={"card"})


@pytest.mark.parametrize(
    "request_",
    [
        GET.with_header("X-Mine", SECRET),
        GET.with_header("Authorization", f"Bearer {SECRET}"),
        GET.with_header(
            "Authorization", f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"
        ),
        GET.with_header("Cookie", f"session={SECRET}; lang=en"),
        Request.get("/rates", query={"mine": SECRET}),
        Request.get("/rates", query={"X-Amz-Signature": SECRET}),
        Request.post("/rates", json={"a": [{"card": SECRET}]}),
        Request.post("/rates", json={"pay": {"token": {"id": SECRET}}}),
        Request.post("/rates", form={"card": SECRET, "b": "c"}),
        Request.post("/rates", form={"card": SECRET}, files={"f": FormFile("a", b"data")}),
        Request.post(
            "/rates", form={}, files={"f": FormFile("a", json.dumps({"card": SECRET}).encode())}
        ),
        Request.post("/rates", body=f"<a><card>{SECRET}</card></a>".encode()),
    ],
    ids=str,
)
@sync_and_async
async def test_echoed_request_secrets_are_masked(harness: Harness, request_: Request) -> None:
    """Secrets that a request sent in fields with sensitive names are masked in errors."""
    manager = harness.manager(vat(redaction=REDACTION))
    for echo in (SECRET, quote(SECRET, safe=""), json.dumps(SECRET)):
        harness.vendor.answers(echoing_response(echo, 400))
        with pytest.raises(ConnectorError) as excinfo:
            await manager.call("vat", request_)

        assert SECRET not in shown_texts(excinfo.value)
        assert echo not in shown_texts(excinfo.value)


def find_decline(_: Request, response: Response) -> PaymentDeclined | None:
    """A classifier for a vendor that reports a declined payment with status 200."""
    if response.status != 200:
        return None
    words = response.text[:300]
    error = PaymentDeclined(words, vendor_message=words, response=response)
    error.add_note(words)
    vars(error).update(bytes=response.body, deep={"a": [words], words: (1, {words})})
    error.__cause__ = AuthenticationFailed(words)
    error.__context__ = ValueError("the host's own")
    return error


@sync_and_async
async def test_echoes_in_classified_errors_are_masked(harness: Harness) -> None:
    """Errors that a classifier creates are masked in all their fields."""
    manager = harness.manager(vat(credentials=KINDS["bearer"], classify=find_decline))
    harness.vendor.answers(echoing_response(SECRET, 200))
    with pytest.raises(PaymentDeclined) as excinfo:
        await manager.call("vat", GET)

    assert SECRET not in shown_texts(excinfo.value) + shown_texts(excinfo.value.__cause__)  # type: ignore[arg-type]  # it is one of ours
    assert MASK in excinfo.value.__notes__[0]


@sync_and_async
async def test_secrets_in_adapter_errors_are_masked(harness: Harness) -> None:
    """A secret in the text of an HTTP client's error is masked."""
    manager = harness.manager(vat(credentials=KINDS["bearer"]))
    for _ in range(2):
        harness.vendor.answers(ConnectionFailed(f"cut off after {SECRET}."))
        with pytest.raises(ConnectionFailed) as excinfo:
            await manager.call("vat", GET)

        assert f"cut off after {MASK}." == excinfo.value.message


@pytest.mark.parametrize("easy", [True, False])
@sync_and_async
async def test_echoed_tokens_in_urls_are_masked(harness: Harness, easy: bool) -> None:
    """A token in a service's URL or a request's path is masked like any credential."""
    bot = "AAHdqTcvCH1vGWJxfSeofSAs0K5"
    changes: dict[str, Any] = {} if easy else {"request_transforms": [lambda request: request]}
    for base, path, secret in (
        ("https://x.example/hooks/kX9vQ2pL7wZ4mN8tR3/", "/rates", "kX9vQ2pL7wZ4mN8tR3"),
        (f"https://x.example/bot110201543:{bot}", "/rates", bot),
        ("https://x.example", f"/bot110201543:{bot}/getMe", bot),
        ("https://x.example/token/c4n4ry-1", "/rates", "c4n4ry-1"),
    ):
        manager = harness.manager(vat(base_url=base, **changes))
        harness.vendor.answers(echoing_response(secret, 400))
        with pytest.raises(ConnectorError) as excinfo:
            await manager.call("vat", Request.get(path))

        assert secret not in shown_texts(excinfo.value)


@sync_and_async
async def test_echoes_in_refused_streams_are_masked(harness: Harness) -> None:
    """If a stream is refused before its body begins, the error is masked."""
    manager = harness.manager(vat(credentials=KINDS["bearer"]))
    for answer in (echoing_response(SECRET, 403), ConnectionFailed(f"no {SECRET}.")):
        harness.vendor.answers(answer)
        with pytest.raises(ConnectorError) as excinfo:
            await manager.stream("vat", GET)

        assert SECRET not in shown_texts(excinfo.value)
        assert MASK in shown_texts(excinfo.value)


@sync_and_async
async def test_echoes_in_broken_streams_are_masked(harness: Harness) -> None:
    """The error of a broken response body shows no secret to its reader or to observers."""
    manager = harness.watched(vat(credentials=KINDS["bearer"]))
    broken_error = ConnectionFailed(f"cut off after {SECRET}.")
    broken_error.__cause__ = VendorFailed(f"no {SECRET}.", vendor_message=SECRET)
    harness.vendor.answers(PiecewiseBody(200, (), b"a", broken_error))
    stream = await manager.stream("vat", GET)
    await stream.read()
    with pytest.raises(ConnectionFailed) as excinfo:
        await stream.read()

    assert f"cut off after {MASK}." == excinfo.value.message
    assert SECRET not in shown_texts(excinfo.value) + shown_texts(excinfo.value.__cause__)  # type: ignore[arg-type]  # it is one of ours
    (finished_event,) = [event for event in harness.events if isinstance(event, CallFinished)]
    assert SECRET not in repr(finished_event)


@sync_and_async
async def test_echoes_after_retries_are_masked(harness: Harness) -> None:
    """After several attempts, the last error is masked like a first one."""
    manager = harness.manager(vat(credentials=KINDS["bearer"], retry=RetryPolicy(3, 0)))
    harness.vendor.answers(*[echoing_response(SECRET, 503)] * 3)
    with pytest.raises(ConnectorError) as excinfo:
        await manager.call("vat", GET)

    assert SECRET not in shown_texts(excinfo.value)


@sync_and_async
async def test_masked_json_is_still_json(harness: Harness) -> None:
    """A masked number in JSON becomes a string, so the JSON stays valid."""
    manager = harness.manager(vat(credentials=Credentials.bearer("4711081547110815")))
    body = b'{"message": "no", "key": 4711081547110815, "list": [4711081547110815]}'
    harness.vendor.answers(Response(400, {"Content-Type": "application/json"}, body))
    with pytest.raises(ConnectorError) as excinfo:
        await manager.call("vat", GET)

    answer: Any = excinfo.value.response  # type: ignore[attr-defined]  # it has one
    assert {"message": "no", "key": MASK, "list": [MASK]} == answer.json()


@sync_and_async
async def test_long_error_bodies_are_truncated(harness: Harness) -> None:
    """An error keeps only the start of a long body, and is never cut within a secret."""
    manager = harness.manager(vat(credentials=KINDS["bearer"]))
    body = b" " * (LARGEST_BODY - 5) + SECRET.encode() + b" " * 9000
    harness.vendor.answers(Response(400, {}, body))
    with pytest.raises(ConnectorError) as excinfo:
        await manager.call("vat", GET)

    answer: Any = excinfo.value.response  # type: ignore[attr-defined]  # it has one
    assert len(answer.body) <= LARGEST_BODY
    assert "***" == answer.text.strip()


@sync_and_async
async def test_successful_responses_are_not_masked(harness: Harness) -> None:
    """A successful response is returned unchanged."""
    manager = harness.manager(vat(credentials=KINDS["bearer"]))
    harness.vendor.answers(echoing_response(SECRET, 200))

    assert SECRET in (await manager.call("vat", GET)).text
