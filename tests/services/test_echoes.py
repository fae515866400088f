"""Credentials that a vendor echoes are masked in errors."""

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
from moorage.domain.observation.events import CallFinished
from moorage.domain.secrets.sensitive import MASK
from tests.services.vat import vat
from tests.support.modes import Arriving, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.modes import World

SECRET = "kX9/vQ2+pL7wZ4=mN8tR3-canary"
OTHER = "q7Jd-second+canary/F5sV1hB9"
GET = Request.get("/rates")

KINDS: dict[str, Any] = {
    "bearer": Credentials.bearer(SECRET),
    "basic": Credentials.basic("me", SECRET),
    "basic, a key as user": Credentials.basic(SECRET, "x"),
    "header": Credentials.api_key(SECRET, header="X-Whatever"),
    "query": Credentials.api_key(SECRET, query="whatever"),
    "access token": OAuthCredentials(access_token=SECRET, refresh_token=OTHER),
    "refresh token": OAuthCredentials(access_token=OTHER, refresh_token=SECRET),
    "signing key": Credentials.signed(
        AwsSigV4(access_key_id="AKIDEXAMPLE", region="eu-1", service="api"), SECRET
    ),
    "session token": Credentials.signed(
        AwsSigV4(access_key_id="AKIDEXAMPLE", region="eu-1", service="api", session_token=SECRET),
        OTHER,
    ),
    "hmac key": Credentials.signed(
        HmacSigning(signs="{body}", headers={"X-Signature": "{signature}"}), SECRET
    ),
}


def shapes(secret: str) -> Iterator[str]:
    """Ways of echoing a secret."""
    yield from (secret, secret.lower(), quote(secret, safe=""), f"Bearer {secret}")
    yield base64.b64encode(secret.encode()).decode()
    yield base64.b64encode(f"me:{secret}".encode()).decode()
    yield secret.encode().hex()
    yield "x" * 290 + secret


def traces(error: ConnectorError) -> str:
    """Everything that an error tells, to whomever."""
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


def echoing(echo: str, status: int) -> Response:
    """An answer that repeats what it got, in all places."""
    table = {"error": {"code": "bad_key", "message": f"No such key: {echo}"}, "more": [echo]}
    fields = {"Location": f"https://x.example/?k={quote(echo)}", "X-Echo": echo}
    fields["Content-Type"] = "application/json"
    body = json.dumps(table).encode()
    return Response(status, fields, body, reason=f"No {echo}", url=f"https://x.example/{echo}")


@pytest.mark.parametrize("kind", KINDS)
@sync_and_async
async def test_echoed_credentials_are_masked(world: World, kind: str) -> None:
    """Whatever the status and notation of an echo, no error holds the credential."""
    service = vat(credentials=KINDS[kind])
    manager = world.manager(service)
    for status in (302, 400, 401, 404, 429, 503):
        for echo in shapes(SECRET):
            world.vendor.answers(echoing(echo, status))
            with pytest.raises(ConnectorError) as caught:
                await manager.call("vat", GET)

            result = traces(caught.value)
            assert echo not in result
            assert SECRET[:12] not in result
            assert MASK in result
            if status in {400, 401, 404}:
                assert "bad_key" == caught.value.vendor_code  # type: ignore[attr-defined]  # they have one


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
async def test_echoed_request_secrets_are_masked(world: World, request_: Request) -> None:
    """Secrets that a request sent under sensitive names are masked in errors."""
    manager = world.manager(vat(redaction=REDACTION))
    for echo in (SECRET, quote(SECRET, safe=""), json.dumps(SECRET)):
        world.vendor.answers(echoing(echo, 400))
        with pytest.raises(ConnectorError) as caught:
            await manager.call("vat", request_)

        assert SECRET not in traces(caught.value)
        assert echo not in traces(caught.value)


def failing(_: Request, response: Response) -> PaymentDeclined | None:
    """A vendor that answers 200 to a refusal."""
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
async def test_a_failure_in_a_success_does_not_bring_it_back(world: World) -> None:
    """Errors that a service's classifier makes of any answer are masked in all their fields."""
    manager = world.manager(vat(credentials=KINDS["bearer"], classify=failing))
    world.vendor.answers(echoing(SECRET, 200))
    with pytest.raises(PaymentDeclined) as caught:
        await manager.call("vat", GET)

    assert SECRET not in traces(caught.value) + traces(caught.value.__cause__)  # type: ignore[arg-type]  # it is one of ours
    assert MASK in caught.value.__notes__[0]


@sync_and_async
async def test_secrets_in_adapter_errors_are_masked(world: World) -> None:
    """A secret in the error text of an HTTP client is masked too."""
    manager = world.manager(vat(credentials=KINDS["bearer"]))
    for _ in range(2):
        world.vendor.answers(ConnectionFailed(f"cut off after {SECRET}."))
        with pytest.raises(ConnectionFailed) as caught:
            await manager.call("vat", GET)

        assert f"cut off after {MASK}." == caught.value.message


