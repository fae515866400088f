"""Azure when something goes wrong on the way, and what it alone does."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import md5
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from mooring import Credentials, OAuthCredentials
from mooring.adapters.memory_credentials import MemoryCredentialProvider
from mooring.contracts.checksum import Checksum
from mooring.contracts.ref import Ref
from mooring.contracts.storage import ByteRange, PutOptions
from mooring.domain.http import Response
from mooring.domain.signing.azure import AzureSharedKey
from mooring.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    CredentialRefreshFailed,
    FileNotFound,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from mooring.hub import Hub
from mooring.testing.clock import VirtualClock, VirtualSleeper
from mooring.testing.sandbox.azure_blob import AzureBlobSandbox, azure_error
from mooring.testing.sandbox.base import Lost, SandboxHttpClient
from mooring.vendors.azure_blob import AzureBlob
from tests.storage.azure_lab import account, azure, container, entra, over_azure, over_azure_socket
from tests.storage.labs import PART, bytes_of, fetch_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mooring.faces.storage import Storage

DATA = bytes_of(3 * PART + 100)


@pytest.fixture
def made() -> Iterator[AzureBlobSandbox]:
    """A container."""
    with azure() as one:
        yield one


@pytest.fixture
def files(made: AzureBlobSandbox) -> Iterator[Storage]:
    """Its storage."""
    with over_azure(made) as hub:
        yield hub.storage()


def _fine(count: int) -> list[Any]:
    """So many requests are answered as usual."""
    return [None] * count


def no(code: str, status: int, message: str = "") -> Response:
    """A refusal."""
    return Response(status, body=azure_error(code, message))


# --- what is asked -----------------------------------------------------------


def test_a_put_on_the_wire(made: AzureBlobSandbox, files: Storage) -> None:
    """What is put says what it is, how it is kept, and which version of the API it speaks."""
    options = PutOptions(
        content_type="application/pdf",
        cache_control="no-store",
        storage_class="Cool",
        tags={"a b": "c&d"},
        metadata={"invoice-no": "2041", "2nd": "Zoë", "gap": "a  b", "none": ""},
        if_none_match="*",
        encryption="acme-scope",
    )
    files.upload("in voices/1.pdf", b"%PDF", options)

    [asked] = made.asked
    headers = {
        name.lower(): value
        for name, value in asked.headers.items()
        if name.lower() not in {"authorization", "x-ms-date"}
    }
    assert ("PUT", "/sandbox-container/in%20voices/1.pdf") == (asked.method, asked.path)
    assert {
        "content-md5": b64encode(md5(b"%PDF", usedforsecurity=False).digest()).decode(),
        "content-type": "application/octet-stream",
        "if-none-match": "*",
        "x-ms-access-tier": "Cool",
        "x-ms-blob-cache-control": "no-store",
        "x-ms-blob-content-type": "application/pdf",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-encryption-scope": "acme-scope",
        "x-ms-meta-_2nd": "=?UTF-8?B?Wm/Dqw==?=",
        "x-ms-meta-gap": "=?UTF-8?B?YSAgYg==?=",
        "x-ms-meta-invoice_no": "2041",
        "x-ms-meta-none": "=?UTF-8?B??=",
        "x-ms-tags": "a%20b=c%26d",
        "x-ms-version": "2025-01-05",
    }.items() <= headers.items()
    assert options.metadata == files.head("in voices/1.pdf").metadata


def test_own_headers(made: AzureBlobSandbox, files: Storage) -> None:
    """A vendor's own headers come last, and only those meant for it."""
    extra = {"azure_blob": {"X-MS-Access-Tier": "Cold"}, "s3": {"x-amz-acl": "private"}}
    files.upload("a", b"x", PutOptions(storage_class="Hot", extra=extra))

    assert ("Cold",) == made.asked[0].headers.get_all("x-ms-access-tier")
    with pytest.raises(InvalidData) as caught:
        files.upload("a", b"x", PutOptions(extra={"azure_blob": {"x-ms-lease-id": 7}}))
    assert "extra.azure_blob.x-ms-lease-id" == caught.value.field


