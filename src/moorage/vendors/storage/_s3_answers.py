"""Parsing of S3's responses: objects, uploads and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from moorage import vendor_sdk as sdk
from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.storage import Container, ListPage, ObjectInfo, Part, Upload
from moorage.vendors.storage._common import (
    bare_etag,
    byte_count,
    identified,
    media_type,
    plain_word,
    root,
    stored_encoding,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.storage import PutOptions


_META: Final = "x-amz-meta-"

_MISSING: Final = frozenset({"NoSuchKey", "NoSuchVersion"})
_ACCESS_CODES: Final = sdk.word_set(
    "AccessDenied AccountProblem AllAccessDisabled ExpiredToken InvalidAccessKeyId InvalidSecurity"
    " InvalidToken NotSignedUp RequestExpired RequestTimeTooSkewed SignatureDoesNotMatch"
    " TokenRefreshRequired"
)
_THROTTLING_CODES: Final = frozenset(
    {"SlowDown", "RequestLimitExceeded", "ThrottlingException", "Throttling"}
)
_OUTAGE_CODES: Final = sdk.word_set(
    "BadDigest IncompleteBody InternalError OperationAborted RequestTimeout ServiceUnavailable"
    " XAmzContentChecksumMismatch XAmzContentSHA256Mismatch"
)
"""Codes of errors after which a retry may succeed, including bytes damaged in transit."""
_OTHER_REGION_CODES: Final = sdk.word_set(
    "AuthorizationHeaderMalformed IllegalLocationConstraintException PermanentRedirect Redirect"
    " TemporaryRedirect"
)
_BUCKET: Final = frozenset({"NoSuchBucket", "InvalidBucketName"})


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body; the body may report a failure despite status 200."""
    if sdk.is_success(response.status) and b"<Error>" not in response.body[:1_000]:
        return None
    code, words, region = _failure_details(request, response)
    if code is None:
        return None
    status = response.status
    if code in _MISSING and _replaces(request):
        # The object to be replaced is missing, so it is not the object of the condition.
        code, status = "PreconditionFailed", 412
    return failure(
        code,
        words,
        status=status,
        response=response,
        region=region or response.header("x-amz-bucket-region"),
    )


def _replaces(request: sdk.Request) -> bool:
    """True if a request writes an object only if its ETag is unchanged, and is not a copy."""
    headers = request.headers
    is_reading = request.method in {"GET", "HEAD"}
    return "if-match" in headers and "x-amz-copy-source" not in headers and not is_reading


def _failure_details(
    request: sdk.Request, response: sdk.Response
) -> tuple[str | None, str | None, str | None]:
    """The code, text and region of a failure; a response to HEAD has only a status."""
    try:
        error = sdk.read_xml(response.body)
    except sdk.NotXmlError:
        if request.method == "HEAD":
            return _CODES_OF_HEAD.get(response.status), None, None
        return None, None, None
    if error.name != "Error":
        return None, None, None
    return error.text("Code"), error.text("Message"), error.text("Region")


_CODES_OF_HEAD: Final = {
    301: "PermanentRedirect",
    404: "NoSuchKey",
    412: "PreconditionFailed",
    503: "SlowDown",
}


def failure(
    code: str,
    words: str | None,
    *,
    status: int | None = None,
    response: sdk.Response | None = None,
    region: str | None = None,
) -> sdk.ConnectorError:
    """The error for an S3 error code."""
    message = sdk.masked_words(words)
    fields: dict[str, Any] = {
        "status": status,
        "vendor_code": code,
        "vendor_message": message,
        "response": response,
    }
    kind: type[sdk.ConnectorError] = sdk.VendorRejected
    if code in _MISSING:
        kind = sdk.FileNotFound
    elif code == "BucketAlreadyExists":
        kind = sdk.AlreadyExists
    elif code in _ACCESS_CODES:
        kind = sdk.AuthenticationFailed
    elif code in _THROTTLING_CODES:
        kind = sdk.RateLimitExceeded
        fields["by_vendor"] = True
    elif code in _OUTAGE_CODES or (status is not None and status >= 500):
        kind = sdk.VendorFailed
    elif code in _OTHER_REGION_CODES:
        kind = sdk.InvalidRequest
        fields["remedy"] = (
            f"Set region = {region!r}, the region of the bucket."
            if region
            else "Set `region` to the region of the bucket."
        )
    elif code in _BUCKET:
        fields["remedy"] = "Correct the bucket's name, or create the bucket."
    elif status in {400, 416}:
        kind = sdk.InvalidRequest
    return kind(f"S3 refused: {message or code}", **fields)


def checksums(headers: sdk.Headers) -> tuple[Checksum, ...]:
    """The checksums in a response."""
    checksums_sent = (
        Checksum.from_base64(algorithm, headers.get(f"x-amz-checksum-{algorithm}"))
        for algorithm in ChecksumAlgorithm
    )
    return tuple(item for item in checksums_sent if item is not None)


def info(wire: sdk.Wire, key: str, headers: sdk.Headers, **overrides: Any) -> ObjectInfo:
    """An object's properties, from a response's headers."""
    metadata = {
        name.lower().removeprefix(_META): plain_word(value)
        for name, value in headers.pairs
        if name.lower().startswith(_META)
    }
    fields: dict[str, Any] = {
        "size": byte_count(headers.get("content-length")),
        "etag": bare_etag(headers.get("etag")),
        "checksums": checksums(headers),
        "content_type": media_type(headers.get("content-type")),
        "content_encoding": stored_encoding(headers.get("content-encoding")),
        "content_disposition": headers.get("content-disposition"),
        "content_language": headers.get("content-language"),
        "cache_control": headers.get("cache-control"),
        "last_modified": sdk.as_time(headers.get("last-modified")),
        "metadata": metadata,
        "version": headers.get("x-amz-version-id"),
        "storage_class": headers.get("x-amz-storage-class"),
        "raw": dict(headers),
    }
    return ObjectInfo(ref=wire.ref(key), key=key, **{**fields, **overrides})


