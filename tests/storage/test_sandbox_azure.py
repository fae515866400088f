"""The Azure sandbox refuses what Azure refuses."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from moorage.contracts.signed import UrlOptions
from moorage.domain.http.requests import Request, Response, join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.azure import AzureSharedKey
from moorage.domain.signing.context import SigningContext
from moorage.errors import ConnectionFailed
from moorage.testing.sandboxes.base import Lost, SandboxRequest
from moorage.vendor_sdk import read_xml
from moorage.vendors.storage._azure_blob_requests import ContainerUrls, delegation
from moorage.vendors.storage._azure_blob_sas import Grant
from tests.storage.azure_harness import azure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.testing.sandboxes.storage.azure_blob import AzureBlobSandbox

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
VERSION = {"x-ms-version": "2025-01-05"}
PUT = {**VERSION, "x-ms-blob-type": "BlockBlob"}
BLOCK = b64encode(b"0001").decode()


@pytest.fixture
def blob_sandbox() -> Iterator[AzureBlobSandbox]:
    """Yield an Azure sandbox whose clock shows noon."""
    with azure(now=lambda: NOON) as sandbox:
        yield sandbox


def arriving_request(
    blob_sandbox: AzureBlobSandbox, request: Request, url: str, **other: str
) -> SandboxRequest:
    """Return a signed request as it arrives, with some headers changed after signing."""
    parts = urlsplit(url)
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    headers = request.with_headers(other).headers
    assert isinstance(request.body, bytes)
    return SandboxRequest(
        request.method, blob_sandbox.hosts[0], parts.path, query, headers, request.body
    )


def send_signed(
    blob_sandbox: AzureBlobSandbox,
    request: Request,
    *,
    late: timedelta = timedelta(),
    key: str | None = None,
    account: str | None = None,
    **other: str,
) -> Response:
    """Send a signed request to the sandbox."""
    url = join_url(f"https://{blob_sandbox.hosts[0]}", request)
    signing = AzureSharedKey(account=account or blob_sandbox.account.name)
    custom_secret = Secret(key or blob_sandbox.account.key)
    signed_request = signing.sign(request, url, custom_secret, SigningContext(NOON + late, "nonce"))
    return blob_sandbox.answer(arriving_request(blob_sandbox, signed_request, url, **other))


def blob_path(blob_sandbox: AzureBlobSandbox, key: str = "a") -> str:
    """Return the path of a blob."""
    return ContainerUrls("", blob_sandbox.container).blob(key)


def put_blob(
    blob_sandbox: AzureBlobSandbox,
    key: str = "a",
    headers: dict[str, str] | None = None,
    body: bytes = b"x",
) -> Response:
    """Put a blob into the sandbox."""
    return send_signed(
        blob_sandbox,
        Request.put(blob_path(blob_sandbox, key), headers={**PUT, **(headers or {})}, body=body),
    )


def code(response: Response) -> str | None:
    """Return the error code of an error response, which must be equal in header and body."""
    result = read_xml(response.body).text("Code")
    assert result == response.header("x-ms-error-code")
    return result


# --- who comes in ------------------------------------------------------------


@pytest.mark.parametrize(
    "headers,expected",
    [
        ({}, "NoAuthenticationInformation"),
        ({"Authorization": "Basic dTpw"}, "NoAuthenticationInformation"),
        ({"Authorization": "Bearer old"}, "InvalidAuthenticationInfo"),
    ],
)
def test_unauthenticated_requests_are_refused(
    blob_sandbox: AzureBlobSandbox, headers: dict[str, str], expected: str
) -> None:
    """A request without credentials, or with unknown credentials, is refused."""
    request = Request.get(blob_path(blob_sandbox), headers=headers)
    response = blob_sandbox.answer(
        arriving_request(blob_sandbox, request, f"https://x{blob_path(blob_sandbox)}")
    )
    assert (401, expected) == (response.status, code(response))


@pytest.mark.parametrize(
    "how",
    [
        {"late": timedelta(minutes=16)},
        {"late": timedelta(minutes=-16)},
        {"key": "d3Jvbmc="},
        {"account": "otheraccount"},
        {"x-ms-date": "today"},
        {"x-ms-meta-a": "1"},
        {"content-type": "a/b"},
        {"range": "bytes=0-1"},
    ],
    ids=["late", "early", "key", "account", "date", "own header", "type", "range"],
)
def test_signature_of_another_request_is_refused(
    blob_sandbox: AzureBlobSandbox, how: dict[str, Any]
) -> None:
    """A signature with another key, time or content than the request's is refused."""
    response = send_signed(
        blob_sandbox, Request.get(blob_path(blob_sandbox), headers=VERSION), **how
    )
    assert (403, "AuthenticationFailed") == (response.status, code(response))


