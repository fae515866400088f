"""The Google Cloud Storage sandbox refuses what Google refuses."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from moorage.contracts.signed import UrlOptions
from moorage.domain.http.requests import Request, Response
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.jwt import JwtSigning
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.vendors.storage._gcs_signing import signer_of
from tests.storage.gcs_harnesses import bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.testing.sandboxes.storage.gcs import GcsSandbox

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
UPLOAD = "/upload/storage/v1/b/sandbox-bucket/o"
OBJECTS = "/storage/v1/b/sandbox-bucket/o"
STEP = 262_144


@pytest.fixture
def gcs_sandbox() -> Iterator[GcsSandbox]:
    """Yield a Google sandbox whose clock shows noon."""
    with bucket(now=lambda: NOON) as sandbox:
        yield sandbox


def assertion(gcs_sandbox: GcsSandbox, *, late: timedelta = timedelta(), **other: Any) -> str:
    """Return a signed assertion of the service account, with these changes."""
    fields: dict[str, Any] = {
        "algorithm": "RS256",
        "issuer": gcs_sandbox.email,
        "audience": "https://oauth2.googleapis.com/token",
        "lifetime": timedelta(hours=1),
        "claims": {"scope": SCOPE},
    }
    key = Secret(json.loads(gcs_sandbox.key_file())["private_key"])
    signing = JwtSigning(**{**fields, **other})
    return signing.token(key, SigningContext(NOON + late, "nonce")).reveal()


def grant(gcs_sandbox: GcsSandbox, form: dict[str, str], **headers: str) -> Response:
    """Request an access token."""
    request = Request.post("/token", form=form, headers=headers)
    assert isinstance(request.body, bytes)
    query = SandboxRequest(
        "POST", "oauth2.googleapis.com", "/token", (), request.headers, request.body
    )
    return gcs_sandbox.at("/token").answer(query)


def send_signed(gcs_sandbox: GcsSandbox, request: Request) -> Response:
    """Send a request with a valid token."""
    form = {"grant_type": GRANT, "assertion": assertion(gcs_sandbox)}
    token = grant(gcs_sandbox, form).json()["access_token"]
    request = request.with_header("Authorization", f"Bearer {token}")
    assert isinstance(request.body, bytes)
    host = "storage.googleapis.com"
    query = SandboxRequest(
        request.method, host, request.path, request.query, request.headers, request.body
    )
    return gcs_sandbox.answer(query)


def reason(response: Response) -> str | None:
    """Return the reason that an error response states, or None for a success."""
    return response.json()["error"]["errors"][0]["reason"] if response.status >= 400 else None


@pytest.mark.parametrize(
    "how",
    [
        {"issuer": "other@x"},
        {"audience": "https://elsewhere.example"},
        {"claims": {"scope": "https://www.googleapis.com/auth/drive"}},
        {"lifetime": timedelta(hours=2)},
        {"late": timedelta(hours=-2)},
        {"late": timedelta(hours=1)},
    ],
    ids=["issuer", "audience", "scope", "life", "old", "early"],
)
def test_token_is_granted_only_for_current_assertion_of_this_service_account(
    gcs_sandbox: GcsSandbox, how: dict[str, Any]
) -> None:
    """A token is granted only for a current assertion of this service account."""
    form = {"grant_type": GRANT, "assertion": assertion(gcs_sandbox, **how)}
    response = grant(gcs_sandbox, form)
    assert (400, "invalid_grant") == (response.status, response.json()["error"])


@pytest.mark.parametrize(
    "form,expected",
    [
        ({}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": GRANT}, "invalid_grant"),
        ({"grant_type": GRANT, "assertion": "a.b"}, "invalid_grant"),
        ({"grant_type": GRANT, "assertion": "e30.e30.e30"}, "invalid_grant"),
        ({"grant_type": GRANT, "client_id": "me"}, "invalid_request"),
    ],
)
def test_token_request_with_invalid_grant_type_is_refused(
    gcs_sandbox: GcsSandbox, form: dict[str, str], expected: str
) -> None:
    """A token request with an invalid grant type is refused."""
    assert expected == grant(gcs_sandbox, form or {"x": ""}).json()["error"]


def test_invalid_tokens_are_refused(gcs_sandbox: GcsSandbox) -> None:
    """A request without a valid token is refused."""
    result = SandboxRequest(
        "GET", "storage.googleapis.com", f"{OBJECTS}/a", (), Request.get("/").headers, b""
    )
    assert "authError" == reason(gcs_sandbox.answer(result))
    form = {"grant_type": GRANT, "assertion": assertion(gcs_sandbox)}
    assert "invalid_request" == grant(gcs_sandbox, form, Authorization="Basic eDp5").json()["error"]


def related_upload(
    resource: dict[str, Any] | bytes, data: bytes, kind: str = "application/json"
) -> Request:
    """Return a request that uploads an object with its properties at once."""
    first = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
    body = b"--x\r\nContent-Type: %b\r\n\r\n%b\r\n--x\r\nContent-Type: a/b\r\n\r\n%b\r\n--x--" % (
        kind.encode(),
        first,
        data,
    )
    return Request.post(
        UPLOAD,
        query={"uploadType": "multipart"},
        headers={"Content-Type": "multipart/related; boundary=x"},
        body=body,
    )


def chunk(span: str, data: bytes = b"", **headers: str) -> Request:
    """Return the request for a chunk of the upload that was started first."""
    query = {"uploadType": "resumable", "upload_id": "ABPtcP-1"}
    return Request.put(UPLOAD, query=query, headers={"Content-Range": span, **headers}, body=data)


@pytest.mark.parametrize(
    "request_,expected",
    [
        (related_upload({"name": "a"}, b"x"), None),
        (related_upload({}, b"x"), "required"),
        (related_upload(b"[]", b"x"), "parseError"),
        (related_upload(b"{", b"x"), "parseError"),
        (related_upload({"name": "a"}, b"x", "text/plain"), "badContent"),
        (related_upload({"name": "a", "contenttype": "a/b"}, b"x"), "invalid"),
        (related_upload({"name": "a", "metadata": {"x": 1}}, b"x"), "invalid"),
        (related_upload({"name": "a", "metadata": []}, b"x"), "invalid"),
        (related_upload({"name": "a", "cacheControl": 5}, b"x"), "invalid"),
        (related_upload({"name": "a", "temporaryHold": "yes"}, b"x"), "invalid"),
        (related_upload({"name": "a", "storageClass": "COLD"}, b"x"), "invalid"),
        (related_upload({"name": "a", "crc32c": "AAAAAA=="}, b"x"), "invalid"),
        (related_upload({"name": "a"}, b"x").with_header("Content-Type", "a/b"), "badContent"),
        (Request.post(UPLOAD, query={"uploadType": "media", "name": "a"}), "invalid"),
        (Request.post(UPLOAD, query={"uploadType": "resumable", "new": "1"}), "invalidParameter"),
        (
            Request.post(
                UPLOAD,
                query={"uploadType": "resumable", "predefinedAcl": "public-read"},
                json={"name": "a"},
            ),
            "invalid",
        ),
        (
            Request.post(UPLOAD, query={"uploadType": "resumable", "kmsKeyName": "AES256"}),
            "invalid",
        ),
        (Request.post(OBJECTS), "methodNotAllowed"),
        (Request.get(OBJECTS, query={"maxResults": "many"}), "invalidParameter"),
        (Request.get(OBJECTS, query={"pageToken": "?"}), "invalid"),
        (Request("PATCH", f"{OBJECTS}/kept"), "methodNotAllowed"),
        (Request.get(f"{OBJECTS}/kept", query={"generation": "x"}), "invalidParameter"),
        (Request.get(f"{OBJECTS}/kept", query={"ifGenerationMatch": "1"}), "conditionNotMet"),
        (Request.get(f"{OBJECTS}/none"), "notFound"),
        (Request.get("/storage/v2/x"), "notFound"),
        (Request.get(f"{UPLOAD}/kept"), "notFound"),
        (Request.get(f"{OBJECTS}/kept/rewriteTo/b/sandbox-bucket/o/b"), "methodNotAllowed"),
        (Request.post(f"{OBJECTS}/kept/rewriteTo/b/other/o/b"), "notFound"),
        (chunk("bytes 0-4/5", b"bytes"), None),
        (chunk("bytes 0-4/5", b"byte"), "invalid"),
        (chunk("bytes 1-5/6", b"bytes"), "invalid"),
        (chunk("bytes 0-4/*", b"bytes"), "invalid"),
        (chunk("bytes */*", b"bytes"), "invalid"),
        (chunk("0-4"), "invalid"),
        (chunk("bytes 0-4/5", b"bytes", **{"X-Goog-Hash": "crc32c=AAAAAA=="}), "invalid"),
        (chunk("bytes */*").evolve(method="POST"), "methodNotAllowed"),
    ],
)
def test_sandbox_refuses_invalid_requests(
    gcs_sandbox: GcsSandbox, request_: Request, expected: str | None
) -> None:
    """The sandbox refuses what Google would refuse."""
    start = {"uploadType": "resumable"}
    send_signed(gcs_sandbox, Request.post(UPLOAD, query=start, json={"name": "long"}))
    send_signed(gcs_sandbox, related_upload({"name": "kept"}, b"x"))
    assert expected == reason(send_signed(gcs_sandbox, request_))


def test_repeated_chunk_adds_only_its_new_bytes(gcs_sandbox: GcsSandbox) -> None:
    """A repeated chunk adds only its new bytes; an upload that lacks bytes is not completed."""
    start = Request.post(UPLOAD, query={"uploadType": "resumable"}, json={"name": "long"})
    send_signed(gcs_sandbox, start)
    assert 308 == send_signed(gcs_sandbox, chunk(f"bytes 0-{STEP - 1}/*", b"a" * STEP)).status
    repeated_response = send_signed(
        gcs_sandbox, chunk(f"bytes 0-{2 * STEP - 1}/*", b"b" * 2 * STEP)
    )
    assert f"bytes=0-{2 * STEP - 1}" == repeated_response.header("range")
    assert "invalid" == reason(send_signed(gcs_sandbox, chunk(f"bytes */{STEP}")))
    assert 308 == send_signed(gcs_sandbox, chunk(f"bytes */{3 * STEP}")).status
    assert 200 == send_signed(gcs_sandbox, chunk(f"bytes */{2 * STEP}")).status
    result = send_signed(gcs_sandbox, Request.get(f"{OBJECTS}/long", query={"alt": "media"}))
    assert b"a" * STEP + b"b" * STEP == result.body
    assert 200 == send_signed(gcs_sandbox, chunk("bytes */*")).status


@pytest.mark.parametrize(
    "change,delay,expected",
    [
        ("", 0, None),
        ("", 61, "ExpiredToken"),
        ("", -1_000, "ExpiredToken"),
        ("X-Goog-Expires=60>X-Goog-Expires=6000", 0, "SignatureDoesNotMatch"),
        ("X-Goog-Expires=60>X-Goog-Expires=0", 0, "InvalidArgument"),
        ("erp%40>else%40", 0, "AccessDenied"),
        ("20261120T>noon", 0, "AccessDenied"),
        ("sandbox-bucket>other", 0, "NoSuchBucket"),
    ],
)
def test_signed_url_is_valid_only_unchanged_and_until_its_expiry(
    change: str, delay: int, expected: str | None
) -> None:
    """A signed URL is valid only unchanged and until its expiry."""
    time = [NOON]
    with bucket(now=lambda: time[0]) as sandbox:
        send_signed(sandbox, related_upload({"name": "a"}, b"x"))
        signer = signer_of(Secret(sandbox.key_file()))
        name = "other" if expected == "NoSuchBucket" else "sandbox-bucket"
        base = "https://storage.googleapis.com"
        url = signer.url(base, f"/{name}/a", UrlOptions(expires=60, content_type="c/d"), NOON)
        if change and expected != "NoSuchBucket":
            old_part, new_part = change.split(">")
            url = url.replace(old_part, new_part)
        time[0] += timedelta(seconds=delay)
        parts = urlsplit(url)
        result = SandboxRequest(
            "GET",
            parts.netloc,
            parts.path,
            tuple(parse_qsl(parts.query)),
            Request.get("/").headers,
            b"",
        )
        response = sandbox.answer(result)
        assert expected == reason(response)
        if expected is None:
            assert ("c/d", b"x") == (response.header("content-type"), response.body)


def test_signed_url_for_delete_deletes_its_object(gcs_sandbox: GcsSandbox) -> None:
    """A signed URL for DELETE deletes its object."""
    send_signed(gcs_sandbox, related_upload({"name": "a"}, b"x"))
    signer = signer_of(Secret(gcs_sandbox.key_file()))
    base = "https://storage.googleapis.com"
    url = signer.url(base, "/sandbox-bucket/a", UrlOptions(method="DELETE"), NOON)
    parts = urlsplit(url)
    result = SandboxRequest(
        "DELETE",
        parts.netloc,
        parts.path,
        tuple(parse_qsl(parts.query)),
        Request.get("/").headers,
        b"",
    )
    assert (204, {}) == (gcs_sandbox.answer(result).status, gcs_sandbox.live)


def test_page_of_list_begins_after_last_object_of_previous_page(gcs_sandbox: GcsSandbox) -> None:
    """A page of a list begins after the last object of the previous page."""
    for name in ("a", "b/c", "b/d", "e"):
        send_signed(gcs_sandbox, related_upload({"name": name}, b"x"))
    query = {"delimiter": "/", "maxResults": "2"}
    page = send_signed(gcs_sandbox, Request.get(OBJECTS, query=query)).json()
    assert ["b/"] == page["prefixes"]
    assert b64encode(b"b/d").decode() == page["nextPageToken"]
    page = send_signed(
        gcs_sandbox, Request.get(OBJECTS, query={**query, "pageToken": page["nextPageToken"]})
    )
    assert ["e"] == [item["name"] for item in page.json()["items"]]
