"""Secrets that cassettes do not record: credentials, tokens and personal values."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from base64 import b64decode, b64encode
from typing import Any

import pytest

from moorage import (
    AsyncConnectorManager,
    ConfigurationError,
    ConnectorManager,
    Credentials,
    Service,
    VendorRejected,
)
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import Request, Response
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.proof_refusals import ProofRefusal, nonce_of, refusal_of
from moorage.testing.cassettes.cassette import Mode, NotRecorded
from moorage.testing.fakes.clock import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
from moorage.testing.fakes.faults import AsyncFaultNetwork, FaultNetwork, FaultSchedule
from moorage.testing.fakes.http import (
    as_bytes,
)
from tests.testing.cassette_recorder import (
    HOST,
    TIMEOUTS,
    Recorder,
    get_request,
    post_request,
    recorder,
)
from tests.testing.modes import await_if_needed

__all__ = ["recorder"]


_PACKED = json.dumps({"access_token": "canary-packed-token"}).encode()
BASIC = b64encode(b"canary-basic-user:canary-basic-password").decode()
PART = (
    b'--edge-1\r\nContent-Disposition: form-data; name="password"\r\n\r\ncanary-part\r\n'
    b'--edge-1\r\nContent-Disposition: form-data; name="f"; filename="a.json"\r\n'
    b'Content-Type: application/json\r\n\r\n{"api_key": "canary-file", "a": 1}\r\n'
    b'--edge-1\r\nContent-Disposition: form-data; name="picture"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89\xff canary-certain \r\n--edge-1--\r\n"
)

SENT: list[tuple[Request, str]] = [
    get_request("/a", headers={"Authorization": "Bearer canary-bearer"}),
    get_request("/b", headers={"Authorization": f"Basic {BASIC}"}),
    get_request("/c", headers={"Authorization": "Basic canary-not-base64"}),
    get_request("/d", headers={"X-Api-Key": "canary-api-key", "X-Plain": "is canary-api-key"}),
    get_request("/e", headers={"Cookie": "sid=canary-cookie; theme=canary-theme"}),
    get_request("/f", headers={"X-House-Rule": "canary-house-rule"}),
    get_request("/g?access_token=canary-query&x=1"),
    (Request.get("/h"), "https://canary-user:canary-password@api.example/h"),
    (Request.get("/i"), f"{HOST}/i#id_token=canary-fragment"),
    get_request("/j/canary-certain/canary%2Dcertain/x", headers={"X-Plain": "a canary-certain b"}),
    post_request("/k", json={"a": [{"client_secret": "canary-json", "deep": {"pin": 4711}}]}),
    post_request("/l", json={"passwords": ["canary-list", {"x": "canary-nested"}], "b": 2}),
    post_request("/m", json={"note": "canary-house-body", "house_body": "canary-house-body"}),
    post_request("/n", form={"client_secret": "canary-form", "a": "see canary-form here"}),
    post_request("/o", body=PART, headers={"Content-Type": "multipart/form-data; boundary=edge-1"}),
    post_request(
        "/p",
        body=b"<a><ns:Password type='x'>canary-xml</ns:Password><b>canary-xml</b></a>",
        headers={"Content-Type": "text/xml"},
    ),
    post_request("/q", body=b"password: canary-text", headers={"Content-Type": "text/plain"}),
    post_request("/r", body=b"\xff\xfe canary-certain"),
    post_request("/s", body=b"\xff\xfe" + "canary-certain".encode("utf-16-le")),
    post_request(
        "/t",
        body='{"token": "canary-wide"}'.encode("utf-16"),
        headers={"Content-Type": "application/json"},
    ),
    post_request(
        "/u",
        body=gzip.compress(b'{"token": "canary-zipped"}'),
        headers={"Content-Encoding": "gzip"},
    ),
    post_request("/u2", body=zlib.compress(b"canary-zip"), headers={"Content-Encoding": "deflate"}),
    post_request("/v", body=b'{"token": "canary-untyped"}'),
    post_request("/w", json={"sum": 12345678, "x": "c\u00e4n\u00e4ry/certain"}),
    post_request("/x", json={"card": 4242424242424242, "iban": "DE89370400440532013000"}),
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


def test_secrets_in_all_places_are_masked(recorder: Recorder) -> None:
    """No secret from headers, URLs, bodies, cookies, responses or echoes is in the cassette."""
    recording = _with_canaries(recorder)

    assert [] == re.findall(r"(?i)canary[-\w]*|c\\u00e4n\\u00e4ry|cänäry[^\"]*", recording)
    assert [] == re.findall("4711|12345678|4242424242424242|DE89370400440532013000", recording)
    bodies = [
        b64decode("".join(exchange[side].get("body", {}).get("base64", "")))
        for exchange in json.loads(recording)["exchanges"]
        for side in ("request", "answer")
    ]
    assert any(bodies)
    for spelling in (b"canary", "canary".encode("utf-16-le")):
        assert [] == [body for body in bodies if spelling in body]


def test_masked_exchanges_can_be_replayed(recorder: Recorder) -> None:
    """A masked exchange matches the same requests as before, and masked JSON stays valid."""
    _with_canaries(recorder)

    answers = recorder.replay(*SENT, redaction=RULES, secrets=SECRETS)

    assert [200, 200, 200, 401] == [answer.status for answer in answers[:4]]
    assert {"a": "***", "b": "***"} == answers[1].json()
    assert "***" == answers[2].json()


def test_compressed_bodies_are_masked_inside(recorder: Recorder) -> None:
    """A secret in a gzip body is masked, and the body is replayed as gzip."""
    zipped_body = gzip.compress(b'{"token": "canary-zipped", "a": 1}')
    recorder.vendor.queue(Response(200, {"Content-Type": "application/gzip"}, zipped_body))
    recording = recorder.record(get_request())

    (answer,) = recorder.replay(get_request())

    assert '"coding": "gzip"' in recording
    assert {"token": "***", "a": 1} == json.loads(gzip.decompress(answer.body))


def test_replay_works_with_other_credentials(recorder: Recorder) -> None:
    """A cassette can be replayed with other credentials than it was recorded with."""
    _with_canaries(recorder)
    other_secrets = [
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

    answers = recorder.replay(*other_secrets, redaction=RULES)

    assert [200, 200, 200, 401] == [answer.status for answer in answers[:4]]


def test_token_in_response_is_masked_in_earlier_and_later_requests(recorder: Recorder) -> None:
    """A token in a response is masked in earlier and later requests, too."""
    recorder.vendor.respond_json({"access_token": "swordfish-1"})
    recorder.vendor.always(Response(200))
    login, use = (
        post_request("/login", json={"a": "b"}),
        get_request("/x/swordfish-1?ref=swordfish-1"),
    )

    recording = recorder.record(login, use, post_request("/y", body=b"plain swordfish-1"))

    assert "swordfish" not in recording
    (token,) = recorder.replay(login)
    assert "***" == token.json()["access_token"]
    assert [200] == [item.status for item in recorder.replay(get_request("/x/***?ref=***"))]


def test_secret_learnt_during_the_recording_can_be_masked(recorder: Recorder) -> None:
    """A secret that the test learns during the recording can be masked."""
    recorder.vendor.always(Response(200))
    with recorder.cassette() as cassette:
        await_if_needed(recorder.client(cassette).send(*get_request("/x/swordfish"), TIMEOUTS))
        cassette.hide(Secret("swordfish"))

    assert "swordfish" not in recorder.path.read_text("utf-8")


@pytest.mark.parametrize(
    "value",
    ["short", "customer", "Bearer", "true", "20260101", "1.0", "https://auth.example/token"],
)
def test_common_words_are_not_masked(recorder: Recorder, value: str) -> None:
    """A common word, number or URL that is sent as a credential is not masked elsewhere."""
    recorder.vendor.respond_json({"token_type": value, "other": value})

    assert f'"other": "{value}"' in recorder.record(get_request())


def test_longer_word_that_contains_masked_value_is_not_masked(recorder: Recorder) -> None:
    """A longer word that contains a masked value is not masked."""
    recorder.vendor.respond_json({"key": "abc-1", "list": ["abc-12", "xabc-1", "an abc-1."]})
    recorder.vendor.respond_json({"key": "abcd-1", "list": ["abcd-12", "xabcd-1", "an abcd-1."]})
    recording = json.loads(recorder.record(get_request(), get_request()))

    bodies = [exchange["answer"]["body"]["json"]["list"] for exchange in recording["exchanges"]]

    assert [
        ["abc-12", "xabc-1", "an abc-1."],
        ["abcd-12", "xabcd-1", "an ***."],
    ] == bodies


def test_cassette_repr_and_errors_show_no_secret(recorder: Recorder) -> None:
    """Neither the repr of a cassette nor the error for an unknown request shows a secret."""
    cassette = recorder.cassette(secrets=[Secret("swordfish")], mode="replay")
    request = Request.post("/x", json={"token": "swordfish-1"}, headers={"Cookie": "swordfish-2"})

    with pytest.raises(NotRecorded) as info:
        await_if_needed(recorder.client(cassette).send(request, f"{HOST}/x?q=swordfish", TIMEOUTS))

    assert "swordfish" not in f"{info.value}{info.value!r}{cassette!r}"


def test_proofs_are_masked_and_nonce_requests_replayed(recorder: Recorder) -> None:
    """A DPoP proof is masked, and a server's request for a nonce is replayed."""
    fields = {"WWW-Authenticate": 'DPoP realm="r", error="use_dpop_nonce"', "DPoP-Nonce": "n-1"}
    recorder.vendor.queue(Response(401, fields))

    recording = recorder.record(
        get_request(headers={"DPoP": "cafe.babe.f00d", "Authorization": "DPoP tok"})
    )
    (replayed_response,) = recorder.replay(get_request())

    assert not [word for word in ("cafe", "babe", "f00d", "tok", "n-1") if word in recording]
    assert ProofRefusal.NONCE is refusal_of(replayed_response.headers)
    assert nonce_of(replayed_response.headers) is not None