def grant(blob_sandbox: AzureBlobSandbox, method: str = "GET") -> str:
    """Return a signed URL that is valid for a minute."""
    signing, key = (
        AzureSharedKey(account=blob_sandbox.account.name),
        Secret(blob_sandbox.account.key),
    )
    signed_grant = Grant(
        url=f"https://{blob_sandbox.hosts[0]}{blob_path(blob_sandbox)}",
        resource=f"/blob/{blob_sandbox.account.name}{blob_path(blob_sandbox)}",
        version="2025-01-05",
        options=UrlOptions(method=method),
        until=NOON + timedelta(minutes=1),
    )
    return signed_grant.signed(("",), lambda text: signing.signature(key, text))


@pytest.mark.parametrize(
    "change,delay,expected",
    [
        ("", 0, None),
        ("", 59, None),
        ("", 60, "AuthenticationFailed"),
        ("se=2026>se=2027", 0, "AuthenticationFailed"),
        ("sp=r>sp=w", 0, "AuthenticationFailed"),
        ("/a?>/b?", 0, "AuthenticationFailed"),
        ("sv=2025>sv=2024", 0, "AuthenticationFailed"),
    ],
)
def test_signed_url_is_valid_only_unchanged_and_until_its_expiry(
    change: str, delay: int, expected: str | None
) -> None:
    """A signed URL is valid only unchanged and until its expiry."""
    time = [NOON]
    with azure(now=lambda: time[0]) as sandbox:
        assert 201 == put_blob(sandbox).status
        old_part, _, new_part = change.partition(">")
        url = grant(sandbox).replace(old_part, new_part) if old_part else grant(sandbox)
        time[0] += timedelta(seconds=delay)
        response = sandbox.answer(arriving_request(sandbox, Request.get("/"), url))
        assert expected == (None if response.status == 200 else code(response))


def test_signed_read_url_cannot_write(blob_sandbox: AzureBlobSandbox) -> None:
    """A signed URL for reading cannot write."""
    request = Request.put("/", headers={"x-ms-blob-type": "BlockBlob"}, body=b"evil")
    response = blob_sandbox.answer(arriving_request(blob_sandbox, request, grant(blob_sandbox)))
    assert (403, "AuthorizationPermissionMismatch") == (response.status, code(response))


def test_signed_url_needs_an_expiry(blob_sandbox: AzureBlobSandbox) -> None:
    """A signed URL must have an expiry."""
    lines = ["r", "", "", f"/blob/{blob_sandbox.account.name}{blob_path(blob_sandbox)}", *[""] * 12]
    signing, key = (
        AzureSharedKey(account=blob_sandbox.account.name),
        Secret(blob_sandbox.account.key),
    )
    query = {"sp": "r", "sig": signing.signature(key, "\n".join(lines))}
    url = join_url(
        f"https://{blob_sandbox.hosts[0]}", Request.get(blob_path(blob_sandbox), query=query)
    )
    assert "AuthenticationFailed" == code(
        blob_sandbox.answer(arriving_request(blob_sandbox, Request.get("/"), url))
    )


# --- keys that are lent ------------------------------------------------------


def token(blob_sandbox: AzureBlobSandbox) -> str:
    """Return a token like those of Entra ID."""
    form = {
        "grant_type": "client_credentials",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-client-secret",
        "scope": "https://storage.azure.com/.default",
    }
    request = Request.post(blob_sandbox.token_endpoint.path, form=form)
    answer = blob_sandbox.token_endpoint.answer(
        arriving_request(blob_sandbox, request, f"https://x{blob_sandbox.token_endpoint.path}")
    )
    return f"Bearer {answer.json()['access_token']}"


def request_delegation_key(blob_sandbox: AzureBlobSandbox, request: Request) -> Response:
    """Request a user delegation key."""
    whole_request = request.with_headers({**VERSION, "Authorization": token(blob_sandbox)})
    return blob_sandbox.answer(
        arriving_request(blob_sandbox, whole_request, join_url("https://x", whole_request))
    )


def test_delegation_key_lasts_a_week_at_most(blob_sandbox: AzureBlobSandbox) -> None:
    """A delegation key requires a token, and is valid for a week at most."""
    week = delegation(NOON, NOON + timedelta(days=7))
    assert 200 == request_delegation_key(blob_sandbox, week).status
    assert "AuthenticationFailed" == code(send_signed(blob_sandbox, week.with_headers(VERSION)))
    late_request = delegation(NOON + timedelta(days=1), NOON + timedelta(days=8))
    assert "InvalidXmlNodeValue" == code(request_delegation_key(blob_sandbox, late_request))


