"""Sandboxes of storage vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.storage.gcs_harnesses import bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.testing.sandboxes.storage.gcs import GcsSandbox


@pytest.fixture
def gcs_sandbox() -> Iterator[GcsSandbox]:
    """Yield the sandbox of a Google Cloud Storage bucket."""
    with bucket() as sandbox:
        yield sandbox