KEY = "kX9vQ2pL7wZ4mN8tR3-canary"
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


def _echo(request: Request, url: str) -> Response:
    text = f"{url} {[*request.headers.pairs]} {as_bytes(request)!r}"
    return Response(400, {"X-Told": url.partition("//")[2]}, text.encode(), reason="No")


@pytest.mark.parametrize(
    "requests",
    [
        get_request("/a", headers={"X-Acme": KEY}),
        get_request("/a", headers={"X-Acme": f"Acme {KEY}"}),
        get_request("/a", headers={"Acme": "letmein"}),
        get_request(f"/a?k={KEY}"),
        get_request("/a?user=3f9c2b7d-canary"),
        get_request(f"/bot{TOKEN}/send"),
        post_request("/a", body=f"see {KEY}".encode(), headers={"X-Acme": KEY}),
    ],
    ids=lambda requests: requests[1],
)
def test_values_that_look_like_secrets_are_masked(
    recorder: Recorder, requests: tuple[Request, str]
) -> None:
    """Values that look like secrets are masked in headers, queries and the URL paths of bots."""
    recorder.vendor.always(
        _echo if KEY in repr(requests) or TOKEN in requests[1] else Response(400)
    )
    recording = recorder.record(requests)

    assert [] == [word for word in (KEY, KEY[:12], "letmein", "3f9c", TOKEN) if word in recording]
    assert [400] == [answer.status for answer in recorder.replay(requests)]


