"""AWS Signature Version 4, compared with AWS's published suite and S3's examples."""

from __future__ import annotations

import hmac
import json
import traceback
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from moorage.domain.http.body import BodyStream
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext, Target
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.errors import ConfigurationError, InvalidData

# All cases of the published suite except `get-header-value-multiline`: a header folded over several
# lines is obsolete, and moorage's requests cannot contain one.
VECTORS = json.loads(Path(__file__).with_name("sigv4_vectors.json").read_text(encoding="utf-8"))
SUITE_KEY = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
BASE = "https://example.amazonaws.com"

S3_KEY = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
S3_TIME = datetime(2013, 5, 24, tzinfo=UTC)
S3_BASE = "https://examplebucket.s3.amazonaws.com"
S3 = AwsSigV4(access_key_id="AKIAIOSFODNN7EXAMPLE", region="us-east-1", service="s3")


def _suite(case: dict[str, Any]) -> tuple[AwsSigV4, Request, str]:
    signing = AwsSigV4(
        access_key_id="AKIDEXAMPLE",
        region="us-east-1",
        service="service",
        session_token=case["token"],
        sign_session_token=not case["late"],
        normalise_path=case["normalise"],
        # The suite contains its paths without percent-encoding.
        encode_path_twice=False,
    )
    path, space, query_part = case["path"].partition(" ")
    path = f"{path}%20{query_part}" if space else path
    is_relative = "/." in path  # a request refuses such a path, so only the URL contains it
    request = Request(
        case["method"],
        "/" if is_relative else path,
        headers=case["headers"],
        body=case["body"].encode(),
    )
    return signing, request, f"{BASE}{path}" if is_relative else join_url(BASE, request)


def _signature(request: Request) -> str:
    return request.headers["authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: str(case["name"]))
def test_each_request_of_aws_suite_gets_published_signature(case: dict[str, Any]) -> None:
    """Each request of AWS's suite gets the published signature, and its token if there is one."""
    signing, request, url = _suite(case)
    if case["hash_header"]:
        body = request.body
        assert isinstance(body, bytes)
        request = request.with_header("x-amz-content-sha256", sha256(body).hexdigest())
    signed_request = signing.sign(request, url, SUITE_KEY, SigningContext(SUITE_TIME, "unused"))
    assert case["header_signature"] == _signature(signed_request)
    assert case["token"] == signed_request.headers.get("x-amz-security-token")
    assert "20150830T123600Z" == signed_request.headers["x-amz-date"]


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: str(case["name"]))
def test_signs_the_query_as_the_suite_does(case: dict[str, Any]) -> None:
    """Each request of AWS's suite gets the published presigned URL, with its token."""
    signing, request, url = _suite(case)
    signed_url = signing.presign(request, url, SUITE_KEY, SUITE_TIME, expires=3600)
    assert case["query_signature"] == signed_url.rpartition("&X-Amz-Signature=")[2]
    token = parse_qs(urlsplit(signed_url).query).get("X-Amz-Security-Token")
    assert (case["token"] and [case["token"]]) == token
    separator = "&" if "?" in url else "?"
    assert signed_url.startswith(f"{url}{separator}X-Amz-Algorithm=AWS4-HMAC-SHA256&")


