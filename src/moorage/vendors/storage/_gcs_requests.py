"""Requests to Google Cloud Storage."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.storage import GetOptions, PutOptions, Visibility
from moorage.vendor_sdk import InvalidData, Request, encode_json, extra_for, merged
from moorage.vendors.storage._common import AS_PUT

if TYPE_CHECKING:
    from collections.abc import Mapping


STEP: Final = 262_144
"""Every chunk of an upload except the last must be a multiple of this many bytes."""

_GENERATION: Final = re.compile("0*[1-9][0-9]{0,18}")
_ACLS: Final = {Visibility.PRIVATE: "private", Visibility.PUBLIC: "publicRead"}
_JSON: Final = "application/json; charset=UTF-8"

Query = dict[str, str | None]


def objects(bucket: str) -> str:
    """The path of all objects."""
    return f"/storage/v1/b/{bucket}/o"


def object_path(bucket: str, key: str) -> str:
    """The path of an object."""
    return f"{objects(bucket)}/{quote(key, safe='')}"


def _uploads(bucket: str) -> str:
    return f"/upload{objects(bucket)}"


def generation(etag: str | None, field: str) -> str | None:
    """The generation of an object, from an ETag that moorage returned.

    Raises:
        InvalidData: the ETag is not a generation, and Google would misinterpret it.
    """
    if etag is None or _GENERATION.fullmatch(etag):
        return etag
    raise InvalidData(
        f"{etag[:80]!r} is not an ETag of Google Cloud Storage.",
        field=field,
        remedy="Pass the `etag` that an earlier operation returned for the object.",
    )


def _precondition(options: PutOptions) -> str | None:
    if options.if_none_match is not None:
        return "0"
    return generation(options.if_match, "if_match")


def _upload_parameters(options: PutOptions) -> Query:
    """An upload's query parameters: visibility, object key and conditions."""
    return {
        "predefinedAcl": options.visibility and _ACLS[options.visibility],
        "kmsKeyName": options.encryption,
        "ifGenerationMatch": _precondition(options),
    }


def _resource(options: PutOptions, **more: str) -> dict[str, Any]:
    """An object's options as metadata; the caller's extra options override them."""
    fields: dict[str, Any] = {
        "contentType": options.content_type,
        "contentEncoding": options.content_encoding,
        "contentDisposition": options.content_disposition,
        "contentLanguage": options.content_language,
        "cacheControl": options.cache_control,
        "metadata": dict(options.metadata) or None,
        "storageClass": options.storage_class,
    }
    object_fields = {name: value for name, value in fields.items() if value is not None}
    return merged({**object_fields, **more}, extra_for("gcs", options.extra))


def put(bucket: str, key: str, data: bytes, options: PutOptions, boundary: str) -> Request:
    """The request that stores an object; Google checks the MD5 that is stated in it."""
    md5 = Checksum.of(ChecksumAlgorithm.MD5, data).base64
    resource = encode_json(_resource(options, name=key, md5Hash=md5))
    kind = options.content_type or "application/octet-stream"
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: {_JSON}\r\n\r\n".encode(),
            resource,
            f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode(),
            data,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    request = Request.post(
        _uploads(bucket),
        query={"uploadType": "multipart", **_upload_parameters(options)},
        headers={"Content-Type": f"multipart/related; boundary={boundary}"},
        body=body,
    )
    return request.evolve(idempotent=True)


def get(bucket: str, key: str, options: GetOptions) -> Request:
    """The request that downloads an object or a range of it."""
    etag, byte_range = None if options.if_match == "*" else options.if_match, options.range
    return Request.get(
        object_path(bucket, key),
        query={
            "alt": "media",
            "generation": options.version,
            "ifGenerationMatch": generation(etag, "if_match"),
            "ifGenerationNotMatch": generation(options.if_none_match, "if_none_match"),
        },
        headers=AS_PUT if byte_range is None else {**AS_PUT, "Range": byte_range.header},
    )


