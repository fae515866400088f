"""Requests to Azure Blob Storage."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import attrs

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.vendor_sdk import InvalidData, Request, UnsupportedByVendor, xml_element
from moorage.vendors.storage._azure_blob_sas import moment
from moorage.vendors.storage._common import (
    AS_PUT,
    Fields,
    encoded_word,
    get_if,
    header_text,
    put_if,
    quoted_etag,
    with_vendor_options,
    without_empty,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from moorage.contracts.storage import GetOptions, ObjectInfo, PutOptions

META: Final = "x-ms-meta-"
SCOPE: Final = "x-ms-encryption-scope"
_CONTENT: Final = {
    "x-ms-blob-content-type": "content_type",
    "x-ms-blob-content-encoding": "content_encoding",
    "x-ms-blob-content-disposition": "content_disposition",
    "x-ms-blob-content-language": "content_language",
    "x-ms-blob-cache-control": "cache_control",
}
_MD5: Final = "x-ms-blob-content-md5"
_CHANGED_BY_AZURE: Final = re.compile(r"\\|\.(?:/|\Z)")
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_LONGEST_KEY_LIFETIME: Final = timedelta(days=7)
_BYTES: Final = {"Content-Type": "application/octet-stream"}
_CONTAINER_RESOURCE: Final = {"restype": "container"}
_XML: Final = {"Content-Type": "application/xml"}


@attrs.frozen
class ContainerUrls:
    """The URLs of a container and its blobs.

    Attributes:
        endpoint: URL of the account, without a slash at the end.
        container: name of the container.
    """

    endpoint: str
    container: str

    @property
    def path(self) -> str:
        """The path of the container."""
        return f"/{self.container}"

    def blob(self, key: str) -> str:
        """A blob's path, encoded once, with its slashes kept.

        Raises:
            InvalidData: Azure would store it under another name.
        """
        if _CHANGED_BY_AZURE.search(key):
            raise InvalidData(
                "Azure does not accept a backslash in a key, or a dot at the end of a folder"
                " or a key.",
                field="key",
                remedy="Use another key, such as 'invoices/2041.pdf'.",
            )
        return f"{self.path}/{quote(key, safe='/')}"

    def url(self, key: str) -> str:
        """The URL of a blob."""
        return f"{self.endpoint}{self.blob(key)}"


def metadata(table: Mapping[str, str]) -> Fields:
    """Metadata as headers whose names are valid C# identifiers; dashes become underscores."""
    return {f"{META}{_quoted_name(name)}": _value(text) for name, text in table.items()}


def _quoted_name(name: str) -> str:
    return f"{'_' if name[0].isdigit() else ''}{name.replace('-', '_')}"


def _value(text: str) -> str:
    """Encode characters that a proxy could drop or change."""
    return header_text(text) if text and "  " not in text else encoded_word(text)


def object_headers(options: PutOptions) -> Fields:
    """A blob's options as headers; the caller's extra options override them."""
    fields = without_empty(
        {
            **_content(options),
            "x-ms-access-tier": options.storage_class,
            SCOPE: options.encryption,
            "x-ms-tags": urlencode(options.tags, quote_via=quote) or None,
            **metadata(options.metadata),
        }
    )
    return with_vendor_options(fields, "azure_blob", options.extra)


def _content(options: PutOptions) -> dict[str, str | None]:
    return {header: getattr(options, name) for header, name in _CONTENT.items()}


def md5_of(data: bytes) -> Checksum:
    """The MD5 checksum that Azure verifies."""
    return Checksum.of(ChecksumAlgorithm.MD5, data)


def put(
    path: str, data: bytes, checksum: Checksum, options: PutOptions, stored_fields: Fields
) -> Request:
    """The request that stores a blob."""
    headers = {
        "x-ms-blob-type": "BlockBlob",
        "Content-MD5": checksum.base64,
        **_BYTES,
        **put_if(options),
        **stored_fields,
    }
    return Request.put(path, headers=headers, body=data)


def get(path: str, options: GetOptions) -> Request:
    """The request that downloads a blob or a range of it."""
    headers = {**AS_PUT, **get_if(options)}
    if options.range is not None:
        headers["x-ms-range"] = options.range.header
    return Request.get(path, headers=headers, query={"versionid": options.version})


def listed(
    path: str, prefix: str, *, delimiter: str | None, cursor: str | None, limit: int
) -> Request:
    """The request that lists blobs."""
    query = {
        "restype": "container",
        "comp": "list",
        "prefix": prefix or None,
        "delimiter": delimiter,
        "marker": cursor,
        "maxresults": limit,
    }
    return Request.get(path, query=query)


