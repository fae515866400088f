"""All storage vendors pass the storage conformance kit, in sync and async mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.contracts.routes import Account
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing import storage_conformance as kit
from moorage.testing.kits.checks import name_of
from moorage.vendors.storage.azure_blob import AzureBlob
from tests.storage.azure_harness import (
    async_over_azure,
    azure,
    entra,
    over_azure,
    over_azure_socket,
)
from tests.storage.harnesses import (
    PART,
    async_over_s3,
    fetch_of,
    fetch_of_folder,
    folder,
    over_s3,
    over_socket,
    run,
    sandbox,
    with_hub,
)

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.testing.kits.storage_conformance import AsyncCheck, Check


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_s3_passes_conformance_kit(check: Check) -> None:
    """S3 passes the conformance kit."""
    with sandbox() as s3, over_s3(s3) as hub:
        check(
            lambda: kit.Subject(
                hub.storage(), part=PART, fetch=fetch_of(s3), sandbox=s3, container=s3.bucket
            )
        )


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_s3_passes_asynchronous_conformance_kit(check: AsyncCheck) -> None:
    """S3 passes the asynchronous conformance kit."""
    with sandbox() as s3:
        run(with_hub(async_over_s3(s3), check, fetch=fetch_of(s3), sandbox=s3, container=s3.bucket))


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_s3_passes_conformance_kit_over_a_socket(check: Check) -> None:
    """S3 passes the conformance kit by real HTTP, with the bucket in the path."""
    with sandbox() as s3, over_socket(s3, checksum="crc32") as hub:
        check(lambda: kit.Subject(hub.storage(), part=PART, sandbox=s3, container=s3.bucket))


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_azure_passes_conformance_kit(check: Check) -> None:
    """Azure passes the conformance kit."""
    with azure() as new_sandbox, over_azure(new_sandbox) as hub:
        check(
            lambda: kit.Subject(
                hub.storage(),
                PART,
                AzureBlob.capabilities,
                fetch_of(new_sandbox),
                new_sandbox,
                new_sandbox.container,
            )
        )


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_azure_passes_asynchronous_conformance_kit(check: AsyncCheck) -> None:
    """Azure passes the asynchronous conformance kit."""
    with azure() as new_sandbox:
        hub = async_over_azure(new_sandbox)
        reports = {
            "fetch": fetch_of(new_sandbox),
            "sandbox": new_sandbox,
            "container": new_sandbox.container,
        }
        run(with_hub(hub, check, can=AzureBlob.capabilities, **reports))


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_azure_passes_conformance_kit_with_tokens(check: Check) -> None:
    """Azure passes the conformance kit with Entra ID tokens."""
    with azure() as new_sandbox, over_azure(new_sandbox, **entra(new_sandbox)) as hub:
        check(
            lambda: kit.Subject(
                hub.storage(),
                PART,
                AzureBlob.capabilities,
                fetch_of(new_sandbox),
                new_sandbox,
                new_sandbox.container,
            )
        )


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_azure_passes_conformance_kit_over_a_socket(check: Check) -> None:
    """Azure passes the conformance kit by real HTTP."""
    with azure() as new_sandbox, over_azure_socket(new_sandbox) as hub:
        check(
            lambda: kit.Subject(
                hub.storage(),
                PART,
                AzureBlob.capabilities,
                sandbox=new_sandbox,
                container=new_sandbox.container,
            )
        )


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_storage_in_local_folder_passes_conformance_kit(check: Check, tmp_path: Path) -> None:
    """The storage in a local folder passes the conformance kit."""
    vendor = folder(tmp_path / "files")
    with Hub([Account("files", vendor)]) as hub:
        fetch = fetch_of_folder(vendor)
        check(lambda: kit.Subject(hub.storage(), PART, vendor.capabilities, fetch))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_storage_in_local_folder_passes_asynchronous_conformance_kit(
    check: AsyncCheck, tmp_path: Path
) -> None:
    """The storage in a local folder passes the asynchronous conformance kit."""
    vendor = folder(tmp_path / "files")
    hub = AsyncHub([Account("files", vendor)])
    run(with_hub(hub, check, can=vendor.capabilities, fetch=fetch_of_folder(vendor)))
