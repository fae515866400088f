"""What both ERPs are, and how they do in the test clients of their frameworks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from vendor_street.erp import EXAMPLES

from moorage.wiring.installed_vendors import vendor_names
from tests.embedding.erps.buyer import Buyer
from tests.embedding.erps.house import House

if TYPE_CHECKING:
    from pathlib import Path

DESKS = {"django": "django_erp/books/desk.py", "flask": "flask_erp/ledger/desk.py"}
NAMES = ["django", "flask"]


@pytest.mark.parametrize("name", NAMES)
def test_no_vendor_is_named(name: str) -> None:
    """What speaks to vendors is short; neither it nor anything else of an ERP names one."""
    assert 150 > len((EXAMPLES / DESKS[name]).read_text().splitlines())
    sources = [*(EXAMPLES / f"{name}_erp").rglob("*.py"), *(EXAMPLES / "erp_pages").rglob("*.html")]
    assert len(sources) > 10
    for source in sources:
        words = set(re.findall("[a-z0-9_]+", source.read_text().lower()))
        assert set() == words & set(vendor_names()), source


@pytest.mark.parametrize("name", NAMES)
def test_their_configurations_differ_in_nothing(name: str) -> None:
    """Who does what is the same for both, so that either can be taken for the other's."""
    custom = (EXAMPLES / f"{name}_erp" / "moorage.toml").read_text()
    assert custom == (EXAMPLES / "django_erp" / "moorage.toml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_frameworks_own_client_pays(name: str, tmp_path: Path) -> None:
    """In a test client, too, what was undone is charged once; forms of other sites are refused."""
    shop = House(name, tmp_path)
    with shop.street:
        shop.erp.set_up(shop.street)
        shop.run("clients.py")
        assert 2 == shop.charged
        shop.office()
        assert ["Receipt A-1002", "Receipt A-1004"] == shop.mailed


@pytest.mark.parametrize("name", NAMES)
def test_one_command_starts_it(name: str, tmp_path: Path) -> None:
    """Everything is set up, an address printed, and everything ended with Ctrl-C."""
    arguments = [sys.executable, "-m", "vendor_street", name]
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