@pytest.mark.parametrize(
    "body,expected",
    [
        (b"<KeyInfo", "InvalidXmlDocument"),
        (b"<KeyInfo/>", "AuthenticationFailed"),
        (b"<KeyInfo><Until>x</Until></KeyInfo>", "InvalidXmlNodeValue"),
    ],
)
def test_invalid_delegation_requests_are_refused(
    blob_sandbox: AzureBlobSandbox, body: bytes, expected: str
) -> None:
    """An invalid request for a delegation key is refused."""
    request = delegation(NOON, NOON).evolve(body=body)
    assert expected == code(request_delegation_key(blob_sandbox, request))


def test_delegation_key_expires() -> None:
    """A signed URL is valid no longer than the delegation key that signed it."""
    time = [NOON]
    with azure(now=lambda: time[0]) as sandbox:
        result = read_xml(
            request_delegation_key(sandbox, delegation(NOON, NOON + timedelta(minutes=1))).body
        )
        names = ("Oid", "Tid", "Start", "Expiry", "Service", "Version")
        key_fields = [result.text(f"Signed{name}") or "" for name in names]
        key = Secret(result.text("Value") or "")
        signing = AzureSharedKey(account=sandbox.account.name)
        signed_grant = Grant(
            url=f"https://{sandbox.hosts[0]}{blob_path(sandbox)}",
            resource=f"/blob/{sandbox.account.name}{blob_path(sandbox)}",
            version="2025-01-05",
            options=UrlOptions(),
            until=NOON + timedelta(hours=1),
        )
        key_parameters = dict(
            zip(("skoid", "sktid", "skt", "ske", "sks", "skv"), key_fields, strict=True)
        )
        url = signed_grant.signed(
            (*key_fields, "", "", ""), lambda text: signing.signature(key, text), **key_parameters
        )
        put_blob(sandbox)

        assert 200 == sandbox.answer(arriving_request(sandbox, Request.get("/"), url)).status
        time[0] += timedelta(minutes=2)
        assert "AuthenticationFailed" == code(
            sandbox.answer(arriving_request(sandbox, Request.get("/"), url))
        )


# --- what is asked -----------------------------------------------------------


@pytest.mark.parametrize(
    "headers,expected",
    [
        ({"x-ms-version": ""}, "InvalidHeaderValue"),
        ({"x-ms-version": "latest"}, "InvalidHeaderValue"),
        ({"x-ms-blob-type": "PageBlob"}, "MissingRequiredHeader"),
        ({"x-ms-blob-content_type": "a/b"}, "UnsupportedHeader"),
        ({"x-ms-copy-source": "x", "x-ms-blob-type": "BlockBlob"}, "UnsupportedHeader"),
        ({"x-ms-meta-a-b": "1"}, "InvalidMetadata"),
        ({"x-ms-meta-1a": "1"}, "InvalidMetadata"),
        ({"x-ms-meta-a": "Zo\xeb"}, "InvalidMetadata"),
        ({"x-ms-access-tier": "COLD"}, "InvalidHeaderValue"),
        ({"x-ms-tags": "&".join(f"t{number}=" for number in range(11))}, "TagsTooLarge"),
        ({"Content-MD5": "AAAA"}, "Md5Mismatch"),
        ({"Transfer-Encoding": "chunked"}, "MissingContentLengthHeader"),
    ],
)
def test_upload_with_unknown_or_wrong_headers_is_refused(
    blob_sandbox: AzureBlobSandbox, headers: dict[str, str], expected: str
) -> None:
    """An upload with unknown or wrong headers is refused."""
    if "Zo\xeb" in headers.values():
        request = Request.put("/", headers={**headers, "x-ms-blob-type": "BlockBlob"})
        response = blob_sandbox.answer(
            arriving_request(blob_sandbox, request, grant(blob_sandbox, "PUT"))
        )
    else:
        response = put_blob(blob_sandbox, headers=headers)
    assert expected == code(response)
    assert {} == blob_sandbox.blobs


