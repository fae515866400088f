"""A local sandbox that imitates Azure Blob Storage.

It is strict: its own code checks signatures (also of URLs), versions, headers, metadata, checksums,
names of blocks, and conditions. It keeps versions. Bodies are stored on disk, so that `serving()`
takes files of any size.

Containers can be listed, created and deleted; as in Azure, a deleted container loses its blobs.

Magic keys: `magic/server-busy`, `magic/denied`, `magic/internal-error`, `magic/archived` and
`magic/snapshots` fail every request with the error in their names; a copy of `magic/uncopied`
fails.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

import attrs

from moorage.domain.http.requests import Request, Timeouts
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.storage._azure_auth import (
    Account,
    authentication_error,
    check_sas,
    check_shared_key,
    delegation_key,
)
from moorage.testing.sandboxes.storage._azure_documents import (
    Blob,
    Block,
    azure_error,
    blob_headers,
    check_block_name,
    check_headers,
    check_md5,
    check_version,
    content,
    document,
    invalid_value,
    is_metadata,
    is_wanted,
    may_write,
    metadata,
    parse_body,
    range_of,
    stored_headers,
    xml_reply,
)
from moorage.testing.sandboxes.storage._containers import Containers
from moorage.testing.sandboxes.storage._listing import page_of
from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer, Reply, tag
from moorage.testing.sandboxes.storage._spooling import SpoolingSandbox
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.storage._s3_store import Piece, Spool

_MAGIC: Final = {
    "magic/server-busy": ("ServerBusy", 503, "The server is busy."),
    "magic/denied": ("AuthorizationFailure", 403, "This request is not authorized."),
    "magic/internal-error": ("InternalError", 500, "The server encountered an internal error."),
    "magic/archived": ("BlobArchived", 409, "This operation is not permitted on an archived blob."),
    "magic/snapshots": ("SnapshotsPresent", 409, "The blob has snapshots."),
}
_UNCOPIED: Final = "magic/uncopied"
_NOT_XML: Final = re.compile("[\ufffe\uffff]")
_LISTS: Final = {"Committed", "Latest", "Uncommitted"}
_LONGEST_PAGE: Final = 5_000


def _now() -> datetime:
    return datetime.now(UTC)


class AzureBlobSandbox(SpoolingSandbox):
    """A sandbox of Azure Blob Storage with one container.

    Args:
        account, container: names of the account and the container.
        key: the account's key, in base64.
        directory, client_id, client_secret: tenant and client that Entra ID accepts.
        now: returns the current time.

    Attributes:
        token_endpoint: the endpoint that grants access tokens.
        looks: number of look-ups to which a new copy is reported as pending.
    """

    unreadable_code = "InvalidInput"

    def __init__(
        self,
        account: str = "sandboxaccount",
        container: str = "sandbox-container",
        *,
        key: str = "c2FuZGJveC1henVyZS1hY2NvdW50LWtleQ==",
        directory: str = "5a1d3c0e-0b3d-4d8f-9f00-3c2f6f1d2a10",
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-client-secret",
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__()
        self.directory = directory
        self.token_endpoint = TokenEndpoint(
            f"/{directory}/oauth2/v2.0/token",
            client_id,
            client_secret,
            posted=True,
            scope="https://storage.azure.com/.default",
        )
        self.mounts = {self.token_endpoint.path: self.token_endpoint}
        self.account = Account(account, key)
        self.container = container
        self.containers = Containers(container, now)
        self.hosts = (f"{account}.blob.core.windows.net", "login.microsoftonline.com")
        self.looks = 0
        self.blobs: dict[str, Blob] = {}
        self.versions: dict[tuple[str, str], Blob] = {}
        self.blocks: dict[str, list[Block]] = {}
        self._now = now

    def lapse(self) -> None:
        """Delete all uncommitted blocks, as Azure does after a week."""
        with self._lock:
            self.blocks.clear()

    # --- requests ----------------------------------------------------------

    def refused(self, no: ErrorAnswer) -> Reply:
        """Return an error response in the vendor's format."""
        fields = {"Content-Type": "application/xml", "x-ms-error-code": no.code}
        return Reply(no.status, fields, azure_error(no.code, no.message, **no.more))

    def done(self, request: SandboxRequest, spool: Spool) -> Reply:
        """Execute a request to Azure Blob Storage."""
        query = dict(request.query)
        self._check_authentication(request, query, spool.size)
        if (request.method, query.get("comp")) == ("POST", "userdelegationkey"):
            return self._grant_delegation_key(request, spool)
        container, _, key = unquote(request.path).removeprefix("/").partition("/")
        if (request.method, container, query.get("comp")) == ("GET", "", "list"):
            check_headers(request, "get")
            return self._list_containers(request, query)
        if request.method in {"PUT", "DELETE"} and query == {"restype": "container"} and not key:
            check_headers(request, "get")
            return self._change_container(request, container)
        if container not in self.containers.created_at:
            raise ErrorAnswer("ContainerNotFound", 404, "The specified container does not exist.")
        if container != self.container:
            if key or request.method != "GET":
                raise ErrorAnswer("BlobNotFound", 404, "The specified blob does not exist.")
            return xml_reply(
                document(
                    "EnumerationResults",
                    "<Blobs></Blobs>",
                    ServiceEndpoint=f"https://{request.host}/",
                    ContainerName=container,
                )
            )
        if key in _MAGIC:
            raise ErrorAnswer(*_MAGIC[key])
        operation, handle = self._operation(request, key, query)
        check_headers(request, operation)
        if "chunked" in request.headers.get("transfer-encoding", ""):
            raise ErrorAnswer("MissingContentLengthHeader", 411)
        return handle(request, key, query, spool)

    def _check_authentication(
        self, request: SandboxRequest, query: dict[str, str], length: int
    ) -> None:
        if self.token_endpoint.allows(request):
            check_version(request)
        elif request.bearer() is not None:
            raise ErrorAnswer("InvalidAuthenticationInfo", 401, "Server failed to authenticate.")
        elif "sig" in query:
            check_sas(request, self.account, self._now())
        elif request.headers.get("authorization", "").startswith("SharedKey "):
            check_shared_key(request, length, self.account, self._now())
            check_version(request)
        else:
            raise ErrorAnswer("NoAuthenticationInformation", 401, "Server failed to authenticate.")

    def _operation(
        self, request: SandboxRequest, key: str, query: dict[str, str]
    ) -> tuple[str, Callable[[SandboxRequest, str, dict[str, str], Spool], Reply]]:
        """Return the name and handler of the requested operation."""
        comp = query.get("comp", "")
        if not key:
            if (request.method, comp, query.get("restype")) == ("GET", "list", "container"):
                return "get", self._list
            raise ErrorAnswer("UnsupportedHttpVerb", 405, "The resource doesn't support this.")
        copies = "x-ms-copy-source" in request.headers
        operation = {
            ("PUT", ""): ("copy", self._copy) if copies else ("put", self._put),
            ("PUT", "block"): ("block", self._put_block),
            ("PUT", "blocklist"): ("blocklist", self._commit),
            ("PUT", "properties"): ("properties", self._set_properties),
            ("PUT", "metadata"): ("metadata", self._set_metadata),
            ("GET", "blocklist"): ("get", self._list_blocks),
            ("GET", ""): ("get", self._get),
            ("HEAD", ""): ("get", self._get),
            ("DELETE", ""): ("get", self._delete),
        }.get((request.method, comp))
        if operation is None:
            raise ErrorAnswer("UnsupportedHttpVerb", 405, "The resource doesn't support this.")
        return operation

    def _grant_delegation_key(self, request: SandboxRequest, spool: Spool) -> Reply:
        if request.bearer() is None:
            raise authentication_error("Only authentication scheme Bearer is supported.")
        times = {element.tag: element.text or "" for element in parse_body(spool)}
        return xml_reply(delegation_key(self.account, times, self._now()))

    # --- blobs -------------------------------------------------------------

    def _store_blob(self, key: str, blob: Blob) -> Reply:
        self.blobs[key] = self.versions[key, blob.version] = blob
        return self._written_reply(blob, 201)

    def _written_reply(self, blob: Blob, status: int, **more: str) -> Reply:
        fields = {
            "ETag": f'"{blob.etag}"',
            "Last-Modified": format_datetime(blob.modified, usegmt=True),
            "x-ms-version-id": blob.version,
        }
        return Reply(status, fields | {name.replace("_", "-"): text for name, text in more.items()})

    def _new_version(self) -> tuple[str, str]:
        """Return a new unique ETag and version for a write."""
        number = self.number()
        return f"0x8D{number:013X}", f"{self._now():%Y-%m-%dT%H:%M:%S}.{number:07}Z"

    def _blob(self, key: str, query: dict[str, str]) -> Blob:
        version = query.get("versionid")
        blob = self.blobs.get(key) if version is None else self.versions.get((key, version))
        if blob is None:
            raise ErrorAnswer("BlobNotFound", 404, "The specified blob does not exist.")
        return blob

    def _put(self, request: SandboxRequest, key: str, _: dict[str, str], spool: Spool) -> Reply:
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise ErrorAnswer("MissingRequiredHeader", 400, HeaderName="x-ms-blob-type")
        md5 = check_md5(request, spool)
        may_write(request, self.blobs.get(key))
        self.blocks.pop(key, None)
        headers = content(request) | {"Content-MD5": md5}
        if "x-ms-blob-content-type" not in request.headers and "content-type" in request.headers:
            headers["Content-Type"] = request.headers["content-type"]
        etag, version = self._new_version()
        blob = Blob(
            etag=etag,
            version=version,
            pieces=(spool.piece(),),
            checksum=None,
            headers={**headers, **metadata(request), **stored_headers(request)},
            modified=self._now(),
        )
        reply = self._store_blob(key, blob)
        return attrs.evolve(reply, headers={**reply.headers, "Content-MD5": md5})

    def _get(self, request: SandboxRequest, key: str, query: dict[str, str], _: Spool) -> Reply:
        blob = self._blob(key, query)
        fields = blob_headers(blob)
        if blob.copy:
            fields["x-ms-copy-status"] = blob.copy[0] if len(blob.copy) == 1 else blob.copy.pop(0)
        for parameter, title in (("rscd", "Content-Disposition"), ("rsct", "Content-Type")):
            if parameter in query:
                fields[title] = query[parameter]
        if not is_wanted(request, blob):
            return Reply(304, {"ETag": fields["ETag"], "x-ms-error-code": "ConditionNotMet"})
        if request.method == "GET" and blob.headers["x-ms-access-tier"] == "Archive":
            raise ErrorAnswer(*_MAGIC["magic/archived"])
        header = request.headers.get("x-ms-range")
        if header is None:
            return Reply(200, fields, stored=(blob, 0, blob.size))
        start, length = range_of(header, blob.size)
        if "Content-MD5" in fields:
            fields["x-ms-blob-content-md5"] = fields.pop("Content-MD5")
        fields["Content-Range"] = f"bytes {start}-{start + length - 1}/{blob.size}"
        return Reply(206, fields, stored=(blob, start, length))

    def _delete(self, _: SandboxRequest, key: str, query: dict[str, str], __: Spool) -> Reply:
        blob = self._blob(key, query)
        if "versionid" in query:
            del self.versions[key, blob.version]
        if self.blobs.get(key) is blob:
            del self.blobs[key]
        return Reply(202)

    def _set_properties(
        self, request: SandboxRequest, key: str, _: dict[str, str], __: Spool
    ) -> Reply:
        blob = self._blob(key, {})
        may_write(request, blob)
        kept_headers = {
            name: text for name, text in blob.headers.items() if name.startswith("x-ms-")
        }
        changed_blob = attrs.evolve(
            blob, headers={**content(request), **kept_headers}, etag=self._new_version()[0]
        )
        self._store_blob(key, changed_blob)
        return self._written_reply(changed_blob, 200)

    def _set_metadata(
        self, request: SandboxRequest, key: str, _: dict[str, str], __: Spool
    ) -> Reply:
        blob = self._blob(key, {})
        may_write(request, blob)
        kept_headers = {name: text for name, text in blob.headers.items() if not is_metadata(name)}
        etag, version = self._new_version()
        fields = {**kept_headers, **metadata(request)}
        changed_blob = attrs.evolve(blob, headers=fields, etag=etag, version=version)
        self._store_blob(key, changed_blob)
        return self._written_reply(changed_blob, 200)

    def _copy(self, request: SandboxRequest, key: str, _: dict[str, str], __: Spool) -> Reply:
        url = urlsplit(request.headers["x-ms-copy-source"])
        container, _slash, name = unquote(url.path).removeprefix("/").partition("/")
        if url.netloc != request.host or container != self.container:
            raise ErrorAnswer(
                "CannotVerifyCopySource", 404, "The specified resource does not exist."
            )
        source = self._blob(name, {})
        may_write(request, self.blobs.get(key))
        new_metadata = metadata(request)
        headers = {
            header: text
            for header, text in source.headers.items()
            if header != "x-ms-tag-count" and not (new_metadata and is_metadata(header))
        }
        copy = "failed" if name == _UNCOPIED else "success"
        etag, version = self._new_version()
        copied_blob = attrs.evolve(
            source,
            headers={**headers, **new_metadata, **stored_headers(request)},
            modified=self._now(),
            copy=[*["pending"] * self.looks, copy],
            etag=etag,
            version=version,
        )
        self._store_blob(key, copied_blob)
        return self._written_reply(copied_blob, 202, x_ms_copy_status=copied_blob.copy[0])

    # --- blocks ------------------------------------------------------------

    def _put_block(
        self, request: SandboxRequest, key: str, query: dict[str, str], spool: Spool
    ) -> Reply:
        pending_blocks = self.blocks.setdefault(key, [])
        name = query.get("blockid", "")
        check_block_name(name, pending_blocks)
        if not spool.size:
            raise invalid_value("Content-Length", "0")
        md5 = check_md5(request, spool)
        self.blocks[key] = [block for block in pending_blocks if block.name != name]
        self.blocks[key].append(Block(name, spool.piece()))
        return Reply(201, {"Content-MD5": md5})

    def _list_blocks(self, _: SandboxRequest, key: str, query: dict[str, str], __: Spool) -> Reply:
        uncommitted_blocks = [(block.name, block.piece.size) for block in self.blocks.get(key, [])]
        blob = self.blobs.get(key)
        if blob is None and not uncommitted_blocks:
            raise ErrorAnswer("BlobNotFound", 404, "The specified blob does not exist.")
        kinds = {"CommittedBlocks": [] if blob is None else list(blob.blocks)}
        if query.get("blocklisttype") == "all":
            kinds["UncommittedBlocks"] = uncommitted_blocks
        return xml_reply(document("BlockList", *(_block_list(kind, kinds[kind]) for kind in kinds)))

    def _commit(self, request: SandboxRequest, key: str, _: dict[str, str], spool: Spool) -> Reply:
        check_md5(request, spool)
        blob = self.blobs.get(key)
        may_write(request, blob)
        pieces_by_name = {} if blob is None else _by_name(blob)
        pieces_by_name |= {block.name: block.piece for block in self.blocks.get(key, [])}
        request_element = parse_body(spool)
        if request_element.tag != "BlockList" or any(
            element.tag not in _LISTS for element in request_element
        ):
            raise ErrorAnswer("InvalidXmlDocument", 400, "XML specified is not valid.")
        names = [element.text or "" for element in request_element]
        if any(name not in pieces_by_name for name in names):
            raise ErrorAnswer("InvalidBlockList", 400, "The specified block list is invalid.")
        self.blocks.pop(key, None)
        etag, version = self._new_version()
        committed = Blob(
            etag=etag,
            version=version,
            pieces=tuple(pieces_by_name[name] for name in names),
            blocks=tuple((name, pieces_by_name[name].size) for name in names),
            checksum=None,
            headers={**content(request), **metadata(request), **stored_headers(request)},
            modified=self._now(),
        )
        return self._store_blob(key, committed)

    # --- containers --------------------------------------------------------

    def _list_containers(self, request: SandboxRequest, query: dict[str, str]) -> Reply:
        names, marker = self.containers.page(_opened_marker(query))
        entries = "".join(
            f"<Container>{tag('Name', name)}<Properties>"
            f"{tag('Last-Modified', self._container_time(name))}{tag('Etag', '0x8D1')}"
            "</Properties></Container>"
            for name in names
        )
        child_elements = f"<Containers>{entries}</Containers>", tag("NextMarker", marker or "")
        attributes = {"ServiceEndpoint": f"https://{request.host}/"}
        return xml_reply(document("EnumerationResults", *child_elements, **attributes))

    def _container_time(self, name: str) -> str:
        return format_datetime(self.containers.created_at[name], usegmt=True)

    def _change_container(self, request: SandboxRequest, name: str) -> Reply:
        if request.method == "PUT":
            if not self.containers.add(name):
                message = "The specified container already exists."
                raise ErrorAnswer("ContainerAlreadyExists", 409, message)
            return Reply(201)
        if not self.containers.remove(name):
            raise ErrorAnswer("ContainerNotFound", 404, "The specified container does not exist.")
        if name == self.container:
            self.blobs.clear()
            self.versions.clear()
            self.blocks.clear()
        return Reply(202)

    # --- the container -----------------------------------------------------

    def _list(self, request: SandboxRequest, _: str, query: dict[str, str], __: Spool) -> Reply:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        page_size = query.get("maxresults", str(_LONGEST_PAGE))
        if not page_size.isdigit() or not 0 < int(page_size) <= _LONGEST_PAGE:
            raise ErrorAnswer("OutOfRangeQueryParameterValue", 400, QueryParameterName="maxresults")
        marker = _opened_marker(query)
        keys = {*self.blobs}
        if "uncommittedblobs" in query.get("include", ""):
            keys |= self.blocks.keys()
        if "versions" in query.get("include", ""):
            keys |= {key for key, _version in self.versions}
        page = page_of(keys, prefix=prefix, delimiter=delimiter, marker=marker, size=int(page_size))
        elements = "".join(
            f"<BlobPrefix>{_name(entry)}</BlobPrefix>"
            if entry in page.folders
            else self._blob_element(entry)
            for entry in page.entries
        )
        next_marker = b64encode(page.last.encode()).decode() if page.has_more else ""
        child_elements = (
            tag("Prefix", prefix),
            f"<Blobs>{elements}</Blobs>",
            tag("NextMarker", next_marker),
        )
        attributes = {
            "ServiceEndpoint": f"https://{request.host}/",
            "ContainerName": self.container,
        }
        return xml_reply(document("EnumerationResults", *child_elements, **attributes))

    def _blob_element(self, key: str) -> str:
        blob = self.blobs.get(key)
        if blob is None:
            return f"<Blob>{_name(key)}<Properties></Properties></Blob>"
        properties = {
            **{name: text for name, text in blob.headers.items() if name.startswith("C")},
            "Last-Modified": format_datetime(blob.modified, usegmt=True),
            "Etag": blob.etag,
            "Content-Length": str(blob.size),
            "BlobType": "BlockBlob",
            "AccessTier": blob.headers["x-ms-access-tier"],
        }
        property_elements = "".join(tag(name, text) for name, text in properties.items())
        return f"<Blob>{_name(key)}<Properties>{property_elements}</Properties></Blob>"


