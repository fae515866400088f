"""Requests to S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.storage import GetOptions, Part, PutOptions, UrlOptions, Visibility
from moorage.vendor_sdk import Request, xml_element
from moorage.vendors.storage._common import (
    AS_PUT,
    Fields,
    get_if,
    header_text,
    put_if,
    quoted_etag,
    with_vendor_options,
    without_empty,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_FIRST_REGION: Final = "us-east-1"
"""The region in which S3 creates a bucket without a location; S3 refuses requests that state it."""
_ACLS: Final = {Visibility.PRIVATE: "private", Visibility.PUBLIC: "public-read"}


def path(key: str) -> str:
    """An object's path, encoded once, with its slashes kept."""
    return "/" + quote(key, safe="/")


def object_headers(options: PutOptions) -> Fields:
    """An object's options as headers; the caller's extra options override them."""
    fields = without_empty(
        {
            "Content-Type": options.content_type,
            "Content-Encoding": options.content_encoding,
            "Content-Disposition": options.content_disposition,
            "Content-Language": options.content_language,
            "Cache-Control": options.cache_control,
            "x-amz-acl": options.visibility and _ACLS[options.visibility],
            "x-amz-storage-class": options.storage_class,
            "x-amz-server-side-encryption": options.encryption,
            "x-amz-tagging": urlencode(options.tags, quote_via=quote) or None,
        }
    )
    for name, text in options.metadata.items():
        fields[f"x-amz-meta-{name}"] = header_text(text)
    return with_vendor_options(fields, "s3", options.extra)


def proof(data: bytes, algorithm: ChecksumAlgorithm | None) -> tuple[Checksum | None, Fields]:
    """Return a checksum of a request's body, and the headers that state the checksum."""
    sha = Checksum.of(ChecksumAlgorithm.SHA256, data)
    fields = {"x-amz-content-sha256": sha.value}
    if algorithm is None:
        return None, fields
    checksum = sha if algorithm is ChecksumAlgorithm.SHA256 else Checksum.of(algorithm, data)
    return checksum, {**fields, f"x-amz-checksum-{algorithm}": checksum.base64}


def put(key: str, data: bytes, options: PutOptions, fields: Fields) -> Request:
    """The request that stores an object."""
    headers = {**fields, **put_if(options), **object_headers(options)}
    return Request.put(path(key), headers=headers, body=data)


def get(key: str, options: GetOptions) -> Request:
    """The request that downloads an object or a range of it."""
    headers = {**AS_PUT, **get_if(options), "x-amz-checksum-mode": "ENABLED"}
    if options.range is not None:
        headers["Range"] = options.range.header
    return Request.get(path(key), headers=headers, query={"versionId": options.version})


def shared(key: str, options: UrlOptions) -> Request:
    """The request that a signed URL allows others to send."""
    is_write = options.method in {"PUT", "DELETE"}
    headers = without_empty(
        {"Content-Type": options.content_type if options.method == "PUT" else None}
    )
    query = {
        "response-content-type": options.content_type,
        "response-content-disposition": options.content_disposition,
    }
    return Request(options.method, path(key), headers=headers, query={} if is_write else query)


def delete_many(keys: Sequence[str]) -> Request:
    """The request that deletes objects, with a checksum that older servers support too."""
    objects = "".join(f"<Object>{xml_element('Key', key)}</Object>" for key in keys)
    body = f'<Delete xmlns="{_NAMESPACE}">{objects}</Delete>'.encode()
    digest = Checksum.of(ChecksumAlgorithm.MD5, body).base64
    headers = {"Content-Type": "application/xml", "Content-MD5": digest}
    request = Request.post("/", query={"delete": ""}, headers=headers, body=body)
    return request.evolve(idempotent=True)


def create_bucket(name: str, region: str) -> Request:
    """The request that creates a bucket; a repeat reports that the account owns it."""
    location = xml_element("LocationConstraint", region)
    body = (
        b""
        if region == _FIRST_REGION
        else (
            f'<CreateBucketConfiguration xmlns="{_NAMESPACE}">{location}'
            "</CreateBucketConfiguration>".encode()
        )
    )
    return Request.put(f"/{name}", headers={"Content-Type": "application/xml"}, body=body)


def complete(key: str, upload: str, parts: Sequence[Part], options: PutOptions) -> Request:
    """The request that makes an object from parts."""
    body = "".join(f"<Part>{_part_element(part)}</Part>" for part in parts)
    headers = {
        "Content-Type": "application/xml",
        "x-amz-mp-object-size": str(sum(part.size for part in parts)),
        **put_if(options),
    }
    request = Request.post(
        path(key),
        query={"uploadId": upload},
        headers=headers,
        body=f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{body}'
        "</CompleteMultipartUpload>".encode(),
    )
    # A repeat reports that the upload does not exist, so the object is checked instead.
    return request.evolve(idempotent=True)


def _part_element(part: Part) -> str:
    sum_ = part.checksum
    checksum = "" if sum_ is None else xml_element(f"Checksum{sum_.algorithm.upper()}", sum_.base64)
    number, etag = (
        xml_element("PartNumber", part.number),
        xml_element("ETag", quoted_etag(part.etag)),
    )
    return f"{number}{etag}{checksum}"
