"""Containers of S3, Azure Blob Storage and Google Cloud Storage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import Response
from moorage.contracts.routes import Account
from moorage.contracts.storage import Container, check_container
from moorage.contracts.value_codec import pack, unpack
from moorage.errors import (
    AlreadyExists,
    ConfigurationError,
    InvalidData,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost
from tests.storage.azure_harness import azure, azure_refusal, over_azure, usual_answers
from tests.storage.gcs_harnesses import bucket, over_gcs
from tests.storage.harnesses import folder, over_s3, over_socket, sandbox

if TYPE_CHECKING:
    from pathlib import Path

TAKEN = "taken-by-another-account"
NAME = "acme-archive"


def harness(vendor: str, **options: Any) -> tuple[Any, Any]:
    """Return a context with the vendor's sandbox, and a function for a hub over it."""
    harnesses: dict[str, tuple[Any, Any]] = {
        "s3": (sandbox, over_s3),
        "azure": (azure, over_azure),
        "gcs": (bucket, over_gcs),
    }
    make_sandbox, open_hub = harnesses[vendor]
    return make_sandbox(**options), open_hub


@pytest.mark.parametrize("vendor", ["s3", "azure", "gcs"])
@pytest.mark.parametrize("operation", ["create_container", "delete_container"])
def test_repeat_after_lost_answer_succeeds(vendor: str, operation: str) -> None:
    """If the answer of a creation or deletion is lost, the repeat succeeds."""
    sandbox_context, open_hub = harness(
        vendor, **({"region": "eu-central-1"} if vendor == "s3" else {})
    )
    with sandbox_context as server, open_hub(server) as hub:
        files = hub.storage()
        if operation == "delete_container":
            files.create_container(NAME)
        else:
            files.list_containers()
        usual = [None] if (vendor, operation) == ("azure", "delete_container") else []
        server.fail(*usual, Lost())

        getattr(files, operation)(NAME)

        names = {container.name for container in files.list_containers()}
        assert (NAME in names) is (operation == "create_container")


@pytest.mark.parametrize("vendor", ["s3", "gcs"])
def test_name_of_another_account_is_refused(vendor: str) -> None:
    """A name that another account has used raises AlreadyExists, and nothing is created."""
    sandbox_context, open_hub = harness(vendor)
    with sandbox_context as server, open_hub(server) as hub:
        files = hub.storage()

        with pytest.raises(AlreadyExists) as excinfo:
            files.create_container(TAKEN)

        assert 409 == excinfo.value.status
        assert TAKEN not in {container.name for container in files.list_containers()}


@pytest.mark.parametrize("vendor", ["s3", "gcs"])
def test_creation_time_is_listed(vendor: str) -> None:
    """S3 and Google list the time at which a container was created."""
    sandbox_context, open_hub = harness(vendor)
    with sandbox_context as server, open_hub(server) as hub:
        containers = hub.storage().list_containers()

        assert all(container.created_at is not None for container in containers)


def test_s3_states_the_region_of_a_new_bucket() -> None:
    """S3 gets the region of a new bucket, except for the first region, which has none."""
    bodies = []
    for region in ("us-east-1", "eu-central-1"):
        with sandbox(region=region) as server, over_s3(server) as hub:
            hub.storage().create_container(NAME)
            request = server.requests[-1]
            assert f"s3.{region}.amazonaws.com" == request.host
            bodies.append(request.body)

    assert b"" == bodies[0]
    assert b"<LocationConstraint>eu-central-1</LocationConstraint>" in bodies[1]


@pytest.mark.parametrize("path_style", [True, False])
def test_s3_bucket_operations_have_no_bucket_in_the_host(path_style: bool) -> None:
    """With both URL styles, a list of buckets is requested from S3's general host."""
    with sandbox() as server, over_s3(server, path_style=path_style) as hub:
        hub.storage().list_containers()

        assert {("s3.us-east-1.amazonaws.com", "/")} == {
            (request.host, request.path) for request in server.requests
        }


def test_vendor_with_the_api_of_s3_manages_buckets() -> None:
    """A vendor with S3's API at another address lists, creates and deletes buckets too."""
    with sandbox() as server, over_socket(server) as hub:
        files = hub.storage()
        files.create_container(NAME)
        files.delete_container(NAME)

        assert [server.bucket] == [container.name for container in files.list_containers()]


def test_google_states_the_location_of_a_new_bucket() -> None:
    """Google gets the location of the configuration for a new bucket."""
    with bucket() as server, over_gcs(server, location="EU") as hub:
        hub.storage().create_container(NAME)

        assert {"name": NAME, "location": "EU"} == json.loads(server.requests[-1].body)


@pytest.mark.parametrize("operation", ["list_containers", "create_container"])
def test_google_needs_a_project(operation: str) -> None:
    """Without a project, Google's buckets cannot be listed or created, and nothing is sent."""
    arguments = [NAME] if operation == "create_container" else []
    with bucket() as server, over_gcs(server, project=None) as hub:
        with pytest.raises(ConfigurationError, match="needs a project"):
            getattr(hub.storage(), operation)(*arguments)

        assert [] == server.requests


def test_azure_does_not_delete_a_container_with_unfinished_blobs() -> None:
    """Uncommitted blocks and earlier versions keep an Azure container from its deletion."""
    with azure() as server, over_azure(server) as hub:
        files = hub.storage()
        started_upload = files.start_upload("a")

        def break_off() -> Any:
            yield b"x" * 4_096
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError):
            files.upload("a", break_off, resume=started_upload.ref, part_size=4_096)
        with pytest.raises(VendorRejected) as excinfo:
            files.delete_container(server.container)

        assert 409 == excinfo.value.status
        assert not [request for request in server.requests if request.method == "DELETE"]


