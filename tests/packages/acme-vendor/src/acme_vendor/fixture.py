"""An account at the sandbox, as a configuration would define it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acme_vendor.sandbox import AcmeSandbox
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """An account with all capabilities that the vendor declares."""
    sandbox = AcmeSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={"credentials": sandbox.api_key, "sender": "+15005550006"},
    )
