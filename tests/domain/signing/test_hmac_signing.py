"""HMAC request signatures, compared with vendors' examples."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from moorage.domain.http.body import BodyStream
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.hmac_signing import HmacAlgorithm, HmacSigning
from moorage.errors import InvalidData

NOON = SigningContext(datetime(2026, 3, 1, 12, tzinfo=UTC), "n-1")
URL = "https://vendor.example/a"


def _signed_request(
    signing: HmacSigning, request: Request, key: str, context: SigningContext, base: str
) -> Request:
    return signing.sign(request, join_url(base, request), Secret(key), context)


def test_signs_as_duo_documents() -> None:
    """HMAC signing reproduces Duo's example: date, method, host, path and form, with SHA-1."""
    duo = HmacSigning(
        signs="{header:date}\n{method}\n{host}\n{path}\n{body}",
        headers={"X-Signature": "{signature}"},
        algorithm=HmacAlgorithm.SHA1_LEGACY,
    )
    request = Request.post(
        "/accounts/v1/account/list",
        headers={"Date": "Tue, 21 Aug 2012 17:29:18 -0000"},
        form={"realname": "First Last", "username": "root"},
    ).evolve(body=b"realname=First%20Last&username=root")
    key = "Zh5eGmUq9zpfQnyUIu5OL9iWoMMv5ZNmk3zLJ4Ep"
    signed_request = _signed_request(
        duo, request, key, NOON, "https://api-XXXXXXXX.duosecurity.com"
    )
    assert "2d97d6166319781b5a3a07af39d366f491234edc" == signed_request.headers["x-signature"]


def test_signs_as_s3_once_did() -> None:
    """HMAC signing reproduces AWS Signature Version 2: SHA-1 in Base64, after the key's name."""
    old_signing = HmacSigning(
        signs="{method}\n\n\n{header:date}\n/awsexamplebucket1{path}",
        headers={"Authorization": "AWS {key_id}:{signature}"},
        key_id="AKIAIOSFODNN7EXAMPLE",
        algorithm="sha1",
        encoding="base64",
    )
    request = Request.get("/photos/puppy.jpg", headers={"Date": "Tue, 27 Mar 2007 19:36:42 +0000"})
    key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    signed_request = _signed_request(
        old_signing, request, key, NOON, "https://awsexamplebucket1.s3.amazonaws.com"
    )
    assert (
        "AWS AKIAIOSFODNN7EXAMPLE:qgk2+6Sv9/oM7G3qLEjTH1a1l1g="
        == signed_request.headers["authorization"]
    )


