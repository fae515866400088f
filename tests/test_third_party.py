"""A vendor from another package is found after `pip install`, without changing moorage."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import moorage

PACKAGE = Path(__file__).parent / "packages" / "acme-vendor"
SOURCE = Path(moorage.__file__).parent.parent

USE = """
import json

import moorage
from acme_vendor.sandbox import AcmeSandbox
from moorage.contracts.sms import SmsCapability, SmsMessage
from moorage.errors import UnsupportedByVendor
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.wiring.installed_vendors import names_with_capabilities, vendor_names

sandbox = AcmeSandbox()
told = {
    "sms": {"vendor": "acme"},
    "vendors": {"acme": {"credentials": sandbox.api_key, "sender": "+15005550006"}},
}
with moorage.open(told, http=SandboxHttpClient(sandbox)) as hub:
    message = SmsMessage(to="+4915112345678", text="Hello.")
    receipts = [hub.sms().send(message, idempotency_key="k") for _ in range(2)]
    try:
        hub.sms().check_balance()
    except UnsupportedByVendor as refused:
        missing = list(refused.capabilities)
print(json.dumps({
    "receipts": [str(one.ref) for one in receipts],
    "sent": len(sandbox.messages),
    "missing": missing,
    "listed": "acme" in vendor_names(),
    "able": "acme" in names_with_capabilities("sms", frozenset({SmsCapability.LOOK_UP})),
}))
"""


@pytest.fixture(scope="module", name="python")
def _python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python interpreter in which the example package is installed from a wheel."""
    folder = tmp_path_factory.mktemp("somebody")
    venv.create(folder / "venv")
    python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    # The packages that are installed here are installed there, including pip; the package itself is
    # installed by pip alone.
    run = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    foreign_path = Path(
        subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    )
    (foreign_path / "ours.pth").write_text(f"{SOURCE}\n{sysconfig.get_path('purelib')}\n", "utf-8")
    package_copy = shutil.copytree(PACKAGE, folder / "acme-vendor")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    install = [str(python), "-m", "pip", "install", "-q", *offline, str(package_copy)]
    finished_process = subprocess.run(install, capture_output=True, text=True, check=False)
    assert finished_process.returncode == 0, finished_process.stderr
    return python


def run(python: Path, *arguments: str, cwd: Path | None = None) -> str:
    """Run a command of that interpreter, and return its output."""
    command = [str(python), *arguments]
    finished_process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert finished_process.returncode == 0, finished_process.stdout + finished_process.stderr
    return finished_process.stdout


def test_installed_vendor_is_used(python: Path) -> None:
    """Naming an installed vendor in a configuration suffices to send messages, once per key."""
    expected = {
        "receipts": ["acme:acme:M000001"] * 2,
        "sent": 1,
        "missing": ["balance"],
        "listed": True,
        "able": True,
    }
    assert expected == json.loads(run(python, "-c", USE))


def test_command_line_lists_the_vendor(python: Path, tmp_path: Path) -> None:
    """The command line lists the installed vendor, and can export its requests."""
    vendor_listing = json.loads(
        run(python, "-m", "moorage", "vendors", "acme", "--json", cwd=tmp_path)
    )
    assert ["look_up"] == vendor_listing["result"]["capabilities"]

    (tmp_path / "moorage.toml").write_text("[vendors.acme]\n", "utf-8")
    openapi_export = json.loads(run(python, "-m", "moorage", "export", "openapi", cwd=tmp_path))
    assert {"/v1/messages", "/v1/messages/{id}"} == openapi_export["paths"].keys()


def test_vendors_own_tests_pass(python: Path, tmp_path: Path) -> None:
    """The installed vendor passes its contract's conformance kit in sync and async mode."""
    package_copy = shutil.copytree(PACKAGE / "tests", tmp_path / "tests")
    output = run(python, "-m", "pytest", "-q", "-p", "no:randomly", str(package_copy), cwd=tmp_path)
    assert "passed" in output


def test_vendor_is_unknown_without_its_package() -> None:
    """Without its package, the vendor's name is unknown."""
    with pytest.raises(moorage.ConfigurationError, match="acme"):
        moorage.open({"vendors": {"acme": {}}})