def _opened_marker(query: dict[str, str]) -> str:
    """Return the name after which a page begins."""
    try:
        return b64decode(query.get("marker", ""), validate=True).decode()
    except ValueError:
        raise ErrorAnswer("InvalidQueryParameterValue", 400, QueryParameterName="marker") from None


def _block_list(kind: str, blocks: list[tuple[str, int]]) -> str:
    block_elements = "".join(
        f"<Block>{tag('Name', name)}{tag('Size', size)}</Block>" for name, size in blocks
    )
    return f"<{kind}>{block_elements}</{kind}>"


def _by_name(blob: Blob) -> dict[str, Piece]:
    return {name: piece for (name, _), piece in zip(blob.blocks, blob.pieces, strict=False)}


def _name(key: str) -> str:
    if _NOT_XML.search(key):
        return f'<Name Encoded="true">{quote(key, safe="/")}</Name>'
    return tag("Name", key)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = AzureBlobSandbox()
    browser = SandboxHttpClient(sandbox)
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "account": sandbox.account.name,
            "container": sandbox.container,
            "credentials": sandbox.account.key,
        },
        vendor_values={"storage_class": "Cool", "encryption": "acme-scope"},
        fetch=lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
        close=sandbox.close,
    )


__all__ = ["AzureBlobSandbox", "azure_error", "fixture"]
