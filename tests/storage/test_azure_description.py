"""Requests to Azure match Azure's own API description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from moorage.contracts.storage import ByteRange, Checksum, PutOptions
from tests.storage.azure_harness import azure, entra, over_azure
from tests.storage.harnesses import PART, bytes_of

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest

    Json = Any

_CONDITIONS: Final = ("If-Match", "If-Modified-Since", "If-None-Match", "If-Unmodified-Since")
_CONTENT: Final = tuple(
    f"x-ms-blob-{name}"
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
    )
)
_KEPT: Final = ("x-ms-access-tier", "x-ms-encryption-scope", "x-ms-meta", "x-ms-tags")
_USUAL: Final = ("x-ms-version",)


class Operation(NamedTuple):
    """The known and the required parameters and headers of an API operation."""

    known: frozenset[str]
    required: frozenset[str]


def operation_with(*existing: str, required: tuple[str, ...] = ()) -> Operation:
    """Return an operation with these parameters and headers."""
    return Operation(
        frozenset(name.lower() for name in (*existing, *required, *_USUAL)),
        frozenset(name.lower() for name in required),
    )


DISTILLED: Final = {
    "BlockBlob_Upload": operation_with(
        *_CONDITIONS, *_CONTENT, *_KEPT, "Content-MD5", required=("x-ms-blob-type",)
    ),
    "Blob_StartCopyFromURL": operation_with(
        *_CONDITIONS, "x-ms-access-tier", "x-ms-meta", "x-ms-tags", required=("x-ms-copy-source",)
    ),
    "BlockBlob_StageBlock": operation_with(
        "Content-MD5", "x-ms-encryption-scope", required=("comp", "blockid")
    ),
    "BlockBlob_CommitBlockList": operation_with(
        *_CONDITIONS, *_CONTENT, *_KEPT, "Content-MD5", required=("comp",)
    ),
    "BlockBlob_GetBlockList": operation_with("blocklisttype", required=("comp",)),
    "Blob_SetHTTPHeaders": operation_with(*_CONDITIONS, *_CONTENT, required=("comp",)),
    "Blob_SetMetadata": operation_with("x-ms-meta", required=("comp",)),
    "Blob_Download": operation_with(*_CONDITIONS, "versionid", "x-ms-range"),
    "Blob_GetProperties": operation_with("versionid"),
    "Blob_Delete": operation_with("versionid"),
    "Container_ListBlobFlatSegment": operation_with(
        "prefix", "marker", "maxresults", required=("restype", "comp")
    ),
    "Container_ListBlobHierarchySegment": operation_with(
        "prefix", "marker", "maxresults", required=("delimiter", "restype", "comp")
    ),
    "Service_GetUserDelegationKey": operation_with(required=("restype", "comp")),
}
_BY_COMP: Final = {
    ("PUT", "block"): "BlockBlob_StageBlock",
    ("PUT", "blocklist"): "BlockBlob_CommitBlockList",
    ("GET", "blocklist"): "BlockBlob_GetBlockList",
    ("PUT", "properties"): "Blob_SetHTTPHeaders",
    ("PUT", "metadata"): "Blob_SetMetadata",
    ("GET", ""): "Blob_Download",
    ("HEAD", ""): "Blob_GetProperties",
    ("DELETE", ""): "Blob_Delete",
    ("POST", "userdelegationkey"): "Service_GetUserDelegationKey",
}


def operation_of(request: SandboxRequest) -> str:
    """Return the name of a request's operation in Azure's description."""
    query = dict(request.query)
    comp = query.get("comp", "")
    if comp == "list":
        kind = "Hierarchy" if "delimiter" in query else "Flat"
        return f"Container_ListBlob{kind}Segment"
    if (request.method, comp) == ("PUT", ""):
        copies = "x-ms-copy-source" in request.headers
        return "Blob_StartCopyFromURL" if copies else "BlockBlob_Upload"
    return _BY_COMP[request.method, comp]


def names_of(request: SandboxRequest) -> set[str]:
    """Return the parameters and headers of a request that belong to its operation."""
    results = {name for name, _ in request.query}
    for name in (name.lower() for name in request.headers):
        if name.startswith("x-ms-meta-"):
            results.add("x-ms-meta")
        elif name.startswith(("x-ms-", "if-", "content-md5")) and name != "x-ms-date":
            results.add(name)
    return results


def problems(request: SandboxRequest, operations: dict[str, Operation]) -> list[str]:
    """Return the mismatches between a request and its API operation."""
    name, names = operation_of(request), names_of(request)
    known_names, required_names = operations[name]
    return [
        *(f"{name} knows no {item}." for item in sorted(names - known_names)),
        *(f"{name} needs {item}." for item in sorted(required_names - names)),
    ]


@pytest.fixture(scope="module")
def all_kinds_of_requests() -> list[SandboxRequest]:
    """Send at least one request for each operation, and return all requests."""
    data = bytes_of(2 * PART)
    stored_options = PutOptions(
        content_type="a/b",
        content_encoding="x",
        content_disposition="inline",
        content_language="de",
        cache_control="no-store",
        metadata={"a": "1"},
        checksum=Checksum.of("md5", data),
        if_none_match="*",
        storage_class="Cool",
        encryption="acme-scope",
        tags={"a": "b"},
    )
    with azure() as sandbox, over_azure(sandbox, **entra(sandbox)) as hub:
        files = hub.storage()
        put = files.upload("a", data, stored_options)
        files.upload("b", data, stored_options, part_size=PART)
        files.upload("c", data, resume=files.start_upload("c").ref, part_size=PART)
        files.download("a", range=ByteRange(-1), version=put.version).read_all()
        files.download("a", if_none_match="x", if_modified_since=put.last_modified)
        files.head("a", version=put.version)
        files.copy("a", "d")
        files.copy("a", "d", PutOptions(tags={"a": "b"}, storage_class="Cool", if_match="*"))
        files.copy("a", "d", PutOptions(metadata={"a": "1"}, content_type="c/d"))
        page = files.list("", limit=1)
        files.list("a", cursor=page.next_cursor)
        files.list("a", delimiter="/")
        files.signed_url("a")
        files.delete("a", version=put.version)
        files.delete_many(["a", "b"])
        return sandbox.requests


def test_every_operation_is_sent(all_kinds_of_requests: list[SandboxRequest]) -> None:
    """The test sends a request for each described operation that the vendor uses."""
    assert DISTILLED.keys() == {operation_of(request) for request in all_kinds_of_requests}


def test_requests_have_all_fields_that_azure_description_requires(
    all_kinds_of_requests: list[SandboxRequest],
) -> None:
    """Requests have all fields that Azure's description requires, and none that it lacks."""
    assert [] == [
        problem for request in all_kinds_of_requests for problem in problems(request, DISTILLED)
    ]


@pytest.mark.parametrize("index", [0, 1])
def test_mistakes_are_noticed(all_kinds_of_requests: list[SandboxRequest], index: int) -> None:
    """If a request has an unknown parameter or lacks a required one, each is reported."""
    name = operation_of(all_kinds_of_requests[index])
    mistaken_operations = {**DISTILLED, name: operation_with(required=("new",))}

    assert f"{name} needs new." in problems(all_kinds_of_requests[index], mistaken_operations)
    assert any(
        "knows no" in problem
        for problem in problems(all_kinds_of_requests[index], mistaken_operations)
    )