@pytest.mark.parametrize(
    "request_,expected",
    [
        (Request.get("/other/a"), "ContainerNotFound"),
        (Request.get("/"), "ContainerNotFound"),
        (Request.get("/sandbox-container"), "UnsupportedHttpVerb"),
        (
            Request.put("/sandbox-container", query={"restype": "container"}),
            "ContainerAlreadyExists",
        ),
        (Request.patch("/sandbox-container/a"), "UnsupportedHttpVerb"),
        (Request.put("/sandbox-container/a", query={"comp": "lease"}), "UnsupportedHttpVerb"),
    ],
)
def test_unsupported_requests_are_refused(
    blob_sandbox: AzureBlobSandbox, request_: Request, expected: str
) -> None:
    """A request that the sandbox does not support is refused."""
    assert expected == code(send_signed(blob_sandbox, request_.with_headers(VERSION)))


@pytest.mark.parametrize("most", ["0", "5001", "many", "-1"])
def test_list_with_page_size_that_azure_does_not_allow_is_refused(
    blob_sandbox: AzureBlobSandbox, most: str
) -> None:
    """A list with a page size that Azure does not allow is refused."""
    query = {"restype": "container", "comp": "list", "maxresults": most}
    request = Request.get(f"/{blob_sandbox.container}", query=query, headers=VERSION)
    assert "OutOfRangeQueryParameterValue" == code(send_signed(blob_sandbox, request))


def test_blob_name_that_xml_cannot_represent_is_encoded(blob_sandbox: AzureBlobSandbox) -> None:
    """A blob name that XML cannot represent is encoded, and marked as such."""
    put_blob(blob_sandbox)
    blob_sandbox.blobs["b\ufffe"] = blob_sandbox.blobs["a"]
    query = {"restype": "container", "comp": "list"}
    answer = send_signed(
        blob_sandbox, Request.get(f"/{blob_sandbox.container}", query=query, headers=VERSION)
    )
    assert b'<Name Encoded="true">b%EF%BF%BE</Name>' in answer.body


def test_range_that_does_not_count_from_beginning_is_refused(
    blob_sandbox: AzureBlobSandbox,
) -> None:
    """A range that does not count from the beginning is refused."""
    put_blob(blob_sandbox)
    for text in ("bytes=-1", "bytes=a-b", "1-2"):
        request = Request.get(blob_path(blob_sandbox), headers={**VERSION, "x-ms-range": text})
        assert "InvalidHeaderValue" == code(send_signed(blob_sandbox, request))


def test_blob_content_type_header_overrides_the_content_type(
    blob_sandbox: AzureBlobSandbox,
) -> None:
    """The header `x-ms-blob-content-type` overrides the request's content type."""
    put_blob(blob_sandbox, "a", {"Content-Type": "a/b"})
    put_blob(blob_sandbox, "b", {"Content-Type": "a/b", "x-ms-blob-content-type": "c/d"})
    put_blob(blob_sandbox, "c")
    types = [blob_sandbox.blobs[key].headers["Content-Type"] for key in "abc"]
    assert ["a/b", "c/d", "application/octet-stream"] == types


def test_properties_of_archived_blob_can_be_read(blob_sandbox: AzureBlobSandbox) -> None:
    """The properties of an archived blob can be read, but not its content."""
    put_blob(blob_sandbox, headers={"x-ms-access-tier": "Archive"})
    assert (
        200
        == send_signed(blob_sandbox, Request.head(blob_path(blob_sandbox), headers=VERSION)).status
    )
    assert "BlobArchived" == code(
        send_signed(blob_sandbox, Request.get(blob_path(blob_sandbox), headers=VERSION))
    )


def test_copy_without_an_existing_source_is_refused(blob_sandbox: AzureBlobSandbox) -> None:
    """A copy is refused unless its source exists in this account and container."""
    place = f"https://{blob_sandbox.hosts[0]}/{blob_sandbox.container}"
    for source in ("https://elsewhere/c/a", f"https://{blob_sandbox.hosts[0]}/other/a"):
        request = Request.put(
            blob_path(blob_sandbox), headers={**VERSION, "x-ms-copy-source": source}
        )
        assert "CannotVerifyCopySource" == code(send_signed(blob_sandbox, request))
    request = Request.put(
        blob_path(blob_sandbox), headers={**VERSION, "x-ms-copy-source": f"{place}/gone"}
    )
    assert "BlobNotFound" == code(send_signed(blob_sandbox, request))


def test_version_can_be_deleted_without_others(blob_sandbox: AzureBlobSandbox) -> None:
    """A version can be deleted alone, even the current version."""
    put_blob(blob_sandbox)
    first = blob_sandbox.blobs["a"].version
    put_blob(blob_sandbox, body=b"xx")
    for version, current in ((first, True), (blob_sandbox.blobs["a"].version, False)):
        request = Request.delete(
            blob_path(blob_sandbox), query={"versionid": version}, headers=VERSION
        )
        assert 202 == send_signed(blob_sandbox, request).status
        assert current == ("a" in blob_sandbox.blobs)
    assert {} == blob_sandbox.versions