@pytest.mark.parametrize("key", ["a\\b", "a./b", "a.", "deep/er./x"])
def test_keys_that_azure_changes(made: AzureBlobSandbox, files: Storage, key: str) -> None:
    """A key that would be another one at Azure is refused before anything is sent."""
    for doing in (files.head, files.delete, files.download, files.start_upload):
        with pytest.raises(InvalidData) as caught:
            doing(key)
        assert "key" == caught.value.field
    with pytest.raises(InvalidData):
        files.upload(key, b"x")
    assert [] == made.asked


def test_bytes_from_the_end(made: AzureBlobSandbox, files: Storage) -> None:
    """Azure does not count from the end, so that the size is asked for first."""
    etag = files.upload("a", DATA).etag
    made.asked.clear()

    assert DATA[-7:] == files.download("a", range=ByteRange(-7)).read_all()
    head, get = made.asked
    assert ("HEAD", "GET") == (head.method, get.method)
    assert f"bytes={len(DATA) - 7}-" == get.headers["x-ms-range"]
    assert f'"{etag}"' == get.headers["if-match"]
    files.download("a", range=ByteRange(-7), if_none_match="other").read_all()
    assert "if-match" not in made.asked[-1].headers
    files.download("a", range=ByteRange(-7), if_match="*").read_all()
    assert "*" == made.asked[-1].headers["if-match"]
    files.upload("empty", b"")
    with pytest.raises(InvalidRequest) as caught:
        files.download("empty", range=ByteRange(-7))
    assert 416 == caught.value.status


def test_another_size(made: AzureBlobSandbox, files: Storage) -> None:
    """What changes between being measured and being read is not read."""
    files.upload("a", DATA)
    made.fail(
        Response(200, {"ETag": '"0x8D0"', "Content-Length": "50"}),
    )
    with pytest.raises(VendorRejected) as caught:
        files.download("a", range=ByteRange(-7))
    assert 412 == caught.value.status


def test_conditions_by_time(files: Storage) -> None:
    """What has not changed since does not come again."""
    files.upload("a", b"x")
    soon = datetime.now(UTC) + timedelta(minutes=1)
    past = soon - timedelta(hours=1)

    assert not files.download("a", if_modified_since=soon).modified
    assert files.download("a", if_modified_since=past).modified
    assert files.download("a", if_unmodified_since=soon).modified
    with pytest.raises(VendorRejected) as caught:
        files.download("a", if_unmodified_since=past)
    assert 412 == caught.value.status


def test_versions(made: AzureBlobSandbox, files: Storage) -> None:
    """Earlier versions are read and deleted by their names."""
    first = files.upload("a", b"first")
    second = files.upload("a", b"second!")

    assert first.version != second.version
    assert 5 == files.head("a", version=first.version).size
    assert b"first" == files.download("a", version=first.version).read_all()
    assert b"st" == files.download("a", version=first.version, range=ByteRange(-2)).read_all()
    files.delete("a", version=first.version)
    files.delete("a", version=first.version)
    with pytest.raises(FileNotFound):
        files.head("a", version=first.version)
    files.delete("a")
    assert not files.exists("a")
    assert 7 == files.head("a", version=second.version).size
    assert {"a"} == {key for key, _ in made.versions}


# --- blocks ------------------------------------------------------------------


def test_every_block_has_its_checksum(made: AzureBlobSandbox, files: Storage) -> None:
    """Each block goes with its MD5 and is named by it; so does the list of blocks."""
    options = PutOptions(checksum=Checksum.of("md5", DATA), encryption="acme-scope")
    info = files.upload("a", DATA, options, part_size=PART, at_once=1)

    *blocks, commit = made.asked
    assert 4 == len(blocks)
    assert all("content-md5" in asked.headers for asked in made.asked)
    assert {"acme-scope"} == {asked.headers["x-ms-encryption-scope"] for asked in made.asked}
    assert options.checksum is not None
    assert options.checksum.base64 == commit.headers["x-ms-blob-content-md5"]
    assert (options.checksum,) == files.head("a").checksums
    assert len(DATA) == info.size
    files.upload("a", DATA, PutOptions(checksum=Checksum.of("sha256", DATA)), part_size=PART)
    assert () == files.head("a").checksums