def test_query_stays_readable_and_distinguishes_values(recorder: Recorder) -> None:
    """Words, numbers and dates are not masked, and different secrets stay distinguishable."""
    plain_url = "/a?status=paid&limit=100&from=2026-01-31&to=2026-01-31T10:00:00Z&fields=&flag"
    first, second = "/a?customer=cus_9s6XKzkNRiz8i3", "/a?customer=cus_NffrFeUfNV2Hib"
    recorder.vendor.queue(*map(Response, (200, 201, 202)))
    recording = recorder.record(get_request(plain_url), get_request(first), get_request(second))

    assert plain_url in recording
    assert "cus_" not in recording
    answers = recorder.replay(get_request(second), get_request(first), get_request(plain_url))
    assert [202, 201, 200] == [answer.status for answer in answers]


def test_ordinary_headers_are_recorded(recorder: Recorder) -> None:
    """The usual headers of HTTP, and headers with correlation ids, are not masked."""
    plain_fields = {
        "Accept": "text/html",
        "If-None-Match": '"v1"',
        "Idempotency-Key": "order-1",
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    recorder.vendor.always(Response(200))
    recording = json.loads(recorder.record(get_request(headers={**plain_fields, "X-Acme": "acme"})))

    reports = [f"{name}: {value}" for name, value in plain_fields.items()]
    assert [*reports, "X-Acme: ***"] == recording["exchanges"][0]["request"]["headers"]


def test_older_unmasked_cassette_is_replayed(recorder: Recorder) -> None:
    """A cassette that was recorded before a value was masked can still be replayed."""
    recorder.path.parent.mkdir()
    request = {"method": "GET", "url": f"{HOST}/a?customer=cus_9s6XKzkNRiz8i3", "body": {}}
    tape = {"version": 1, "exchanges": [{"request": request, "answer": {"status": 200}}]}
    recorder.path.write_text(json.dumps(tape))

    assert [200] == [
        item.status for item in recorder.replay(get_request("/a?customer=cus_9s6XKzkNRiz8i3"))
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
    """A manager's credentials are masked in all parts of a cassette."""
    provided = existing in {"provided", "faulty"}
    fields: dict[str, Any] = (
        {"needs_credentials": True} if provided else {"credentials": CREDENTIALS[kind]}
    )
    faulty = existing == "faulty"
    if existing == "general":
        fields["request_transforms"] = (lambda request: request,)
    service = Service("vat", f"{HOST}/v1", **fields)
    recorder.vendor.always(_echo)

    def record_call(mode: Mode) -> Any:
        with recorder.cassette(mode) as cassette:
            kind_of = AsyncConnectorManager if recorder.is_async else ConnectorManager
            provider_of = (
                AsyncMemoryCredentialProvider if recorder.is_async else MemoryCredentialProvider
            )
            provider: Any = provider_of()
            await_if_needed(provider.rotate("vat", None, CREDENTIALS[kind]))
            client: Any = recorder.client(cassette)
            if faulty:
                clock, none = VirtualClock(), FaultSchedule()
                client = (
                    AsyncFaultNetwork(client, none, sleeper=AsyncVirtualSleeper(clock))
                    if recorder.is_async
                    else FaultNetwork(client, none, sleeper=VirtualSleeper(clock))
                )
            manager: Any = kind_of([service], http=client, credentials=provider)
            with pytest.raises(VendorRejected) as excinfo:
                await_if_needed(
                    manager.call("vat", Request.get(f"/a/{WORD}", query={"q": f"is {WORD}"}))
                )
            with pytest.raises(VendorRejected):
                await_if_needed(manager.stream("vat", Request.get("/b", query={"q": WORD})))
            return excinfo.value.status

    assert 400 == record_call("record")
    recording = recorder.path.read_text("utf-8")
    assert WORD not in recording
    assert "/a/***" in recording
    assert 400 == record_call("replay")


@pytest.mark.parametrize(
    "coding, packed_body",
    [
        ("deflate", zlib.compress(_PACKED)),
        ("deflate", zlib.compress(_PACKED)[2:-4]),
        ("gzip", gzip.compress(_PACKED)[:-8]),
    ],
    ids=["deflate", "deflate without a header", "gzip that was cut off"],
)
def test_secrets_in_compressed_responses_are_masked(
    recorder: Recorder, coding: str, packed_body: bytes
) -> None:
    """The secrets of a compressed response are masked, and the response stays compressed."""
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    recorder.vendor.always(Response(200, headers, packed_body))
    call = (Request.get("/"), f"{HOST}/token")

    assert '"access_token": "***"' in recorder.record(call)
    (answer,) = recorder.replay(call)
    assert {"access_token": "***"} == json.loads(zlib.decompress(answer.body, 47))


def test_code_in_a_redirect_is_masked(recorder: Recorder) -> None:
    """A code in the query of a redirect is not recorded."""
    recorder.vendor.always(Response(302, {"Location": "https://app.example/?code=k9fJ2mQz7Xw4Lp8"}))

    assert "k9fJ2mQz7Xw4Lp8" not in recorder.record((Request.get("/"), f"{HOST}/login"))


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br"])
def test_response_whose_compression_is_unknown_is_not_recorded(
    recorder: Recorder, coding: str
) -> None:
    """A response in which no secret could be found is refused, and no file is written."""
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    recorder.vendor.always(Response(200, headers, b"\x1b\xff\x00\x80" + _PACKED))

    with pytest.raises(ConfigurationError, match=f"compressed with '{coding}'"):
        recorder.record((Request.get("/"), f"{HOST}/token"))
    assert not recorder.path.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "password", "value": "k9f J2"},
        {"value": "k9f J2", "name": "password"},
        {"key": "api_key", "value": {"parts": ["k9f J2"]}},
    ],
    ids=["name first", "value first", "nested"],
)
def test_values_beside_the_names_of_credentials_are_masked(
    recorder: Recorder, fields: dict[str, Any]
) -> None:
    """In a list of names with values, the values of credentials are masked."""
    city = {"name": "city", "value": "Oslo"}
    recorder.vendor.respond_json([fields, city])

    recording = recorder.record((Request.get("/"), f"{HOST}/settings"))
    assert "k9f J2" not in recording
    assert "Oslo" in recording