@pytest.mark.parametrize("easy", [True, False])
@sync_and_async
async def test_a_token_in_a_path_does_not_come_back(world: World, easy: bool) -> None:
    """A token in the URL of a service, or of a bot in any path, is a credential like any other."""
    bot = "AAHdqTcvCH1vGWJxfSeofSAs0K5"
    changes: dict[str, Any] = {} if easy else {"request_transforms": [lambda request: request]}
    for base, path, secret in (
        ("https://x.example/hooks/kX9vQ2pL7wZ4mN8tR3/", "/rates", "kX9vQ2pL7wZ4mN8tR3"),
        (f"https://x.example/bot110201543:{bot}", "/rates", bot),
        ("https://x.example", f"/bot110201543:{bot}/getMe", bot),
        ("https://x.example/token/c4n4ry-1", "/rates", "c4n4ry-1"),
    ):
        manager = world.manager(vat(base_url=base, **changes))
        world.vendor.answers(echoing(secret, 400))
        with pytest.raises(ConnectorError) as caught:
            await manager.call("vat", Request.get(path))

        assert secret not in traces(caught.value)


@sync_and_async
async def test_a_stream_does_not_bring_it_back(world: World) -> None:
    """A stream that is refused at its headers tells as little as any other answer."""
    manager = world.manager(vat(credentials=KINDS["bearer"]))
    for answer in (echoing(SECRET, 403), ConnectionFailed(f"no {SECRET}.")):
        world.vendor.answers(answer)
        with pytest.raises(ConnectorError) as caught:
            await manager.stream("vat", GET)

        assert SECRET not in traces(caught.value)
        assert MASK in traces(caught.value)


@sync_and_async
async def test_reading_a_stream_does_not_bring_it_back(world: World) -> None:
    """A body that breaks off tells nothing of what was sent, neither its reader nor observers."""
    manager = world.watched(vat(credentials=KINDS["bearer"]))
    broken = ConnectionFailed(f"cut off after {SECRET}.")
    broken.__cause__ = VendorFailed(f"no {SECRET}.", vendor_message=SECRET)
    world.vendor.answers(Arriving(200, (), b"a", broken))
    stream = await manager.stream("vat", GET)
    await stream.read()
    with pytest.raises(ConnectionFailed) as caught:
        await stream.read()

    assert f"cut off after {MASK}." == caught.value.message
    assert SECRET not in traces(caught.value) + traces(caught.value.__cause__)  # type: ignore[arg-type]  # it is one of ours
    (finished,) = [event for event in world.events if isinstance(event, CallFinished)]
    assert SECRET not in repr(finished)


@sync_and_async
async def test_a_retried_call_does_not_bring_it_back(world: World) -> None:
    """The error of the last of several attempts is masked like that of the first."""
    manager = world.manager(vat(credentials=KINDS["bearer"], retry=RetryPolicy(3, 0)))
    world.vendor.answers(*[echoing(SECRET, 503)] * 3)
    with pytest.raises(ConnectorError) as caught:
        await manager.call("vat", GET)

    assert SECRET not in traces(caught.value)


@sync_and_async
async def test_masked_json_is_still_json(world: World) -> None:
    """A number that was a secret becomes a text."""
    manager = world.manager(vat(credentials=Credentials.bearer("4711081547110815")))
    body = b'{"message": "no", "key": 4711081547110815, "list": [4711081547110815]}'
    world.vendor.answers(Response(400, {"Content-Type": "application/json"}, body))
    with pytest.raises(ConnectorError) as caught:
        await manager.call("vat", GET)

    answer: Any = caught.value.response  # type: ignore[attr-defined]  # it has one
    assert {"message": "no", "key": MASK, "list": [MASK]} == answer.json()


@sync_and_async
async def test_long_failures_are_cut(world: World) -> None:
    """Only the beginning of a failure's body is kept, and no half of a secret at its end."""
    manager = world.manager(vat(credentials=KINDS["bearer"]))
    body = b" " * (LARGEST_BODY - 5) + SECRET.encode() + b" " * 9000
    world.vendor.answers(Response(400, {}, body))
    with pytest.raises(ConnectorError) as caught:
        await manager.call("vat", GET)

    answer: Any = caught.value.response  # type: ignore[attr-defined]  # it has one
    assert len(answer.body) <= LARGEST_BODY
    assert "***" == answer.text.strip()


@sync_and_async
async def test_a_success_is_left_alone(world: World) -> None:
    """An answer that is what was asked for is the caller's, whatever it says."""
    manager = world.manager(vat(credentials=KINDS["bearer"]))
    world.vendor.answers(echoing(SECRET, 200))

    assert SECRET in (await manager.call("vat", GET)).text