def test_a_block_that_was_changed_goes_again(made: AzureBlobSandbox, files: Storage) -> None:
    """A body that arrives as another is sent once more."""
    made.fail(no("Md5Mismatch", 400))
    files.upload("a", DATA, part_size=PART, at_once=1)

    assert DATA == files.download("a").read_all()


def test_cut_parts(made: AzureBlobSandbox) -> None:
    """A part or a download whose connection is cut goes on."""
    with over_azure_socket(made) as hub:
        made.cut("PUT", 1_000)
        hub.storage().upload("a", DATA, part_size=PART)
        made.cut("GET", 5_000)
        assert DATA == hub.storage().download("a").read_all()


def test_what_is_there_is_not_sent_again(made: AzureBlobSandbox, files: Storage) -> None:
    """Resumed, an upload sends what is missing, and what has other bytes now."""
    begun = files.start_upload("a", PutOptions(content_type="x/y", metadata={"a": "Zoë"}))
    assert [] == made.asked
    made.fail(*_fine(3), *[ConnectionFailed("down")] * 3)
    with pytest.raises(ConnectionFailed):
        files.upload("a", DATA, resume=begun.ref, part_size=PART, at_once=1)
    other = b"!" + DATA[1:]
    made.asked.clear()
    info = files.upload("a", lambda: BytesIO(other), resume=str(begun.ref), part_size=PART)

    assert ["GET", "PUT", "PUT", "PUT", "PUT"] == [asked.method for asked in made.asked]
    assert other == files.download("a").read_all()
    assert ("x/y", {"a": "Zoë"}) == (info.content_type, info.metadata)
    assert ("x/y", {"a": "Zoë"}) == (files.head("a").content_type, files.head("a").metadata)
    with pytest.raises(VendorRejected, match="complete"):
        files.upload("a", other, resume=begun.ref, part_size=PART)


def test_a_week_later(made: AzureBlobSandbox, files: Storage) -> None:
    """An upload whose blocks have lapsed begins anew, whatever stands there now."""
    begun = files.start_upload("a")
    made.fail(*_fine(3), *[ConnectionFailed("down")] * 3)
    with pytest.raises(ConnectionFailed):
        files.upload("a", DATA, resume=begun.ref, part_size=PART, at_once=1)
    made.lapse()
    files.upload("a", b"another's")
    files.upload("a", DATA, resume=begun.ref, part_size=PART)

    assert DATA == files.download("a").read_all()


def test_uploads_apart(made: AzureBlobSandbox, files: Storage) -> None:
    """Two uploads of one key have blocks of their own, and the later one is told that it lost."""
    one, two = files.start_upload("a"), files.start_upload("a")
    made.fail(*_fine(5), *[ConnectionFailed("down")] * 3)
    with pytest.raises(ConnectionFailed):
        files.upload("a", DATA, resume=one.ref, part_size=PART, at_once=1)
    files.upload("a", DATA[:PART] + b"two", resume=two.ref, part_size=PART)

    assert DATA[:PART] + b"two" == files.download("a").read_all()
    made.fail(*_fine(5), no("InvalidBlockList", 400))
    with pytest.raises(InvalidRequest, match="Begin the upload anew"):
        files.upload("a", DATA, resume=one.ref, part_size=PART, at_once=1)


@pytest.mark.parametrize(
    "upload",
    ["evil", "0" * 20 + ".e30x", "0" * 20 + ".W10=", "0" * 20 + ".eyJhIjoxfQ==", "0" * 20 + ".Ww"],
)
def test_references_that_are_none(made: AzureBlobSandbox, files: Storage, upload: str) -> None:
    """What is no reference of an upload is refused before anything is sent."""
    ref = Ref("azure_blob", "azure", "a", {"upload": upload})
    with pytest.raises(InvalidData, match="no reference of an upload"):
        files.upload("a", DATA, resume=ref)
    assert [] == made.asked


