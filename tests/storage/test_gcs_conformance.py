"""Google Cloud Storage passes the storage conformance kit, in sync and async mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.testing import storage_conformance as kit
from moorage.testing.kits.checks import name_of
from moorage.vendors.storage.gcs import Gcs
from tests.storage.gcs_harnesses import (
    async_over_gcs,
    bucket,
    fetch_of_gcs,
    over_gcs,
    over_socket,
)
from tests.storage.harnesses import run, with_hub

if TYPE_CHECKING:
    from moorage.testing.kits.storage_conformance import AsyncCheck, Check

PART = 262_144
CAPABILITIES = Gcs.capabilities


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_google_cloud_storage_passes_conformance_kit(check: Check) -> None:
    """Google Cloud Storage passes the conformance kit."""
    with bucket() as sandbox, over_gcs(sandbox) as hub:
        check(
            lambda: kit.Subject(
                hub.storage(), PART, CAPABILITIES, fetch_of_gcs(sandbox), sandbox, sandbox.bucket
            )
        )


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_google_cloud_storage_passes_asynchronous_conformance_kit(check: AsyncCheck) -> None:
    """Google Cloud Storage passes the asynchronous conformance kit."""
    with bucket() as sandbox:
        reports = {"fetch": fetch_of_gcs(sandbox), "sandbox": sandbox, "container": sandbox.bucket}
        run(with_hub(async_over_gcs(sandbox), check, can=CAPABILITIES, **reports))


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_google_cloud_storage_passes_conformance_kit_over_a_socket(check: Check) -> None:
    """Google Cloud Storage passes the conformance kit over real HTTP, with parts of any size."""
    with bucket() as sandbox, over_socket(sandbox) as hub:
        check(
            lambda: kit.Subject(
                hub.storage(), 100_000, CAPABILITIES, sandbox=sandbox, container=sandbox.bucket
            )
        )