def test_signs_as_binance_documents() -> None:
    """HMAC signing reproduces Binance's example: the query is signed with its timestamp."""
    binance = HmacSigning(
        signs="{query}",
        headers={"X-MBX-APIKEY": "{key_id}"},
        query={"timestamp": "{timestamp}", "signature": "{signature}"},
        key_id="vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
        timestamp="milliseconds",
    )
    request = Request.post(
        "/api/v3/order?symbol=LTCBTC&side=BUY&type=LIMIT",
        query={"timeInForce": "GTC", "quantity": "1", "price": "0.1", "recvWindow": "5000"},
    )
    time = datetime(2017, 7, 12, 2, 41, 59, 559_000, tzinfo=UTC)
    key = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    signed_request = _signed_request(
        binance, request, key, SigningContext(time, ""), "https://api.binance.com"
    )
    assert (
        ("timestamp", "1499827319559"),
        ("signature", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
    ) == signed_request.query[-2:]
    assert binance.key_id == signed_request.headers["x-mbx-apikey"]


def test_signs_as_slack_documents() -> None:
    """HMAC signing reproduces Slack's example: version, time and body."""
    slack = HmacSigning(
        signs="v0:{timestamp}:{body}",
        headers={
            "X-Slack-Signature": "v0={signature}",
            "X-Slack-Request-Timestamp": "{timestamp}",
        },
    )
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    context = SigningContext(datetime.fromtimestamp(1531420618, UTC), "")
    key = "8f742231b10e8888abcd99yyyzzz85a5"
    signed_request = _signed_request(slack, Request.post("/", body=body), key, context, URL)
    assert "1531420618" == signed_request.headers["x-slack-request-timestamp"]
    assert (
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
        == signed_request.headers["x-slack-signature"]
    )


def test_signs_with_sha_512() -> None:
    """HMAC signing with SHA-512 reproduces the second test case of RFC 4231."""
    signing = HmacSigning(signs="{body}", headers={"S": "{signature}"}, algorithm="sha512")
    request = Request.post("/", body=b"what do ya want for nothing?")
    assert (
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65"
        "f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
    ) == _signed_request(signing, request, "Jefe", NOON, URL).headers["s"]


@pytest.mark.parametrize(
    "signs, text",
    [
        ("{method} {url}", b"PUT https://vendor.example/a/b?c=%20&k=n-1"),
        ("{host}{path}?{query}", b"vendor.example/a/b?c=%20&k=n-1"),
        ("{nonce}{{{header:x-a}}}{header:x-time}", b"n-1{1, 2}2026-03-01T12:00:00Z"),
        ("{body_hash}", sha256(b"body").hexdigest().encode()),
    ],
)
def test_placeholders_are_filled_from_the_request(signs: str, text: bytes) -> None:
    """Each placeholder of a signing template is filled with the request's value as sent."""
    signing = HmacSigning(
        signs=signs,
        headers={"X-Time": "{timestamp}", "S": "{signature}"},
        query={"k": "{nonce}"},
        timestamp="iso",
    )
    plain_signing = HmacSigning(signs="{body}", headers={"S": "{signature}"})
    request = Request.put(
        "/b", query={"c": " "}, headers=[("X-A", "1"), ("x-a", "2")], body=b"body"
    )
    expected = _signed_request(plain_signing, request.evolve(body=text), "k", NOON, URL).headers[
        "s"
    ]
    assert expected == _signed_request(signing, request, "k", NOON, URL).headers["s"]


def test_added_query_parameter_is_in_the_signed_url() -> None:
    """A parameter that signing adds to a URL without a query is part of the signed URL."""
    signing = HmacSigning(signs="{url}", headers={"S": "{signature}"}, query={"k": "{nonce}"})
    plain_signing = HmacSigning(signs="{body}", headers={"S": "{signature}"})
    text = Request.post("/", body=b"https://vendor.example/a/b?k=n-1")
    expected = _signed_request(plain_signing, text, "k", NOON, URL).headers["s"]
    assert expected == _signed_request(signing, Request.get("/b"), "k", NOON, URL).headers["s"]


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize(
    "form, written",
    [
        ("seconds", "1772366400"),
        ("milliseconds", "1772366400000"),
        ("iso", "2026-03-01T12:00:00Z"),
        ("http_date", "Sun, 01 Mar 2026 12:00:00 GMT"),
    ],
)
def test_timestamp_is_written_in_the_configured_form(form: str, written: str) -> None:
    """A signing timestamp is written in the configured form."""
    signing = HmacSigning(
        signs="", headers={"T": "{timestamp}", "S": "{signature}"}, timestamp=form
    )
    assert written == _signed_request(signing, Request.get("/"), "k", NOON, URL).headers["t"]


def test_host_header_is_signed() -> None:
    """HMAC signing uses a request's own `Host` header instead of the URL's host."""
    signing = HmacSigning(signs="{host}", headers={"S": "{signature}"})
    with_host = _signed_request(
        signing, Request.get("/", headers={"Host": "h.example"}), "k", NOON, URL
    )
    direct = _signed_request(signing, Request.get("/"), "k", NOON, "https://h.example")
    assert direct.headers["s"] == with_host.headers["s"]


@pytest.mark.parametrize(
    "signing, request_, field",
    [
        ({"signs": "{body}"}, Request.put("/", body=BodyStream.of(lambda: [b""])), "body"),
        ({"signs": "{header:x-a}"}, Request.get("/"), "headers"),
        ({"signs": "", "query": {"k": "{nonce}"}}, Request.get("/?k="), "query"),
        ({"signs": "", "query": {"k": "{nonce}"}}, Request.get("/", query={"k": "1"}), "query"),
    ],
)
def test_unsignable_requests_are_refused(
    signing: dict[str, Any], request_: Request, field: str
) -> None:
    """A request is refused if it lacks a part to sign, or has a part that the signature adds."""
    with pytest.raises(InvalidData) as excinfo:
        _signed_request(
            HmacSigning(headers={"S": "{signature}"}, **signing), request_, "k", NOON, URL
        )
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "options, field",
    [
        ({"signs": "{signature}", "headers": {"S": "{signature}"}}, "signs"),
        ({"signs": "{", "headers": {"S": "{signature}"}}, "signs"),
        ({"signs": "{}", "headers": {"S": "{signature}"}}, "signs"),
        ({"signs": "{header}", "headers": {"S": "{signature}"}}, "signs"),
        ({"signs": "{path:x}", "headers": {"S": "{signature}"}}, "signs"),
        ({"signs": "{nonce!r}", "headers": {"S": "{signature}"}}, "signs"),
        ({"signs": "{header!s:date}", "headers": {"S": "{signature}"}}, "signs"),
        ({"signs": "", "headers": {"S": "{signature!a}"}}, "headers"),
        ({"signs": "", "headers": {"S": "{body}{signature}"}}, "headers"),
        ({"signs": "", "query": {"s": "{path}{signature}"}}, "query"),
        ({"signs": "", "headers": {"S": "{nonce}"}}, "headers"),
        ({"signs": "", "headers": {"S": "{signature}"}, "algorithm": "md5"}, "algorithm"),
        ({"signs": "", "headers": {"S": "{signature}"}, "encoding": "no"}, "encoding"),
        ({"signs": "", "headers": {"S": "{signature}"}, "timestamp": "no"}, "timestamp"),
        ({"signs": "", "headers": {"a b": "{signature}"}}, "headers"),
        ({"signs": "", "headers": 5}, "headers"),
        ({"signs": "", "headers": {"S": "{signature}"}, "query": 5}, "query"),
        ({"signs": "", "headers": {"S": "{signature}"}, "key_id": "a\n"}, "headers.key-id"),
    ],
)
def test_impossible_templates_are_refused(options: dict[str, Any], field: str) -> None:
    """A signing template that no request could fill is refused when it is created."""
    with pytest.raises(InvalidData) as excinfo:
        HmacSigning(**options)
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "signs, excerpt",
    [("{", "''"), ("{nonce!r}", "'nonce!r'"), ("{" + "a" * 81 + "}", repr("a" * 80))],
)
def test_unknown_placeholder_is_shown_shortened(signs: str, excerpt: str) -> None:
    """The error for an unknown placeholder shows at most eighty characters of the placeholder."""
    with pytest.raises(InvalidData) as excinfo:
        HmacSigning(signs=signs, headers={"S": "{signature}"})
    assert excinfo.value.message.startswith(f"{excerpt} is not a known placeholder of a template")
    assert str(excinfo.value.remedy).endswith(" {header:name}.")


def test_only_empty_keys_are_refused() -> None:
    """A signing key may have any length above zero, and any bytes."""
    signing = HmacSigning(signs="", headers={"S": "{signature}"})
    signing.check_key(Secret(b"\xff"))
    with pytest.raises(InvalidData) as excinfo:
        signing.check_key(Secret(""))
    assert "secret" == excinfo.value.field


def test_repr_hides_the_key_id() -> None:
    """The repr of an HMAC signing hides the key id, since some vendors put a secret there."""
    signing = HmacSigning(signs="", headers={"S": "{signature}"}, key_id="h1dden")
    assert "h1dden" not in repr(signing)
