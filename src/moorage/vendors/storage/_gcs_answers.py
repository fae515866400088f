"""Parsing of Google Cloud Storage's responses: objects, uploads and errors."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from moorage import vendor_sdk as sdk
from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.storage import Container, ListPage, ObjectInfo
from moorage.vendors.storage._common import byte_count, media_type, stored_encoding

_META: Final = "x-goog-meta-"
_OBJECT_PATH: Final = re.compile("/storage/v1/b/[^/]+/o/.+")
_NO_BUCKET: Final = re.compile("bucket .*does not exist")
_WORD: Final = re.compile("[A-Za-z]{1,64}")
_HASH: Final = re.compile("(crc32c|md5)=([A-Za-z0-9+/=]+)")
_RECEIVED_RANGE: Final = re.compile("bytes=0-([0-9]{1,19})")
_RETRYABLE_REASONS: Final = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"}
)
_KEPT: Final = frozenset({"objectUnderActiveHold", "retentionPolicyNotMet"})
"""The reasons of a 403 that does not refuse the credentials."""
_RESUME_INCOMPLETE: Final = 308
"""Status by which Google asks for the rest of an upload; it is no redirect."""


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, which is more specific than the status."""
    status = response.status
    if sdk.is_success(status) or status == _RESUME_INCOMPLETE:
        return None
    kind = _error_class(request, response)
    reason = _reason(response)
    _, words = sdk.vendor_code_and_message(response)
    fields: dict[str, Any] = {
        "status": status,
        "vendor_code": reason,
        "vendor_message": words,
        "response": response,
    }
    if kind is sdk.RateLimitExceeded:
        fields["by_vendor"] = True
    elif kind is sdk.VendorRejected and status == 404:
        fields["remedy"] = "Correct the bucket's name, or create the bucket. Start an upload again."
    return kind(f"Google refused: {words or reason or f'HTTP {status}'}", **fields)


def _error_class(request: sdk.Request, response: sdk.Response) -> type[sdk.ConnectorError]:
    """The class of error for Google's reason, or else for the status."""
    reason, status = _reason(response), response.status
    if reason in _RETRYABLE_REASONS or status == 429:
        return sdk.RateLimitExceeded
    if reason in _KEPT:
        return sdk.VendorRejected
    if status == 404:
        no_bucket_match = _NO_BUCKET.search(_error_text(response))
        object_path_match = _OBJECT_PATH.fullmatch(request.path)
        return sdk.FileNotFound if object_path_match and not no_bucket_match else sdk.VendorRejected
    if status in {401, 403}:
        return sdk.AuthenticationFailed
    if status >= 500 or status in {408, 425}:
        return sdk.VendorFailed
    return sdk.InvalidRequest if status in {400, 416} else sdk.VendorRejected


def _reason(response: sdk.Response) -> str | None:
    reason = sdk.error_answer(response).text("error.errors.0.reason") or ""
    return reason if _WORD.fullmatch(reason) else None


def _error_text(response: sdk.Response) -> str:
    return (sdk.error_answer(response).text("error.message") or "").lower()


# --- objects -----------------------------------------------------------------


def info(wire: sdk.Wire, resource: sdk.Answer, key: str) -> ObjectInfo:
    """Parse an object's properties; its generation changes with the object."""
    metadata = resource.value("metadata")
    version = resource.text("generation")
    return ObjectInfo(
        ref=wire.ref(key),
        key=key,
        size=resource.integer("size"),
        etag=version,
        checksums=_checksums(crc32c=resource.text("crc32c"), md5=resource.text("md5Hash")),
        content_type=media_type(resource.text("contentType")),
        content_encoding=stored_encoding(resource.text("contentEncoding")),
        content_disposition=resource.text("contentDisposition"),
        content_language=resource.text("contentLanguage"),
        cache_control=resource.text("cacheControl"),
        last_modified=resource.time("timeCreated") or resource.time("updated"),
        metadata=_texts(metadata),
        version=version,
        storage_class=resource.text("storageClass"),
        raw=resource.raw,
    )


def stored(wire: sdk.Wire, response: sdk.Response, key: str) -> ObjectInfo:
    """Parse the object in a response.

    Raises:
        VendorFailed: the response contains no object.
    """
    return identified(wire, sdk.read_answer(response), response, key)