def test_strange_blocks(made: AzureBlobSandbox, files: Storage) -> None:
    """Blocks of others, and what names none, are not taken for parts."""
    begun = files.start_upload("a")
    block = "<Block><Name>{}</Name><Size>4096</Size></Block>"
    names = ["AAAA", "%%%", "w7w=", b64encode(b"0" * 32 + b".00001." + b"f" * 20).decode()]
    inside = "".join(block.format(name) for name in names)
    body = f"<BlockList><UncommittedBlocks>{inside}<Block/></UncommittedBlocks></BlockList>"
    made.fail(Response(200, body=body.encode()))
    files.upload("a", DATA, resume=begun.ref, part_size=PART, at_once=1)

    assert ["GET", *["PUT"] * 5] == [asked.method for asked in made.asked]


# --- lost answers ------------------------------------------------------------


def test_lost_completion(made: AzureBlobSandbox, files: Storage) -> None:
    """An upload whose last answer was lost is complete, and is told so."""
    made.fail(*_fine(4), Lost())
    info = files.upload("a", DATA, PutOptions(if_none_match="*"), part_size=PART, at_once=1)

    assert len(DATA) == info.size
    assert DATA == files.download("a").read_all()
    made.fail(*_fine(4), Lost())
    assert len(DATA) == files.upload("a", DATA, part_size=PART, at_once=1).size


def test_a_condition_that_others_broke(made: AzureBlobSandbox, files: Storage) -> None:
    """What somebody else has put is not taken for ours."""
    files.upload("a", b"another's")
    kept = PutOptions(if_none_match="*")
    with pytest.raises(VendorRejected) as caught:
        files.upload("a", DATA, kept, part_size=PART)
    assert ("BlobAlreadyExists", 412) == (caught.value.vendor_code, caught.value.status)
    made.fail(*_fine(4), no("ConditionNotMet", 412), no("BlobNotFound", 404))
    with pytest.raises(VendorRejected) as caught:
        files.upload("b", DATA, PutOptions(if_match="0x8D0"), part_size=PART, at_once=1)
    assert 412 == caught.value.status


def test_lost_condition(made: AzureBlobSandbox, files: Storage) -> None:
    """A put whose answer was lost does not stand in its own way."""
    made.fail(Lost())
    assert 4 == files.upload("a", b"mine", PutOptions(if_none_match="*")).size
    made.fail(Lost(), None, Response(404))  # type: ignore[arg-type]  # None is as usual
    with pytest.raises(VendorRejected) as caught:
        files.upload("b", b"mine", PutOptions(if_none_match="*"))
    assert 412 == caught.value.status
    made.fail(no("InternalError", 500))
    with pytest.raises(VendorRejected) as caught:
        files.upload("a", b"other", PutOptions(if_none_match="*"))
    assert 412 == caught.value.status


def test_lost_deletion(made: AzureBlobSandbox, files: Storage) -> None:
    """What is gone when it is deleted again is deleted."""
    files.upload("a", b"x")
    made.fail(Lost())
    files.delete("a")

    assert {} == made.blobs


# --- copies ------------------------------------------------------------------


def test_copies_keep_what_is_not_said_anew(made: AzureBlobSandbox, files: Storage) -> None:
    """What is said anew replaces what was said, and the checksum stays."""
    put = files.upload("a", b"bytes", PutOptions(content_type="a/b", metadata={"x": "1"}))
    options = PutOptions(metadata={"y": "2"}, tags={"t": "1"}, storage_class="Cool")
    copied = files.copy("a", "b", options)

    assert ({"y": "2"}, "Cool") == (copied.metadata, copied.storage_class)
    assert put.checksums == copied.checksums
    assert "application/octet-stream" == copied.content_type
    assert "1" == made.blobs["b"].headers["x-ms-tag-count"]
    with pytest.raises(VendorRejected) as caught:
        files.copy("a", "b", PutOptions(if_none_match="*"))
    assert 412 == caught.value.status
    files.upload("c", DATA, part_size=PART)
    assert () == files.copy("c", "d", PutOptions(content_type="x/y")).checksums


def test_slow_copies() -> None:
    """A copy that takes its time is waited for, but not for ever."""
    clock = VirtualClock()
    ports: dict[str, Any] = {"clock": clock, "sleeper": VirtualSleeper(clock)}
    with (
        azure(now=clock.utc) as made,
        Hub([account(made)], http=SandboxHttpClient(made), **ports) as hub,
    ):
        hub.storage().upload("a", b"bytes")
        made.looks = 3
        assert 5 == hub.storage().copy("a", "b").size
        made.looks = 1_000
        with pytest.raises(VendorFailed, match="pending"):
            hub.storage().copy("a", "c")


