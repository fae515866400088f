"""Parsing of Azure Blob Storage's responses: blobs, blocks and errors."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.storage import Container, ListPage, ObjectInfo
from moorage.vendors.storage._azure_blob_requests import META
from moorage.vendors.storage._common import (
    bare_etag,
    byte_count,
    media_type,
    plain_word,
    root,
    stored_encoding,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_AUTHENTICATION_CODES: Final = sdk.word_set(
    "AccountIsDisabled AuthenticationFailed AuthorizationFailure AuthorizationPermissionMismatch"
    " AuthorizationProtocolMismatch AuthorizationResourceTypeMismatch AuthorizationServiceMismatch"
    " AuthorizationSourceIPMismatch InsufficientAccountPermissions InvalidAuthenticationInfo"
    " KeyBasedAuthenticationNotPermitted NoAuthenticationInformation"
)
_BROKEN_CODES: Final = frozenset({"InternalError", "Md5Mismatch", "OperationTimedOut"})
"""Codes of errors after which a retry may succeed, including bytes damaged in transit."""
_CONDITION: Final = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"})
_REMEDIES: Final = {
    "BlobArchived": "First rehydrate the blob into an online tier, which takes hours.",
    "BlobBeingRehydrated": "Wait until the blob is back from the archive.",
    "ContainerBeingDeleted": "Wait until Azure has deleted the container, and create it again.",
    "ContainerNotFound": "Correct the container's name, or create the container.",
    "InvalidBlockList": "Start the upload again. Its blocks have expired, or the blob was"
    " replaced.",
    "SnapshotsPresent": "First delete the blob's snapshots.",
}


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, which is more specific than the status."""
    if response.status < 400:
        return None
    code, words = _failure_details(request, response)
    return None if code is None else _failure(code, words, response)


def _failure_details(request: sdk.Request, response: sdk.Response) -> tuple[str | None, str | None]:
    """The code and text of a failure; if the response has no body, the code from its header."""
    code = response.header("x-ms-error-code")
    if code is None and request.method == "HEAD" and response.status == 404:
        code = "BlobNotFound"
    try:
        error = sdk.read_xml(response.body)
    except sdk.NotXmlError:
        return code, None
    if error.name != "Error":
        return code, None
    return error.text("Code") or code, error.text("Message")


def _failure(code: str, words: str | None, response: sdk.Response) -> sdk.ConnectorError:
    """The error for an Azure error code."""
    # After the first line, the text has the request's id and time, which the headers have too.
    first_line = (words or "").partition("\n")[0].strip()
    message = sdk.masked_words(first_line)
    status = response.status
    fields: dict[str, Any] = {
        "status": status,
        "vendor_code": code,
        "vendor_message": message,
        "response": response,
    }
    kind: type[sdk.ConnectorError] = sdk.VendorRejected
    if code == "BlobNotFound" or (code == "CannotVerifyCopySource" and status == 404):
        kind = sdk.FileNotFound
    elif code in _AUTHENTICATION_CODES:
        kind = sdk.AuthenticationFailed
    elif code == "ServerBusy":
        kind = sdk.RateLimitExceeded
        fields["by_vendor"] = True
    elif code in _BROKEN_CODES or status >= 500:
        kind = sdk.VendorFailed
    elif code in _CONDITION:
        # An existing blob is reported as a conflict, although it breaks a condition of the request.
        fields["status"] = 412
    elif status in {400, 416}:
        kind = sdk.InvalidRequest
    if code in _REMEDIES:
        fields["remedy"] = _REMEDIES[code]
    return kind(f"Azure refused: {message or code}", **fields)


# --- delegation keys ----------------------------------------------------------

_DELEGATION_FIELDS: Final = {
    "skoid": "SignedOid",
    "sktid": "SignedTid",
    "skt": "SignedStart",
    "ske": "SignedExpiry",
    "sks": "SignedService",
    "skv": "SignedVersion",
}


@attrs.frozen
class DelegationKey:
    """A key for signing on a user's behalf, which Azure issues to a client of Entra ID.

    Attributes:
        key: the key in base64.
        named: parameters that identify the key in signatures, in the order of signing.
    """

    key: sdk.Secret
    named: Mapping[str, str]


def delegation_key(response: sdk.Response) -> DelegationKey:
    """Parse the key in a response.

    Raises:
        VendorFailed: the response contains no key.
    """
    root_element = root(response, "UserDelegationKey")
    fields = {
        parameter: root_element.text(name) or "" for parameter, name in _DELEGATION_FIELDS.items()
    }
    key = sdk.Secret(root_element.text("Value") or "")
    if not _is_key(key) or not all(fields.values()):
        # The response may contain the key, which an error would then show.
        raise sdk.malformed(response.evolve(body=b""), "Value")
    return DelegationKey(key, fields)


def _is_key(key: sdk.Secret) -> bool:
    try:
        return bool(b64decode(key.reveal_bytes(), validate=True))
    except ValueError:
        return False


# --- blobs -------------------------------------------------------------------


