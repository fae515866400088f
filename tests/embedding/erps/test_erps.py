"""The two ERPs, run as separate processes and inside the test clients of their frameworks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from local_vendors.erp import EXAMPLES

from moorage.wiring.installed_vendors import vendor_names
from tests.embedding.erps.buyer import Buyer
from tests.embedding.erps.running_erp import RunningErp

if TYPE_CHECKING:
    from pathlib import Path

VENDOR_CALLS = {
    "django": "django_erp/books/vendor_calls.py",
    "flask": "flask_erp/ledger/vendor_calls.py",
}
NAMES = ["django", "flask"]


@pytest.mark.parametrize("name", NAMES)
def test_erp_names_no_vendor(name: str) -> None:
    """The ERP's code for vendors is short, and no file of an ERP contains a vendor's name."""
    assert 150 > len((EXAMPLES / VENDOR_CALLS[name]).read_text().splitlines())
    sources = [*(EXAMPLES / f"{name}_erp").rglob("*.py"), *(EXAMPLES / "erp_pages").rglob("*.html")]
    assert len(sources) > 10
    for source in sources:
        words = set(re.findall("[a-z0-9_]+", source.read_text().lower()))
        assert set() == words & set(vendor_names()), source


@pytest.mark.parametrize("name", NAMES)
def test_both_erps_have_the_same_configuration(name: str) -> None:
    """The Django and Flask ERPs accept the same configuration of accounts and routes."""
    configuration_text = (EXAMPLES / f"{name}_erp" / "moorage.toml").read_text()
    assert configuration_text == (EXAMPLES / "django_erp" / "moorage.toml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_framework_test_client_pays(name: str, tmp_path: Path) -> None:
    """In a test client, an order is charged once despite a rollback; cross-site forms fail."""
    shop = RunningErp(name, tmp_path)
    with shop.vendors:
        shop.erp.set_up(shop.vendors)
        shop.run("clients.py")
        assert 2 == shop.charged
        shop.run_worker()
        assert ["Receipt A-1002", "Receipt A-1004"] == shop.mailed


@pytest.mark.parametrize("name", NAMES)
def test_one_command_sets_up_erp_and_prints_its_url(name: str, tmp_path: Path) -> None:
    """One command sets up an ERP and prints its URL; Ctrl-C ends all its processes."""
    arguments = [sys.executable, "-m", "local_vendors", name]
    environment = {**os.environ, "ERP_FOLDER": str(tmp_path)}
    with subprocess.Popen(
        arguments, cwd=EXAMPLES, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [next(process.stdout) for _ in range(3)]
        address = lines[1].split()[-1]
        assert "ACME Lamps" in Buyer(address).get("/").text
        assert "postmark" in Buyer(lines[2].split()[2]).get("/").text
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert 0 == process.returncode