# --- blocks ------------------------------------------------------------------


def block(
    blob_sandbox: AzureBlobSandbox,
    name: str,
    body: bytes = b"x",
    headers: dict[str, str] | None = None,
) -> Response:
    """Put a block into the sandbox."""
    query = {"comp": "block", "blockid": name}
    fields = {**VERSION, **(headers or {})}
    return send_signed(
        blob_sandbox, Request.put(blob_path(blob_sandbox), query=query, headers=fields, body=body)
    )


def commit(blob_sandbox: AzureBlobSandbox, body: bytes) -> Response:
    """Send a block list to the sandbox."""
    request = Request.put(
        blob_path(blob_sandbox), query={"comp": "blocklist"}, headers=VERSION, body=body
    )
    return send_signed(blob_sandbox, request)


@pytest.mark.parametrize(
    "name,body,expected",
    [
        ("", b"x", "InvalidQueryParameterValue"),
        ("not base64", b"x", "InvalidQueryParameterValue"),
        (b64encode(b"0" * 65).decode(), b"x", "InvalidQueryParameterValue"),
        (b64encode(b"longer than it was").decode(), b"x", "InvalidBlobOrBlock"),
        (BLOCK, b"", "InvalidHeaderValue"),
    ],
)
def test_block_without_bytes_is_refused(
    blob_sandbox: AzureBlobSandbox, name: str, body: bytes, expected: str
) -> None:
    """A block without bytes, or with a name of another length than earlier blocks, is refused."""
    assert 201 == block(blob_sandbox, BLOCK).status
    assert expected == code(block(blob_sandbox, name, body))


def test_block_with_wrong_checksum_is_refused(blob_sandbox: AzureBlobSandbox) -> None:
    """A block with a wrong checksum is refused."""
    assert "Md5Mismatch" == code(block(blob_sandbox, BLOCK, headers={"Content-MD5": "AAAA"}))
    assert "InvalidBlockList" == code(
        commit(blob_sandbox, b"<BlockList><Latest>a</Latest></BlockList>")
    )


@pytest.mark.parametrize("body", [b"<BlockList", b"<Blocks/>", b"<BlockList><Late/></BlockList>"])
def test_malformed_block_list_is_refused(blob_sandbox: AzureBlobSandbox, body: bytes) -> None:
    """A malformed block list is refused."""
    assert "InvalidXmlDocument" == code(commit(blob_sandbox, body))


def test_committed_blocks_are_listed_by_default(blob_sandbox: AzureBlobSandbox) -> None:
    """Committed blocks are listed by default, and uncommitted blocks on request."""
    query = {"comp": "blocklist"}
    committed_blocks = Request.get(blob_path(blob_sandbox), query=query, headers=VERSION)
    assert "BlobNotFound" == code(send_signed(blob_sandbox, committed_blocks))
    block(blob_sandbox, BLOCK, b"one")
    block(blob_sandbox, BLOCK, b"other")
    assert (
        b"<CommittedBlocks></CommittedBlocks></BlockList>"
        in send_signed(blob_sandbox, committed_blocks).body
    )
    body = f"<BlockList><Uncommitted>{BLOCK}</Uncommitted></BlockList>".encode()
    assert 201 == commit(blob_sandbox, body).status
    assert 5 == blob_sandbox.blobs["a"].size
    assert b"<Size>5</Size>" in send_signed(blob_sandbox, committed_blocks).body
    repeated_block = (
        f"<BlockList><Committed>{BLOCK}</Committed><Latest>{BLOCK}</Latest></BlockList>"
    )
    assert 201 == commit(blob_sandbox, repeated_block.encode()).status
    assert 10 == blob_sandbox.blobs["a"].size
    block(blob_sandbox, BLOCK)
    put_blob(blob_sandbox)
    assert {} == blob_sandbox.blocks


def test_planned_fault_replaces_response(blob_sandbox: AzureBlobSandbox) -> None:
    """A planned fault replaces a response, or loses it after the request took effect."""
    blob_sandbox.fail(Response(503), ConnectionFailed("down"), Lost())
    assert 503 == put_blob(blob_sandbox).status
    for _ in range(2):
        with pytest.raises(ConnectionFailed):
            put_blob(blob_sandbox)
    assert {"a"} == blob_sandbox.blobs.keys()