def test_copies_that_fail(files: Storage) -> None:
    """A copy that Azure could not make is told."""
    files.upload("magic/uncopied", b"bytes")
    with pytest.raises(VendorFailed, match="failed"):
        files.copy("magic/uncopied", "d")


def test_copies_are_not_encrypted_anew(made: AzureBlobSandbox, files: Storage) -> None:
    """What a copy cannot be is refused before anything is sent."""
    with pytest.raises(UnsupportedByVendor):
        files.copy("a", "b", PutOptions(encryption="acme-scope"))
    assert [] == made.asked


# --- for others --------------------------------------------------------------


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def test_signed_urls(files: Storage) -> None:
    """A signed URL says what it allows, for how long, and what must be sent along."""
    put = files.signed_url("a b", "PUT", expires=60, content_type="a/b")
    get = files.signed_url("a b", content_type="text/plain", content_disposition="attachment")
    told = query_of(get.url)

    assert {"x-ms-blob-type": "BlockBlob", "Content-Type": "a/b"} == put.headers
    assert {"x-ms-blob-type": "BlockBlob"} == files.signed_url("a", "PUT").headers
    assert {} == get.headers
    assert (
        "https://sandboxaccount.blob.core.windows.net/sandbox-container/a%20b"
        == (get.url.partition("?")[0])
    )
    assert ("r", "b", "https", "2025-01-05") == tuple(
        told[name] for name in ("sp", "sr", "spr", "sv")
    )
    assert ("text/plain", "attachment") == (told["rsct"], told["rscd"])
    assert ("w", "d") == (
        query_of(put.url)["sp"],
        query_of(files.signed_url("a", "DELETE").url)["sp"],
    )
    assert f"{put.expires_at:%Y-%m-%dT%H:%M:%SZ}" == query_of(put.url)["se"]


def test_answers_to_signed_urls(made: AzureBlobSandbox, files: Storage) -> None:
    """Answers say what the URL says that they say, and a URL deletes where it is for that."""
    files.upload("a", b"x")
    fetch = fetch_of(made)
    get = files.signed_url("a", content_type="text/plain", content_disposition="attachment")

    assert (200, b"x") == fetch(get, b"")
    assert 200 == fetch(files.signed_url("a", "HEAD"), b"")[0]
    assert 202 == fetch(files.signed_url("a", "DELETE"), b"")[0]
    assert not files.exists("a")


def test_lent_keys(made: AzureBlobSandbox) -> None:
    """With tokens, URLs are signed with a key that Azure lends for just so long."""
    with over_azure(made, **entra(made)) as hub:
        files = hub.storage()
        files.upload("a", b"x")
        signed = files.signed_url("a", expires=600)
        week = files.signed_url("a", expires=timedelta(days=7))
        told = query_of(signed.url)

        assert {"skoid", "sktid", "skt", "ske", "sks", "skv"} <= told.keys()
        assert told["se"] == told["ske"]
        assert told["skt"] < told["se"]
        assert (200, b"x") == fetch_of(made)(signed, b"")
        assert (200, b"x") == fetch_of(made)(week, b"")
        assert 1 == made.desk.granted


@pytest.mark.parametrize("value", ["", "not base64!", "&lt;"])
def test_lent_keys_that_are_none(made: AzureBlobSandbox, value: str) -> None:
    """What is no key signs nothing, and is not shown."""
    names = ("Oid", "Tid", "Start", "Expiry", "Service", "Version")
    inside = "".join(f"<Signed{name}>s</Signed{name}>" for name in names)
    key = f"<UserDelegationKey>{inside}<Value>{value}</Value></UserDelegationKey>"
    with over_azure(made, **entra(made)) as hub:
        made.fail(Response(200, body=key.encode()))
        with pytest.raises(VendorFailed) as caught:
            hub.storage().signed_url("a")
        assert caught.value.response is not None
        assert b"" == caught.value.response.body
        made.fail(Response(200, body=b"<UserDelegationKey><Value>a2V5</Value></UserDelegationKey>"))
        with pytest.raises(VendorFailed):
            hub.storage().signed_url("a")


