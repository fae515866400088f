"""Processes that are killed during a charge at a scaffolded payment vendor."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from signal import SIGKILL
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from moorage.scaffold import scaffold, write

if TYPE_CHECKING:
    from pathlib import Path

_CHARGING = """
import sys
import moorage
from harbour_bank_vendor.vendor import HarbourBank
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.contracts.payments import Charge, Money

vendor = HarbourBank(credentials=sys.argv[1], base_url=sys.argv[2])
store = SqliteStorage("state.db")
with moorage.Hub([moorage.Account("till", vendor)], state=store) as hub:
    charge = Charge(Money("20.00", "EUR"), "tok_ok", reference="INV-1")
    print(hub.payments().charge(charge, idempotency_key="INV-1/1").ref.id)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by a signal")
def test_killed_charge_at_a_scaffolded_vendor_happens_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the process is killed during a charge, the next one sends the same key, charging once."""
    write(scaffold("vendor", "harbour-bank", "payments"), tmp_path)
    sources = str(tmp_path / "src")
    monkeypatch.syspath_prepend(sources)
    sandbox: Any = import_module("harbour_bank_vendor.sandbox").HarbourBankSandbox()
    charging = [sys.executable, "-c", _CHARGING, sandbox.api_key]
    process_options: dict[str, Any] = {
        "cwd": tmp_path,
        "env": {**os.environ, "PYTHONPATH": sources},
        "stdout": subprocess.PIPE,
        "text": True,
    }
    keys: list[str] = []
    is_started = Event()
    with sandbox.serving() as server:

        def kill_before_the_answer(received: Any) -> Any:
            """Make the charge, and kill the process before it gets the response."""
            keys.append(received.headers["idempotency-key"])
            behaviour = sandbox.behave(received)
            is_started.wait()
            if len(keys) == 1:
                victim.send_signal(SIGKILL)
                victim.wait()
            return behaviour

        server.always(kill_before_the_answer)
        with subprocess.Popen([*charging, server.url], **process_options) as victim:
            is_started.set()
        assert (-SIGKILL, 1) == (victim.returncode, len(sandbox.payments))
        with subprocess.Popen([*charging, server.url], **process_options) as successor:
            output, _ = successor.communicate()

    assert (0, [output.strip()]) == (successor.returncode, list(sandbox.payments))
    assert (2, 1) == (len(keys), len(set(keys)))