def page(wire: sdk.Wire, response: sdk.Response) -> ListPage:
    """Parse a page of a list."""
    listing = root(response, "ListBucketResult")
    is_encoded = listing.text("EncodingType") == "url"
    objects = tuple(
        ObjectInfo(
            ref=wire.ref(key),
            key=key,
            size=byte_count(element.text("Size")),
            etag=bare_etag(element.text("ETag")),
            last_modified=sdk.as_time(element.text("LastModified")),
            storage_class=element.text("StorageClass"),
            raw=element.as_dict(),
        )
        for element in listing.all("Contents")
        if (key := plain(element.text("Key"), encoded=is_encoded))
    )
    prefixes = (
        plain(common_prefixes.text("Prefix"), encoded=is_encoded)
        for common_prefixes in listing.all("CommonPrefixes")
    )
    next_token = (
        listing.text("NextContinuationToken") if listing.text("IsTruncated") == "true" else None
    )
    return ListPage(
        objects=objects,
        prefixes=tuple(prefix for prefix in prefixes if prefix),
        next_cursor=next_token,
        raw=listing.as_dict(),
    )


def plain(text: str | None, *, encoded: bool) -> str:
    """Decode a listed key, which may be URL-encoded."""
    return unquote_plus(text or "") if encoded else text or ""


def parts(response: sdk.Response) -> tuple[list[Part], str | None]:
    """Parse an upload's parts and the next page's marker."""
    listing = root(response, "ListPartsResult", "ListPartsResponse")
    results = [part for element in listing.all("Part") if (part := _read_part(element)) is not None]
    return results, listing.text("NextPartNumberMarker") if listing.text(
        "IsTruncated"
    ) == "true" else None


def _read_part(element: sdk.XmlElement) -> Part | None:
    number, size = byte_count(element.text("PartNumber")), byte_count(element.text("Size"))
    etag = bare_etag(element.text("ETag"))
    if number is None or size is None or etag is None:
        return None
    checksums = (
        Checksum.from_base64(algorithm, element.text(f"Checksum{algorithm.upper()}"))
        for algorithm in ChecksumAlgorithm
    )
    return Part(
        number=number,
        size=size,
        etag=etag,
        checksum=next((item for item in checksums if item is not None), None),
    )


def uploads(
    wire: sdk.Wire, response: sdk.Response
) -> tuple[list[Upload], dict[str, str | None] | None]:
    """Parse unfinished uploads and the next page's parameters."""
    listing = root(response, "ListMultipartUploadsResult")
    is_encoded = listing.text("EncodingType") == "url"
    results = [
        Upload(
            ref=wire.ref(key, upload=id_),
            key=key,
            id=id_,
            started_at=sdk.as_time(element.text("Initiated")),
            raw=element.as_dict(),
        )
        for element in listing.all("Upload")
        if (key := plain(element.text("Key"), encoded=is_encoded))
        and (id_ := element.text("UploadId"))
    ]
    if listing.text("IsTruncated") != "true":
        return results, None
    marker = plain(listing.text("NextKeyMarker"), encoded=is_encoded)
    if not marker:
        # Otherwise the link would lead back to the beginning, forever.
        raise sdk.malformed(response, "NextKeyMarker")
    return results, {
        "key-marker": marker,
        "upload-id-marker": listing.text("NextUploadIdMarker"),
    }


def containers(response: sdk.Response) -> tuple[list[Container], str | None]:
    """Parse a page of buckets and the next page's token."""
    listing = root(response, "ListAllMyBucketsResult")
    buckets = next(listing.all("Buckets"), sdk.XmlElement("Buckets", {}))
    results = [
        Container(
            name=sdk.required(element.text("Name"), response, "Name"),
            created_at=sdk.as_time(element.text("CreationDate")),
            raw=element.as_dict(),
        )
        for element in buckets.all("Bucket")
    ]
    return results, listing.text("ContinuationToken")


def deletion_results(response: sdk.Response, keys: Sequence[str]) -> list[sdk.Result[None]]:
    """Parse the result of each deleted key."""
    result = root(response, "DeleteResult")
    deleted_keys = {item.text("Key") for item in result.all("Deleted")}
    failed_errors = {
        error.text("Key"): failure(error.text("Code") or "InternalError", error.text("Message"))
        for error in result.all("Error")
    }
    return [
        sdk.Result()
        if key in deleted_keys
        else sdk.Result(error=failed_errors.get(key) or sdk.malformed(response, "key"))
        for key in keys
    ]


def stored_object(
    wire: sdk.Wire, key: str, response: sdk.Response, options: PutOptions, **overrides: Any
) -> ObjectInfo:
    """The properties of an object that was stored."""
    stored_info = info(
        wire,
        key,
        response.headers,
        content_type=media_type(options.content_type),
        content_encoding=options.content_encoding,
        content_disposition=options.content_disposition,
        content_language=options.content_language,
        cache_control=options.cache_control,
        metadata=dict(options.metadata),
        **overrides,
    )
    return identified(stored_info, response)


def combined_etag(parts: Sequence[Part]) -> str | None:
    """The ETag of an object made from these parts, for vendors whose ETags are MD5 sums."""
    try:
        digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    except ValueError:
        return None
    return f"{Checksum.of(ChecksumAlgorithm.MD5, digests).value}-{len(parts)}"
