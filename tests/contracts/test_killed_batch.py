"""After a batch's process was killed, running the batch again buys only the missing labels."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox

if TYPE_CHECKING:
    from moorage import Response
    from moorage.testing.sandboxes.base import SandboxRequest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


class KillingVendor(EasyPostSandbox):
    """A vendor that sells labels, and kills the third buyer before it gets its response."""

    def __init__(self) -> None:
        super().__init__()
        self.buyer: subprocess.Popen[bytes]
        self.bought = 0

    def answer(self, request: SandboxRequest) -> Response:
        """Sell a label, but kill the buyer of the third label before it gets the response."""
        response = super().answer(request)
        if request.path.endswith("/buy"):
            self.bought += 1
            if self.bought == 3:
                os.kill(self.buyer.pid, signal.SIGKILL)
        return response


def begin(url: str, database: Path, timeout: float) -> subprocess.Popen[bytes]:
    """Start a process that buys five labels."""
    program = [sys.executable, "-m", "tests.contracts.labels", url, str(database), str(timeout)]
    return subprocess.Popen(program, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)


def test_killed_batch_is_completed(tmp_path: Path) -> None:
    """Two runs together buy exactly five labels, including the label whose response was lost."""
    sandbox = KillingVendor()
    with sandbox.serving() as server:
        sandbox.files = server.url
        sandbox.buyer = begin(server.url, tmp_path / "keys.db", 9.0)
        first, _ = sandbox.buyer.communicate(timeout=150)
        assert (-signal.SIGKILL, b"") == (sandbox.buyer.returncode, first)

        repeated_process = begin(server.url, tmp_path / "keys.db", 30.0)
        result, _ = repeated_process.communicate(timeout=120)

    numbers = json.loads(result)
    tracking_numbers = [
        shipment["tracking_code"]
        for shipment in sandbox.shipments.values()
        if shipment["tracking_code"]
    ]
    assert 5 == len(set(numbers))
    assert sorted(numbers) == sorted(tracking_numbers)
