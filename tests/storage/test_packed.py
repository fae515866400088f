"""Compressed objects are downloaded as stored, although HTTP clients could decompress them."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.http.borrowed.httpx2 import Httpx2HttpClient
from moorage.adapters.http.borrowed.requests import RequestsHttpClient
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.contracts.routes import Account
from moorage.contracts.storage import ByteRange, PutOptions
from moorage.hub.hub import AsyncHub, Hub
from tests.storage import azure_harness, gcs_harnesses, harnesses

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.vendor import Vendor

PACKED = gzip.compress(b'{"rate": "0.19"}' * 99, mtime=0)
CLIENTS = [StdlibHttpClient, Httpx2HttpClient, RequestsHttpClient]
PLACES = ["s3", "gcs", "azure", "folder"]


def account(place: str, scope: ExitStack, root: Path) -> Account:
    """Yield an account of one of the storage vendors, reached over a socket."""
    vendor: Vendor
    if place == "folder":
        vendor = harnesses.folder(root)
        return Account("files", vendor)
    if place == "s3":
        bucket = scope.enter_context(harnesses.sandbox())
        bucket_server = scope.enter_context(bucket.serving())
        return harnesses.s3_account(bucket, endpoint=bucket_server.url)
    if place == "gcs":
        google = scope.enter_context(gcs_harnesses.bucket())
        bucket_server = scope.enter_context(google.serving())
        key = google.key_file(f"{bucket_server.url}/token")
        return gcs_harnesses.gcs_account(google, credentials=key, endpoint=bucket_server.url)
    azure = scope.enter_context(azure_harness.azure())
    bucket_server = scope.enter_context(azure.serving())
    return azure_harness.account(azure, endpoint=bucket_server.url)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_no_storage_vendor_or_http_client_decompresses_object(
    place: str, client: Any, tmp_path: Path
) -> None:
    """No storage vendor or HTTP client decompresses an object, as a whole or in part."""
    with ExitStack() as scope:
        result = account(place, scope, tmp_path)
        files = scope.enter_context(Hub([result], http=scope.enter_context(client()))).storage()
        files.upload("rates.json", PACKED, PutOptions(content_encoding="gzip"))
        download = files.download("rates.json")

        assert ("gzip", PACKED) == (download.info.content_encoding, download.read_all())
        some_bytes = files.download("rates.json", range=ByteRange(3, 5)).read_all()
        assert PACKED[3:8] == some_bytes


@pytest.mark.parametrize("place", PLACES)
def test_no_object_is_decompressed_either_with_asynchronous_client(
    place: str, tmp_path: Path
) -> None:
    """With the asynchronous client, no object is decompressed either."""

    async def put_and_get(result: Account) -> tuple[str | None, bytes]:
        async with AsyncHub([result]) as hub:
            files = hub.storage()
            await files.upload("rates.json", PACKED, PutOptions(content_encoding="gzip"))
            download = await files.download("rates.json")
            return download.info.content_encoding, await download.read_all()

    with ExitStack() as scope:
        result = account(place, scope, tmp_path)
        assert ("gzip", PACKED) == asyncio.run(put_and_get(result))