def test_plain_http_is_signed_for(made: AzureBlobSandbox) -> None:
    """Where the account is reached without TLS, so is what is signed."""
    with over_azure(made, endpoint="http://127.0.0.1:10000/sandboxaccount/") as hub:
        signed = hub.storage().signed_url("a")

    assert "https,http" == query_of(signed.url)["spr"]
    assert signed.url.startswith("http://127.0.0.1:10000/sandboxaccount/sandbox-container/a?")


# --- who we are --------------------------------------------------------------


def test_a_token_that_is_refused_is_renewed(made: AzureBlobSandbox) -> None:
    """After a 401 one other token is asked for, and the call goes on."""
    with over_azure(made, **entra(made)) as hub:
        hub.storage().upload("a", b"x")
        made.desk.forget()
        assert 1 == hub.storage().head("a").size

    assert 2 == made.desk.granted
    assert f"/{made.directory}/oauth2/v2.0/token" == made.desk.asked[0].path


def test_a_wrong_client(made: AzureBlobSandbox) -> None:
    """A client that Entra ID does not know gets nothing, and its secret stays hidden."""
    options = {**entra(made), "client_secret": "wrong-hush"}
    with over_azure(made, **options) as hub:
        with pytest.raises(CredentialRefreshFailed) as caught:
            hub.storage().head("a")
        assert "hush" not in f"{caught.value!r} {hub.account('azure')!r}"
    assert [] == made.asked


def test_a_wrong_key(made: AzureBlobSandbox) -> None:
    """A key of another account is refused, and not shown."""
    with over_azure(made, credentials="d3JvbmctaHVzaA==") as hub:
        with pytest.raises(AuthenticationFailed) as caught:
            hub.storage().upload("a", b"x")
        assert "d3Jvbmct" not in f"{caught.value!r} {hub.account('azure')!r}"
    assert "AuthenticationFailed" == caught.value.vendor_code


def test_provided_credentials(made: AzureBlobSandbox) -> None:
    """Without a key of its own, an account asks the credential provider, for its tenant."""
    signing = AzureSharedKey(account=made.account.name)
    known: dict[Any, Any] = {
        ("azure", None): Credentials.signed(signing, made.account.key),
        ("azure", "basic"): Credentials.basic("u", "p"),
        ("azure", "late"): OAuthCredentials(access_token="old"),
    }
    with Hub(
        [account(made, credentials=None)],
        http=SandboxHttpClient(made),
        credentials=MemoryCredentialProvider(known),
    ) as hub:
        assert 1 == hub.storage().upload("a", b"x").size
        assert "sig" in query_of(hub.storage().signed_url("a").url)
        with pytest.raises(ConfigurationError, match="AzureSharedKey"):
            hub.storage("basic").signed_url("a")
        with pytest.raises(CredentialRefreshFailed):
            hub.storage("late").head("a")


@pytest.mark.parametrize(
    "options, path",
    [
        ({"account": "Acme"}, "account"),
        ({"account": 7}, "account"),
        ({"container": "A"}, "container"),
        ({"container": "a--b"}, "container"),
        ({"container": "ab"}, "container"),
        ({"container": 7}, "container"),
        ({"directory": "acme"}, "client_id"),
        ({"client_id": "a", "client_secret": "b"}, "client_id"),
        ({"directory": "a/b", "client_id": "a", "client_secret": "b"}, "directory"),
        ({"directory": 7, "client_id": "a", "client_secret": "b"}, "directory"),
        (
            {"directory": "a", "client_id": "a", "client_secret": "b", "credentials": "a2V5"},
            "credentials",
        ),
    ],
)
def test_bad_options(options: dict[str, Any], path: str) -> None:
    """What is no account is refused at once."""
    with pytest.raises(ConfigurationError) as caught:
        AzureBlob(**{"account": "acmefiles", "container": "files", **options})
    assert path == caught.value.path