@pytest.mark.parametrize(
    "request_, signature",
    [
        (
            Request.get("/test.txt", headers={"Range": "bytes=0-9"}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            Request.put(
                "/test$file.text",
                headers={
                    "Date": "Fri, 24 May 2013 00:00:00 GMT",
                    "x-amz-storage-class": "REDUCED_REDUNDANCY",
                },
                body=b"Welcome to Amazon S3.",
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            Request.get("/?lifecycle"),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            Request.get("/", query={"max-keys": "2", "prefix": "J"}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_signs_as_s3_documents(request_: Request, signature: str) -> None:
    """S3's documented requests get the documented signatures, and a header with the body's hash."""
    signed_request = S3.sign(
        request_, join_url(S3_BASE, request_), S3_KEY, SigningContext(S3_TIME, "")
    )
    assert signature == _signature(signed_request)
    assert isinstance(request_.body, bytes)
    assert sha256(request_.body).hexdigest() == signed_request.headers["x-amz-content-sha256"]


def test_cached_key_signs_on_other_days() -> None:
    """An AWS key can be used on several days, and signs correctly on each."""
    request = Request.get("/?lifecycle")
    url = join_url(S3_BASE, request)
    used_secret = Secret(S3_KEY.reveal())
    for now in (S3_TIME, SUITE_TIME, S3_TIME):
        fresh_secret = Secret(S3_KEY.reveal())
        signed_request, anew_request = (
            S3.sign(request, url, key, SigningContext(now, ""))
            for key in (used_secret, fresh_secret)
        )
        assert _signature(anew_request) == _signature(signed_request)
    assert _signature(signed_request).startswith("fea454ca298b7da1c68078a5d1bdbfbb")


def test_documented_presigned_url() -> None:
    """S3's example of a presigned URL gets the documented signature, whatever the body."""
    for body in (b"", b"later"):
        request = Request("GET", "/test.txt", body=body)
        url = S3.presign(request, join_url(S3_BASE, request), S3_KEY, S3_TIME, expires=86400)
        assert url.endswith("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize("token", [None, "IQoJb3JpZ2luX2Vj"])
def test_policy_of_an_upload_form_has_the_conditions_and_signing_fields(token: str | None) -> None:
    """An S3 upload form's signed policy has the given conditions and the signing fields."""
    eastern = datetime(2013, 5, 24, 2, tzinfo=timezone(timedelta(hours=2)))
    signing = attrs.evolve(S3, session_token=token)
    fields = signing.sign_form([{"bucket": "b"}, ["eq", "$key", "ä"]], S3_KEY, eastern, expires=90)

    signing_fields = [
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"),
        ("x-amz-date", "20130524T000000Z"),
        *([] if token is None else [("x-amz-security-token", token)]),
    ]
    assert [*signing_fields, ("policy", fields[-2][1]), ("x-amz-signature", fields[-1][1])] == list(
        fields
    )
    assert {
        "expiration": "2013-05-24T00:01:30Z",
        "conditions": [
            {"bucket": "b"},
            ["eq", "$key", "ä"],
            *({name: value} for name, value in signing_fields),
        ],
    } == json.loads(b64decode(fields[-2][1], validate=True))
    key = b"AWS4" + S3_KEY.reveal_bytes()
    for part in ("20130524", "us-east-1", "s3", "aws4_request", fields[-2][1]):
        key = hmac.digest(key, part.encode(), "sha256")
    assert key.hex() == fields[-1][1]


def test_signing_again_replaces_the_signature() -> None:
    """If a signed AWS request is signed with another token, the first signature is replaced."""
    signer = AwsSigV4(access_key_id="A", region="r", service="s3", session_token="t1")
    request = Request.get("/a")
    url = join_url(S3_BASE, request)
    context = SigningContext(S3_TIME, "")
    first = signer.sign(request, url, S3_KEY, SigningContext(SUITE_TIME, ""))
    assert S3.sign(request, url, S3_KEY, context) == S3.sign(first, url, S3_KEY, context)


def test_s3_accepts_unsigned_stream() -> None:
    """S3 accepts an unsigned stream; other AWS services need the body's hash as a header."""
    request = Request.put("/a", body=BodyStream.of(lambda: [b"x"]))
    url = join_url(S3_BASE, request)
    context = SigningContext(S3_TIME, "")
    signed_request = S3.sign(request, url, S3_KEY, context)
    assert "UNSIGNED-PAYLOAD" == signed_request.headers["x-amz-content-sha256"]
    other_signing = AwsSigV4(access_key_id="A", region="r", service="es")
    with pytest.raises(InvalidData) as excinfo:
        other_signing.sign(request, url, S3_KEY, context)
    assert "body" == excinfo.value.field
    digest = sha256(b"x").hexdigest()
    hashed_request = request.with_header("x-amz-content-sha256", digest)
    whole_request = hashed_request.evolve(body=b"x")
    assert _signature(other_signing.sign(whole_request, url, S3_KEY, context)) == _signature(
        other_signing.sign(hashed_request, url, S3_KEY, context)
    )


def test_paths_are_encoded_twice_except_for_s3() -> None:
    """AWS signs `%20` in a path as `%2520`; S3 decodes the path before signing."""
    signing = AwsSigV4(access_key_id="A", region="r", service="es")
    assert "/a%2520b/%253A/" == signing.canonical_path("/a%20b//./%3A/")
    assert "/a%20b//./%3A" == S3.canonical_path("/a%20b//./:")


def test_dot_segments_are_resolved() -> None:
    """In a path signed for AWS, each `..` removes one segment, but never goes above the root."""
    signing = AwsSigV4(access_key_id="A", region="r", service="es")
    assert "/a/c" == signing.canonical_path("/a/b/../c")
    assert "/c" == signing.canonical_path("/a/../../c")


@pytest.mark.usefixtures("far_from_greenwich")
def test_time_is_signed_in_utc() -> None:
    """The time of an AWS signature is in UTC."""
    for now in (SUITE_TIME, SUITE_TIME.astimezone(timezone(timedelta(hours=-5)))):
        signed_request = S3.sign(Request.get("/"), S3_BASE, S3_KEY, SigningContext(now, ""))
        assert "20150830T123600Z" == signed_request.headers["x-amz-date"]


def test_missing_session_token_is_not_added() -> None:
    """Without an AWS session token, no token header is added."""
    late_token_signing = attrs.evolve(S3, sign_session_token=False)
    for signing in (S3, late_token_signing):
        signed_request = signing.sign(
            Request.get("/"), S3_BASE, S3_KEY, SigningContext(S3_TIME, "")
        )
        assert "x-amz-security-token" not in signed_request.headers


def test_keys_with_stray_characters_are_refused() -> None:
    """An AWS secret key with a stray line end is refused, and not shown."""
    S3.check_key(S3_KEY)
    with pytest.raises(InvalidData) as excinfo:
        S3.check_key(Secret("h1dden\n"))
    assert "secret" == excinfo.value.field
    assert "h1dden" not in str(excinfo.value)


def test_headers_that_proxies_change_are_not_signed() -> None:
    """The user agent and hop-by-hop headers are not part of an AWS signature."""
    url = f"{S3_BASE}/"
    context = SigningContext(S3_TIME, "")
    plain_request = S3.sign(Request.get("/"), url, S3_KEY, context)
    named_request = Request.get(
        "/", headers={"User-Agent": "x", "Connection": "close", "TE": "gzip"}
    )
    assert _signature(plain_request) == _signature(S3.sign(named_request, url, S3_KEY, context))


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Connection",
        "Expect",
        "Keep-Alive",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "User-Agent",
        "X-Amzn-Trace-Id",
    ],
)
def test_presigned_urls_ignore_headers_that_proxies_change(name: str) -> None:
    """Headers that proxies change have no effect on a presigned AWS URL."""
    plain_text, named_header_url = (
        S3.presign(request, f"{S3_BASE}/", S3_KEY, S3_TIME, expires=60)
        for request in (Request.get("/"), Request.get("/", headers={name: "x"}))
    )
    assert plain_text == named_header_url


@pytest.mark.parametrize("service", ["s3", "s3-outposts", "s3-object-lambda", "s3express"])
def test_s3_compatible_services_sign_the_path_as_sent(service: str) -> None:
    """S3-compatible services sign the path as sent, and send the body's hash in a header."""
    signing = AwsSigV4(access_key_id="A", region="a.b_c-1", service=service)
    assert "/a%20b//" == signing.canonical_path("/a%20b//")
    signed_request = signing.sign(Request.get("/"), S3_BASE, S3_KEY, SigningContext(S3_TIME, ""))
    assert "x-amz-content-sha256" in signed_request.headers


@pytest.mark.parametrize(
    "url, target",
    [
        ("https://A.example:443/x?y", ("https", "a.example", "/x", "y")),
        ("http://a.example:80", ("http", "a.example", "/", "")),
        ("http://a.example:443/", ("http", "a.example:443", "/", "")),
        ("https://[::1]/", ("https", "[::1]", "/", "")),
        ("https://[::1]:443/", ("https", "[::1]", "/", "")),
        ("https://[::1]:8443/", ("https", "[::1]:8443", "/", "")),
    ],
)
def test_host_is_normalised(url: str, target: tuple[str, ...]) -> None:
    """AWS signing uses the lower-case host, with the port unless it is the default port."""
    assert target == Target.of(url)


def test_host_header_is_signed() -> None:
    """AWS signing uses a request's own `Host` header instead of the URL's host."""
    request = Request.get("/", headers={"Host": "examplebucket.s3.amazonaws.com"})
    signed_request = S3.sign(request, "http://127.0.0.1:9000/", S3_KEY, SigningContext(S3_TIME, ""))
    direct = S3.sign(Request.get("/"), f"{S3_BASE}/", S3_KEY, SigningContext(S3_TIME, ""))
    assert _signature(direct) == _signature(signed_request)


@pytest.mark.parametrize("expires", [0, -1, 604_801])
def test_presigned_url_lasts_a_week_at_most(expires: int) -> None:
    """A presigned AWS URL is valid for one second to seven days."""
    with pytest.raises(InvalidData) as excinfo:
        S3.presign(Request.get("/"), S3_BASE, S3_KEY, S3_TIME, expires=expires)
    assert "expires" == excinfo.value.field
    assert S3.presign(Request.get("/"), S3_BASE, S3_KEY, S3_TIME, expires=604_800)
    assert S3.presign(Request.get("/"), S3_BASE, S3_KEY, S3_TIME, expires=1)


@pytest.mark.parametrize(
    "field, value",
    [
        ("access_key_id", ""),
        ("access_key_id", "A/B"),
        ("region", "eu west"),
        ("service", "s3\n"),
        ("session_token", "h1dden\n"),
    ],
)
def test_settings_with_stray_characters_are_refused(field: str, value: str) -> None:
    """An AWS region, service or token with stray characters is refused, and not shown."""
    options: dict[str, Any] = {"access_key_id": "A", "region": "r", "service": "s", field: value}
    with pytest.raises(InvalidData) as excinfo:
        AwsSigV4(**options)
    assert field == excinfo.value.field
    assert "h1dden" not in str(excinfo.value)


def test_repr_and_tracebacks_hide_secrets() -> None:
    """The repr of an AWS signing shows neither the key id nor the token.

    No traceback shows the key.
    """
    signing = AwsSigV4(access_key_id="h1dden", region="r", service="s", session_token="h1dden")
    assert "h1dden" not in repr(signing)
    assert hash(signing) is not None
    stream = Request.put("/", body=BodyStream.of(lambda: [b""]))
    with pytest.raises(InvalidData) as excinfo:
        signing.sign(stream, BASE, Secret("h1dden"), SigningContext(S3_TIME, ""))
    frames = [frame for frame, _ in traceback.walk_tb(excinfo.value.__traceback__)]
    own_types = [frame for frame in frames if "/domain/" in frame.f_code.co_filename]
    assert "h1dden" not in repr([frame.f_locals for frame in own_types[1:]])


@pytest.mark.parametrize("name", ["sign_session_token", "normalise_path", "encode_path_twice"])
def test_string_is_not_accepted_as_a_flag(name: str) -> None:
    """A string such as "false" is refused for a setting that is True or False."""
    options: dict[str, Any] = {name: "false"}
    with pytest.raises(ConfigurationError, match=f"{name} is not True or False"):
        AwsSigV4(access_key_id="AKID", region="eu-central-1", service="ses", **options)
