"""A vendor in another package needs only one module and one entry point."""

from pathlib import Path

import pytest

import moorage
from moorage import ConfigurationError, UnsupportedByVendor
from moorage.contracts.sms import SmsMessage
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.wiring.installed_vendors import names_with_capabilities, vendor_class, vendor_names
from tests.contracts.external_sms_vendor import PigeonServer, TextMessageVendor


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate an installed package with a valid and an invalid entry point."""
    home_directory = tmp_path / "loft-1.0.dist-info"
    home_directory.mkdir()
    (home_directory / "METADATA").write_text("Metadata-Version: 2.1\nName: loft\nVersion: 1.0\n")
    (home_directory / "entry_points.txt").write_text(
        "[moorage.vendors]\npigeon = tests.contracts.external_sms_vendor:TextMessageVendor\n"
        "owl = os:path\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("package")
def test_vendor_from_another_package_is_configured_by_name() -> None:
    """A vendor from another package is configured by name like a built-in one."""
    loft = PigeonServer()
    hub = moorage.open({"vendors": {"pigeon": {"keys": False}}}, http=SandboxHttpClient(loft))

    assert TextMessageVendor is vendor_class("pigeon")
    assert "pigeon" in vendor_names()
    assert "pigeon:pigeon:L2" == str(
        hub.sms().send(SmsMessage(to="+4915112345678", text="Coo")).ref
    )


@pytest.mark.usefixtures("package")
def test_entry_point_that_is_no_vendor() -> None:
    """An entry point that is not a vendor is refused with its name."""
    with pytest.raises(
        ConfigurationError, match="refers to os:path, which is not a vendor class"
    ) as excinfo:
        moorage.open({"vendors": {"owl": {}}})

    assert "vendors.owl.kind" == excinfo.value.path


def test_catalog_lists_vendors_that_have_the_needed_capabilities() -> None:
    """The catalog lists the installed vendors that have the needed capabilities."""
    assert "twilio" in names_with_capabilities("sms", frozenset({"media"}))
    assert () == names_with_capabilities("sms", frozenset({"fly"}))
    assert "twilio" not in names_with_capabilities("email", frozenset())


def test_refusal_names_able_vendors() -> None:
    """If a vendor lacks a capability, the error names the installed vendors that have it."""
    hub = moorage.Hub([moorage.Account("pigeon", TextMessageVendor())])

    with pytest.raises(UnsupportedByVendor) as excinfo:
        hub.sms().check_balance()

    assert "twilio" in excinfo.value.supported_by