def test_good_options(made: AzureBlobSandbox) -> None:
    """The root container has a name of its own, and secrets are not shown."""
    vendor = AzureBlob(account="acmefiles", container="$root", credentials="a2V5LWh1c2g=")

    assert "https://acmefiles.blob.core.windows.net" == vendor.endpoint
    assert {} == vendor.clients()
    assert "a2V5" not in repr(vendor)
    client = container(made, **entra(made)).clients()[""]
    assert "sandbox-client-secret" not in repr(client)


# --- why it refuses ----------------------------------------------------------


@pytest.mark.parametrize(
    "answer, kind, code",
    [
        (no("ServerBusy", 503), RateLimitExceeded, "ServerBusy"),
        (no("InternalError", 500), VendorFailed, "InternalError"),
        (no("OperationTimedOut", 500), VendorFailed, "OperationTimedOut"),
        (no("NewFailure", 500), VendorFailed, "NewFailure"),
        (no("AuthenticationFailed", 403), AuthenticationFailed, "AuthenticationFailed"),
        (no("AccountIsDisabled", 403), AuthenticationFailed, "AccountIsDisabled"),
        (no("BlobNotFound", 404), FileNotFound, "BlobNotFound"),
        (no("CannotVerifyCopySource", 404), FileNotFound, "CannotVerifyCopySource"),
        (no("CannotVerifyCopySource", 500), VendorFailed, "CannotVerifyCopySource"),
        (no("ContainerNotFound", 404), VendorRejected, "ContainerNotFound"),
        (no("LeaseIdMissing", 412), VendorRejected, "LeaseIdMissing"),
        (no("NewRefusal", 409), VendorRejected, "NewRefusal"),
        (no("InvalidHeaderValue", 400), InvalidRequest, "InvalidHeaderValue"),
        (Response(409, {"x-ms-error-code": "BlobArchived"}), VendorRejected, "BlobArchived"),
        (Response(403, {"x-ms-error-code": "New"}, b"<html/>"), VendorRejected, "New"),
        (Response(503, {"x-ms-error-code": "ServerBusy"}, b"<x"), RateLimitExceeded, "ServerBusy"),
        (Response(503, {}, b"<html>busy</html>"), VendorFailed, None),
        (Response(404, {}, b"<Error/>"), VendorRejected, None),
        (Response(403, {}, b"\xff" * 100), AuthenticationFailed, None),
    ],
)
def test_refusals(
    made: AzureBlobSandbox, files: Storage, answer: Response, kind: type[Any], code: str | None
) -> None:
    """A refusal is told by Azure's own code, wherever it stands, and else by the status."""
    made.fail(*[answer] * 3)
    with pytest.raises(kind) as caught:
        files.download("a")

    assert kind is type(caught.value)
    assert code == caught.value.vendor_code
    assert answer.status == caught.value.status


def test_words_of_refusals(made: AzureBlobSandbox, files: Storage) -> None:
    """Of the words only the first line is told; ids and times stand in the headers."""
    made.fail(no("ContainerNotFound", 404, "There is no container."))
    with pytest.raises(VendorRejected) as caught:
        files.download("a")

    assert "There is no container." == caught.value.vendor_message
    assert "Correct the name of the container" in str(caught.value)
    made.fail(Response(404))
    with pytest.raises(FileNotFound):
        files.head("a")


@pytest.mark.parametrize(
    "key, kind",
    [
        ("magic/server-busy", RateLimitExceeded),
        ("magic/denied", AuthenticationFailed),
        ("magic/internal-error", VendorFailed),
        ("magic/archived", VendorRejected),
        ("magic/snapshots", VendorRejected),
    ],
)
def test_magic_keys(files: Storage, key: str, kind: type[Any]) -> None:
    """Some keys fail, whatever is asked of them."""
    for doing in (files.download, files.head, files.delete):
        with pytest.raises(kind):
            doing(key)


def test_deleting_many(files: Storage) -> None:
    """Each of many has its own result."""
    files.upload("a", b"x")
    results = files.delete_many(["a", "magic/snapshots", "gone", "bad."])

    assert [True, False, True, False] == [result.ok for result in results]
    assert "SnapshotsPresent" == getattr(results[1].error, "vendor_code", None)
    assert isinstance(results[3].error, InvalidData)