def blob_page(blobs: str, marker: str) -> Response:
    """Return a page of an Azure container's blobs."""
    elements = f"<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker>"
    return Response(200, body=f"<EnumerationResults>{elements}</EnumerationResults>".encode())


def test_azure_keeps_a_container_with_a_blob_after_an_empty_page() -> None:
    """An empty page before another page does not show that a container is empty."""
    with azure() as server, over_azure(server) as hub:
        server.fail(blob_page("", "bTI="), blob_page("<Blob><Name>a</Name></Blob>", ""))
        with pytest.raises(VendorRejected, match="has blobs"):
            hub.storage().delete_container(server.container)

        assert not [request for request in server.requests if request.method == "DELETE"]


def test_azure_deletes_a_container_with_only_empty_pages() -> None:
    """An empty page before another page does not show that a container has blobs."""
    with azure() as server, over_azure(server) as hub:
        files = hub.storage()
        files.create_container(NAME)
        server.fail(blob_page("", "bTI="))
        files.delete_container(NAME)

        markers = [dict(request.query).get("marker") for request in server.requests[-3:-1]]
        assert [None, "bTI="] == markers
        assert [server.container] == [container.name for container in files.list_containers()]


def test_azure_pages_of_blobs_must_advance() -> None:
    """If empty pages repeat their marker, the deletion raises an error."""
    with azure() as server, over_azure(server) as hub:
        server.fail(*[blob_page("", "bTI=")] * 6)
        with pytest.raises(VendorFailed):
            hub.storage().delete_container(server.container)


@pytest.mark.parametrize("earlier_requests", [0, 1])
def test_azure_container_in_deletion_counts_as_deleted(earlier_requests: int) -> None:
    """The repeat of a deletion succeeds while Azure is still deleting the container."""
    with azure() as server, over_azure(server) as hub:
        files = hub.storage()
        files.create_container(NAME)
        refusal = azure_refusal("ContainerBeingDeleted", 409)
        server.fail(*usual_answers(earlier_requests), refusal)

        files.delete_container(NAME)

        assert ["PUT", *["GET"] * earlier_requests] == [
            request.method for request in server.requests[:-1]
        ]
        server.fail(refusal)
        with pytest.raises(VendorRejected, match="ContainerBeingDeleted"):
            files.create_container(NAME)


PAGES = {
    "s3": b"<ListAllMyBucketsResult><Buckets></Buckets><ContinuationToken>a</ContinuationToken>"
    b"</ListAllMyBucketsResult>",
    "azure": b"<EnumerationResults><Containers></Containers><NextMarker>a</NextMarker>"
    b"</EnumerationResults>",
    "gcs": b'{"nextPageToken": "a"}',
}


@pytest.mark.parametrize("vendor", PAGES)
def test_list_that_does_not_advance_is_an_error(vendor: str) -> None:
    """A list whose next page is the same page raises an error instead of running for ever."""
    sandbox_context, open_hub = harness(vendor)
    with sandbox_context as server, open_hub(server) as hub:
        hub.storage().list_containers()
        server.fail(*[Response(200, body=PAGES[vendor])] * 6)
        with pytest.raises(VendorFailed):
            hub.storage().list_containers()


@pytest.mark.parametrize("vendor", ["s3", "azure", "gcs"])
def test_container_without_a_name_is_an_error(vendor: str) -> None:
    """A list with an entry that has no name raises an error."""
    pages = {
        "s3": b"<ListAllMyBucketsResult><Buckets><Bucket></Bucket></Buckets>"
        b"</ListAllMyBucketsResult>",
        "azure": b"<EnumerationResults><Containers><Container></Container></Containers>"
        b"</EnumerationResults>",
        "gcs": b'{"items": [{}]}',
    }
    sandbox_context, open_hub = harness(vendor)
    with sandbox_context as server, open_hub(server) as hub:
        hub.storage().list_containers()
        server.fail(*[Response(200, body=pages[vendor])] * 3)
        with pytest.raises(VendorFailed):
            hub.storage().list_containers()


def test_vendor_without_containers_refuses(tmp_path: Path) -> None:
    """A local folder has no containers, and refuses the operations."""
    with Hub([Account("files", folder(tmp_path))]) as hub:
        for call in (
            hub.storage().list_containers,
            lambda: hub.storage().create_container(NAME),
            lambda: hub.storage().delete_container(NAME),
        ):
            with pytest.raises(UnsupportedByVendor):
                call()


@pytest.mark.parametrize("name", ["", "ab", "a/b", "..", "a..b", "Abc", "-abc", "abc.", None, 7])
def test_wrong_names_are_refused(name: Any) -> None:
    """A name that no vendor accepts is refused."""
    with pytest.raises(InvalidData):
        check_container(name)


@pytest.mark.parametrize("name", ["abc", "acme.example.com", "acme_files", "a-1"])
def test_valid_names_are_accepted(name: str) -> None:
    """A name that some vendor accepts is returned unchanged."""
    assert name == check_container(name)


def test_a_container_can_be_stored() -> None:
    """A container is packed and read back equal."""
    container = Container(name=NAME)

    assert container == unpack(pack(container))