def identified(
    wire: sdk.Wire, resource: sdk.Answer, response: sdk.Response, key: str
) -> ObjectInfo:
    """The properties of an object resource.

    Raises:
        VendorFailed: the resource has no generation, which every object has.
    """
    object_info = info(wire, resource, key)
    if object_info.version is None:
        raise sdk.malformed(response, "generation")
    return object_info


def _texts(value: object) -> dict[str, str]:
    table = value if sdk.is_object(value) else {}
    return {name: text for name, text in table.items() if isinstance(text, str)}


def _checksums(*, crc32c: str | None, md5: str | None) -> tuple[Checksum, ...]:
    checksums = (
        Checksum.from_base64(ChecksumAlgorithm.CRC32C, crc32c),
        Checksum.from_base64(ChecksumAlgorithm.MD5, md5),
    )
    return tuple(item for item in checksums if item is not None)


def opened(wire: sdk.Wire, key: str, headers: sdk.Headers) -> ObjectInfo:
    """The properties of a downloaded object, from the response's headers.

    They state less than the object's resource: headers such as the content type may describe the
    response instead of the stored object.
    """
    hashes = dict(_HASH.findall(",".join(headers.get_all("x-goog-hash"))))
    version = headers.get("x-goog-generation")
    encoding = headers.get("x-goog-stored-content-encoding") or headers.get("content-encoding")
    return ObjectInfo(
        ref=wire.ref(key),
        key=key,
        size=byte_count(
            headers.get("x-goog-stored-content-length") or headers.get("content-length")
        ),
        etag=version,
        checksums=_checksums(crc32c=hashes.get("crc32c"), md5=hashes.get("md5")),
        content_type=media_type(headers.get("content-type")),
        content_encoding=stored_encoding(encoding),
        content_language=headers.get("content-language"),
        last_modified=sdk.as_time(headers.get("last-modified")),
        metadata={
            name.lower().removeprefix(_META): value
            for name, value in headers.pairs
            if name.lower().startswith(_META)
        },
        version=version,
        storage_class=headers.get("x-goog-storage-class"),
        raw=dict(headers),
    )


def page(wire: sdk.Wire, response: sdk.Response) -> ListPage:
    """Parse a page of a list."""
    listing = _listing(response, "objects")
    entries = ((item.text("name"), item) for item in listing.objects("items"))
    return ListPage(
        objects=tuple(info(wire, item, key) for key, item in entries if key is not None),
        prefixes=listing.texts("prefixes"),
        next_cursor=listing.text("nextPageToken"),
        raw=listing.raw,
    )


def containers(response: sdk.Response) -> tuple[list[Container], str | None]:
    """Parse a page of buckets and the next page's token."""
    listing = _listing(response, "buckets")
    results = [
        Container(
            name=sdk.required(item.text("name"), response, "name"),
            created_at=item.time("timeCreated"),
            raw=item.raw,
        )
        for item in listing.objects("items")
    ]
    return results, listing.text("nextPageToken")


def _listing(response: sdk.Response, name: str) -> sdk.Answer:
    """A page of a list; Google leaves `items` out if there are none, but always states the kind.

    Raises:
        VendorFailed: the response is not a list of this kind, such as the empty object of a proxy.
    """
    listing = sdk.read_answer(response)
    if listing.text("kind") != f"storage#{name}":
        raise sdk.malformed(response, f"kind storage#{name}")
    if not sdk.is_list(listing.raw.get("items", [])):
        raise sdk.malformed(response, "items")
    return listing


# --- uploads -----------------------------------------------------------------


def session(response: sdk.Response) -> str:
    """The id of a started upload.

    Raises:
        VendorFailed: the response contains none.
    """
    _, _, query = (response.header("location") or "").partition("?")
    return sdk.required(dict(parse_qsl(query)).get("upload_id"), response, "Location")


def stored_size(response: sdk.Response) -> int | None:
    """The number of bytes that Google has stored; None if the object is complete.

    Raises:
        VendorFailed: the response states the number in an unknown format.
    """
    override = response.header("x-http-status-code-override")
    if response.status != _RESUME_INCOMPLETE and override != str(_RESUME_INCOMPLETE):
        return None
    sent_range = response.header("range")
    if sent_range is None:
        return 0
    match = sdk.required(_RECEIVED_RANGE.fullmatch(sent_range), response, "Range")
    return int(match[1]) + 1