def info(wire: sdk.Wire, key: str, headers: sdk.Headers, **overrides: Any) -> ObjectInfo:
    """A blob's properties, from a response's headers."""
    fields: dict[str, Any] = {
        "size": byte_count(headers.get("content-length")),
        "checksums": _checksums(headers),
        "content_type": media_type(headers.get("content-type")),
        "content_encoding": stored_encoding(headers.get("content-encoding")),
        "content_disposition": headers.get("content-disposition"),
        "content_language": headers.get("content-language"),
        "cache_control": headers.get("cache-control"),
        "metadata": _metadata(headers),
        "storage_class": headers.get("x-ms-access-tier"),
    }
    return ObjectInfo(
        ref=wire.ref(key),
        key=key,
        etag=bare_etag(headers.get("etag")),
        last_modified=sdk.as_time(headers.get("last-modified")),
        version=headers.get("x-ms-version-id"),
        raw=dict(headers),
        **{**fields, **overrides},
    )


def put(
    wire: sdk.Wire, key: str, response: sdk.Response, stored: sdk.Headers, **overrides: Any
) -> ObjectInfo:
    """The properties of a blob that was just stored with these options."""
    return info(
        wire,
        key,
        response.headers,
        content_type=media_type(stored.get("x-ms-blob-content-type")),
        content_encoding=stored_encoding(stored.get("x-ms-blob-content-encoding")),
        content_disposition=stored.get("x-ms-blob-content-disposition"),
        content_language=stored.get("x-ms-blob-content-language"),
        cache_control=stored.get("x-ms-blob-cache-control"),
        metadata=_metadata(stored),
        storage_class=stored.get("x-ms-access-tier"),
        **overrides,
    )


def _checksums(headers: sdk.Headers) -> tuple[Checksum, ...]:
    """The checksum of the whole blob.

    If a range was requested, a response may state another one.
    """
    is_partial = "content-range" in headers
    md5 = headers.get("x-ms-blob-content-md5") or (
        None if is_partial else headers.get("content-md5")
    )
    checksum = Checksum.from_base64(ChecksumAlgorithm.MD5, md5)
    return () if checksum is None else (checksum,)


def _metadata(headers: sdk.Headers) -> dict[str, str]:
    return {
        _child_text(name.lower().removeprefix(META)): plain_word(value)
        for name, value in headers.pairs
        if name.lower().startswith(META)
    }


def _child_text(name: str) -> str:
    """The original name of a metadata entry; Azure allows only names that are C# identifiers."""
    return name.removeprefix("_").replace("_", "-")


def page(wire: sdk.Wire, response: sdk.Response) -> ListPage:
    """Parse a page of a list."""
    listing = root(response, "EnumerationResults")
    blobs = next(listing.all("Blobs"), sdk.XmlElement("Blobs", {}))
    objects = tuple(
        _listed_object(wire, key, element)
        for element in blobs.all("Blob")
        if (key := _name(element)) is not None
    )
    prefixes = (_name(element) for element in blobs.all("BlobPrefix"))
    return ListPage(
        objects=objects,
        prefixes=tuple(prefix for prefix in prefixes if prefix is not None),
        next_cursor=listing.text("NextMarker"),
        raw=listing.as_dict(),
    )


def containers(response: sdk.Response) -> tuple[list[Container], str | None]:
    """Parse a page of containers, and the next page's marker; Azure states no creation times."""
    listing = root(response, "EnumerationResults")
    entries = next(listing.all("Containers"), sdk.XmlElement("Containers", {}))
    results = [
        Container(name=sdk.required(element.text("Name"), response, "Name"), raw=element.as_dict())
        for element in entries.all("Container")
    ]
    return results, listing.text("NextMarker")


def marker_of_empty_page(wire: sdk.Wire, response: sdk.Response, name: str) -> str | None:
    """The marker of the page after a page without blobs; None after the last page.

    Raises:
        VendorRejected: the container has at least one blob.
    """
    listing = page(wire, response)
    if listing.objects:
        raise sdk.VendorRejected(
            f"The container {name!r} has blobs, so moorage has not deleted it.",
            status=409,
            response=response,
            remedy="Delete the blobs, with their snapshots and versions, and repeat the call.",
        )
    return listing.next_cursor


def _listed_object(wire: sdk.Wire, key: str, element: sdk.XmlElement) -> ObjectInfo:
    properties = next(element.all("Properties"), sdk.XmlElement("Properties", {}))
    md5 = Checksum.from_base64(ChecksumAlgorithm.MD5, properties.text("Content-MD5"))
    return ObjectInfo(
        ref=wire.ref(key),
        key=key,
        size=byte_count(properties.text("Content-Length")),
        etag=bare_etag(properties.text("Etag")),
        checksums=() if md5 is None else (md5,),
        content_type=media_type(properties.text("Content-Type")),
        content_encoding=stored_encoding(properties.text("Content-Encoding")),
        content_disposition=properties.text("Content-Disposition"),
        content_language=properties.text("Content-Language"),
        cache_control=properties.text("Cache-Control"),
        last_modified=sdk.as_time(properties.text("Last-Modified")),
        version=element.text("VersionId"),
        storage_class=properties.text("AccessTier"),
        raw=element.as_dict(),
    )


def _name(element: sdk.XmlElement) -> str | None:
    """The name of a blob, decoded if it contains characters that XML does not allow."""
    name = next(element.all("Name"), None)
    if name is None or not name.content:
        return None
    return unquote(name.content) if name.attributes.get("Encoded") == "true" else name.content


def blocks(response: sdk.Response, kind: str) -> list[tuple[str, int]]:
    """The names and sizes of a blob's blocks of one kind."""
    listing = root(response, "BlockList")
    group = next(listing.all(kind), sdk.XmlElement(kind, {}))
    return [
        (name, size)
        for block in group.all("Block")
        if (name := block.text("Name")) is not None
        and (size := byte_count(block.text("Size"))) is not None
    ]