# --- odd answers -------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"<x", b"{}", b"<Other/>", b"<html><body>OK</body></html>", b"\x00" * 1_000]
)
def test_lists_that_are_none(made: AzureBlobSandbox, files: Storage, body: bytes) -> None:
    """A success that holds no list is a failure."""
    begun = files.start_upload("a")
    made.fail(*[Response(200, body=body)] * 2)
    with pytest.raises(VendorFailed):
        files.list()
    with pytest.raises(VendorFailed):
        files.upload("a", DATA, resume=begun.ref, part_size=PART)


def test_odd_lists(made: AzureBlobSandbox, files: Storage) -> None:
    """What is missing in a list is None, and what has no name is not told."""
    inside = (
        "<Blob/><Blob><Name>a</Name></Blob><Blob><Name></Name></Blob>"
        '<Blob><Name Encoded="true">b%EF%BF%BE</Name><VersionId>v1</VersionId>'
        "<Properties><Content-Length>many</Content-Length><Content-MD5>!</Content-MD5>"
        "<Etag>0x8D</Etag><AccessTier>New</AccessTier></Properties></Blob>"
        "<BlobPrefix/><BlobPrefix><Name>c/</Name></BlobPrefix><New/>"
    )
    body = f"<EnumerationResults><Blobs>{inside}</Blobs><NextMarker/></EnumerationResults>"
    made.fail(Response(200, body=body.encode()), Response(200, body=b"<EnumerationResults/>"))
    page, empty = files.list(), files.list()

    assert ["a", "b\ufffe"] == [one.key for one in page.objects]
    assert (None, None, None, ()) == (
        page.objects[0].size,
        page.objects[0].etag,
        page.objects[0].last_modified,
        page.objects[1].checksums,
    )
    assert ("0x8D", "v1", "New") == (
        page.objects[1].etag,
        page.objects[1].version,
        page.objects[1].storage_class,
    )
    assert (("c/",), None) == (page.prefixes, page.next_cursor)
    assert ((), ()) == (empty.objects, empty.prefixes)


def test_lists_tell_what_is_said(files: Storage) -> None:
    """A list tells of each blob what there is to tell."""
    put = files.upload("a", b"x", PutOptions(content_type="a/b", cache_control="no-store"))
    [found] = files.list().objects

    assert (put.etag, put.checksums, 1) == (found.etag, found.checksums, found.size)
    assert ("a/b", "no-store", "Hot") == (
        found.content_type,
        found.cache_control,
        found.storage_class,
    )
    assert found.last_modified is not None


def test_a_range_that_is_none(made: AzureBlobSandbox, files: Storage) -> None:
    """Who answers with other bytes than were asked for is not believed."""
    files.upload("a", DATA)
    for headers in ({}, {"Content-Range": "bytes 1000-999/1000"}):
        made.fail(Response(206, headers, b"other"))
        with pytest.raises(VendorFailed):
            files.download("a", range=ByteRange(1_000))


def test_a_commit_without_an_etag(made: AzureBlobSandbox, files: Storage) -> None:
    """A success that does not say what it must is a failure."""
    made.fail(*_fine(4), Response(201))
    with pytest.raises(VendorFailed):
        files.upload("a", DATA, part_size=PART, at_once=1)


def test_other_people_s_metadata(made: AzureBlobSandbox, files: Storage) -> None:
    """What others have put is told too, in small letters and with dashes."""
    made.fail(
        Response(200, {"x-ms-meta-Foo_Bar": "=?UTF-8?B?!!?=", "X-Ms-Meta-_2": "=?UTF-8?B?/w==?="})
    )
    found = files.head("a")

    assert {"foo-bar": "=?UTF-8?B?!!?=", "2": "=?UTF-8?B?/w==?="} == found.metadata


def test_packed_blobs(files: Storage) -> None:
    """What is packed is told to be, and comes with another length."""
    put = files.upload("a", b"x", PutOptions(content_encoding="gzip"))

    assert "gzip" == put.content_encoding == files.head("a").content_encoding


def test_a_reference(files: Storage) -> None:
    """A reference leads to the account that has the file."""
    assert "azure_blob:azure:a" == str(files.upload("a", b"x").ref)