# --- containers --------------------------------------------------------------


def listed_containers(cursor: str | None) -> Request:
    """The request that lists the account's containers."""
    return Request.get("/", query={"comp": "list", "marker": cursor})


def created_container(name: str) -> Request:
    """The request that creates a container."""
    return Request.put(f"/{name}", query=_CONTAINER_RESOURCE)


def contents(name: str, cursor: str | None) -> Request:
    """The request for one blob of a container, including unfinished blobs and snapshots."""
    request = listed(f"/{name}", "", delimiter=None, cursor=cursor, limit=1)
    include = {"include": "snapshots,uncommittedblobs,versions"}
    return Request.get(request.path, query={**dict(request.query), **include})


def deleted_container(name: str) -> Request:
    """The request that deletes a container with all its blobs."""
    return Request.delete(f"/{name}", query=_CONTAINER_RESOURCE)


# --- copies ------------------------------------------------------------------


def copy(source: str, path: str, options: PutOptions | None) -> Request:
    """The request that copies a blob within the account.

    Raises:
        UnsupportedByVendor: the options ask for a different encryption of the copy.
    """
    headers = {"x-ms-copy-source": source}
    if options is not None:
        if options.encryption is not None:
            raise UnsupportedByVendor(
                "Azure copies a blob within an account only with its existing encryption.",
                remedy="Leave `encryption` out, or download the object and upload it again.",
            )
        storage_headers = {
            name: text for name, text in object_headers(options).items() if name not in _CONTENT
        }
        headers |= {**put_if(options), **storage_headers}
    return Request.put(path, headers=headers)


def restated_headers(path: str, copied: ObjectInfo, options: PutOptions) -> list[Request]:
    """The headers that repeat a blob's properties in a request for a copy."""
    if_match_headers = without_empty({"If-Match": copied.etag and quoted_etag(copied.etag)})
    md5 = next((checksum.base64 for checksum in copied.checksums), None)
    # Properties that the request does not state are removed, but the checksum must stay.
    content = without_empty({**_content(options), _MD5: md5})
    requests = [
        Request.put(path, query={"comp": "properties"}, headers={**content, **if_match_headers})
    ]
    if not options.metadata:
        # If a copy has no metadata, Azure gives it the metadata of its source.
        requests.append(Request.put(path, query={"comp": "metadata"}))
    return requests


# --- delegation keys ----------------------------------------------------------


def delegation(now: datetime, until: datetime) -> Request:
    """The request for a user delegation key; if it is repeated, Azure returns the same key."""
    # The signature is valid from some time ago, in case our clock is ahead, for at most a week.
    key_start = max(now - _CLOCK_TOLERANCE, until - _LONGEST_KEY_LIFETIME)
    times = xml_element("Start", moment(key_start)) + xml_element("Expiry", moment(until))
    body = f'<?xml version="1.0" encoding="utf-8"?><KeyInfo>{times}</KeyInfo>'.encode()
    query = {"restype": "service", "comp": "userdelegationkey"}
    return Request.post("/", query=query, headers=_XML, body=body).evolve(idempotent=True)


# --- blocks --------------------------------------------------------------------


def put_block(
    path: str, block: str, data: bytes, checksum: Checksum, stored_fields: Fields
) -> Request:
    """The request that uploads a block."""
    scope = without_empty({SCOPE: stored_fields.get(SCOPE)})
    return Request.put(
        path,
        query={"comp": "block", "blockid": block},
        headers={"Content-MD5": checksum.base64, **_BYTES, **scope},
        body=data,
    )


def blocks(path: str) -> Request:
    """The request that lists a blob's committed and uncommitted blocks."""
    return Request.get(path, query={"comp": "blocklist", "blocklisttype": "all"})


def commit(path: str, names: Sequence[str], options: PutOptions, stored_fields: Fields) -> Request:
    """The request that makes a blob of uploaded blocks; a repeat finds them committed already."""
    block_list = "".join(xml_element("Latest", name) for name in names)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{block_list}</BlockList>'.encode()
    checksum = options.checksum
    md5 = checksum.base64 if checksum and checksum.algorithm is ChecksumAlgorithm.MD5 else None
    headers = {"Content-MD5": md5_of(body).base64, **_XML, **without_empty({_MD5: md5})}
    return Request.put(
        path,
        query={"comp": "blocklist"},
        headers={**headers, **put_if(options), **stored_fields},
        body=body,
    )
