"""The API versions that vendors pin, and where their requests name them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from moorage.contracts.vendor import Vendor
from tests.vendors.vendor_tables import SOURCES, vendors

OTHER_FORMS = {"google_workspace": "directory/v1"}
"""How requests write a version that the vendor itself writes in another form."""

NOT_SENT = {"berlin_group": "1.3", "mailtrap": "v2"}
"""Versions of documents that the vendor publishes, and that no request contains."""

PINNED = re.compile(r'^    api_version.* = "(.+)"$', re.MULTILINE)


def sources_of(vendor: str) -> str:
    """Return the source of a vendor's modules."""
    contract, _, name = vendor.partition("/")
    words = name.removeprefix("amazon_")
    return "\n".join(
        path.read_text("utf-8")
        for path in sorted(Path(SOURCES / contract).glob("*.py"))
        if path.stem == name or path.stem.startswith(f"_{words}")
    )


def class_of(vendor: str) -> type[Vendor]:
    """Return the class of a vendor."""
    module = importlib.import_module(f"moorage.vendors.{vendor.replace('/', '.')}")
    [kind] = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Vendor)
        and value.__module__ == module.__name__
        and getattr(value, "name", None) == vendor.partition("/")[2]
    ]
    return kind


@pytest.mark.parametrize("vendor", [name for name in vendors() if PINNED.search(sources_of(name))])
def test_requests_name_the_pinned_version(vendor: str) -> None:
    """A version that a class states as text is in a path or header of the vendor's requests."""
    version, name = class_of(vendor).api_version or "", vendor.partition("/")[2]
    if name in NOT_SENT:
        assert NOT_SENT[name] == version
        return
    text = OTHER_FORMS.get(name, version)
    source = PINNED.sub("", sources_of(vendor))

    assert version == OTHER_FORMS.get(name, version).replace("/", "_")
    assert re.search(rf'"[^"\n]*{re.escape(text)}(?!\w)', source) or "api_version" in source
