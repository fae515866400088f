"""A sandbox fixture for a local folder, without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.vendors.storage.local_files import LocalFiles

KEY = "k" * 32


def fixture(folder: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    files = LocalFiles(root=str(folder), signing_key=KEY, url="https://erp.example/files")
    return SandboxFixture(
        options={"root": files.root, "signing_key": KEY, "url": files.url},
        fetch=lambda url: digest_of_signed_url(files, url),
    )


def digest_of_signed_url(files: LocalFiles, url: str) -> bytes:
    """Return the SHA-256 digest of the file behind a signed URL."""
    grant = files.allowed("GET", url, now=datetime.now(UTC))
    return sha256((Path(files.root) / grant.key).read_bytes()).digest()