def properties_request(bucket: str, key: str, version: str | None) -> Request:
    """The request for an object's properties."""
    return Request.get(object_path(bucket, key), query={"generation": version})


def delete(bucket: str, key: str, version: str | None) -> Request:
    """The request that deletes an object, or one of its generations permanently."""
    return Request.delete(object_path(bucket, key), query={"generation": version})


def listing(bucket: str, **query: Any) -> Request:
    """The request that lists objects."""
    return Request.get(objects(bucket), query=query)


def rewrite(
    bucket: str, source: str, key: str, options: PutOptions | None, token: str | None
) -> Request:
    """The request that copies an object, or continues a copy."""
    query: Query = {"rewriteToken": token}
    if options is not None:
        query |= {
            "destinationPredefinedAcl": options.visibility and _ACLS[options.visibility],
            "destinationKmsKeyName": options.encryption,
            "ifGenerationMatch": _precondition(options),
        }
    path = f"{object_path(bucket, source)}/rewriteTo/b/{bucket}/o/{quote(key, safe='')}"
    if options is None:
        request = Request.post(path, query=query)
    else:
        request = Request.post(path, query=query, json=_resource(options))
    return request.evolve(idempotent=True)


# --- buckets -----------------------------------------------------------------

_BUCKETS: Final = "/storage/v1/b"


def listed_buckets(project: str, token: str | None, prefix: str | None = None) -> Request:
    """The request that lists the buckets of a project."""
    return Request.get(_BUCKETS, query={"project": project, "prefix": prefix, "pageToken": token})


def create_bucket(project: str, name: str, location: str | None) -> Request:
    """The request that creates a bucket."""
    resource = {"name": name} if location is None else {"name": name, "location": location}
    # A repeat finds the existing bucket in the project.
    request = Request.post(_BUCKETS, query={"project": project}, json=resource)
    return request.evolve(idempotent=True)


def delete_bucket(name: str) -> Request:
    """The request that deletes an empty bucket."""
    return Request.delete(f"{_BUCKETS}/{name}")


# --- resumable uploads -------------------------------------------------------


def start(bucket: str, key: str, options: PutOptions) -> Request:
    """The request that starts an upload."""
    request = Request.post(
        _uploads(bucket),
        query={"uploadType": "resumable", **_upload_parameters(options)},
        json=_resource(options, name=key),
    )
    # A retry may orphan the first upload, which Google deletes after a week.
    return request.evolve(idempotent=True)


def _session(bucket: str, id_: str) -> tuple[str, Mapping[str, str]]:
    return _uploads(bucket), {"uploadType": "resumable", "upload_id": id_}


def chunk(
    bucket: str, id_: str, at: int, data: bytes, *, total: int | None, md5: str | None
) -> Request:
    """The request that uploads bytes; the last one states the object's length and MD5.

    It is sent once: if the number of stored bytes is uncertain, Google is asked for it.
    """
    span = f"{at}-{at + len(data) - 1}" if data else "*"
    headers = {"Content-Range": f"bytes {span}/{'*' if total is None else total}"}
    if md5 is not None:
        headers["X-Goog-Hash"] = f"md5={md5}"
    return _with_plain_status(bucket, id_, headers, data).evolve(idempotent=False)


def progress(bucket: str, id_: str) -> Request:
    """The request for the number of stored bytes."""
    return _with_plain_status(bucket, id_, {"Content-Range": "bytes */*"}, b"")


def _with_plain_status(bucket: str, id_: str, headers: Mapping[str, str], data: bytes) -> Request:
    """Add the header that makes Google answer 200 instead of 308."""
    path, query = _session(bucket, id_)
    fields = {**headers, "X-GUploader-No-308": "yes"}
    return Request.put(path, query=query, headers=fields, body=data)


def abort(bucket: str, id_: str) -> Request:
    """The request that aborts an upload."""
    path, query = _session(bucket, id_)
    return Request.delete(path, query=query)
