"""A batch that is killed in the middle is run again, and only what is missing is bought."""

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


class Deadly(EasyPostSandbox):
    """Sells, and kills its third buyer before the answer leaves."""

    buyer: subprocess.Popen[bytes]
    bought = 0

    def answer(self, request: SandboxRequest) -> Response:
        """Do what is asked."""
        response = super().answer(request)
        if request.path.endswith("/buy"):
            self.bought += 1
            if self.bought == 3:
                os.kill(self.buyer.pid, signal.SIGKILL)
        return response


def begin(url: str, database: Path, timeout: float) -> subprocess.Popen[bytes]:
    """Start to buy five labels."""
    program = [sys.executable, "-m", "tests.contracts.labels", url, str(database), str(timeout)]
    return subprocess.Popen(program, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)


def test_a_batch_that_is_killed(tmp_path: Path) -> None:
    """Five labels are bought in all, the one whose answer nobody heard among them."""
    sandbox = Deadly()
    with sandbox.serving() as server:
        sandbox.files = server.url
        sandbox.buyer = begin(server.url, tmp_path / "keys.db", 9.0)
        first, _ = sandbox.buyer.communicate(timeout=150)
        assert (-signal.SIGKILL, b"") == (sandbox.buyer.returncode, first)

        again = begin(server.url, tmp_path / "keys.db", 30.0)
        result, _ = again.communicate(timeout=120)

    numbers = json.loads(result)
    sold = [
        shipment["tracking_code"]
        for shipment in sandbox.shipments.values()
        if shipment["tracking_code"]
    ]
    assert 5 == len(set(numbers))
    assert sorted(numbers) == sorted(sold)
