"""One script that uses all contracts; only the configuration selects the vendors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.contracts.payments import Money, PaymentState
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from tests.contracts.vendor_sets import business_script, vendor_set, vendor_sets

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 12_000_000
FIRST, *OTHERS = vendor_sets()


def sync_results(vendors: dict[str, str], folder: Path) -> dict[str, Any]:
    """Return the script's results from a synchronous hub with these vendors."""
    own_set = vendor_set(vendors, folder)
    hub = moorage.open(own_set.configuration, http=SandboxHttpClient(*own_set.sandboxes))
    try:
        return asyncio.run(business_script(hub, own_set, SIZE))
    finally:
        own_set.close()


def async_results(vendors: dict[str, str], folder: Path) -> dict[str, Any]:
    """Return the script's results from an asynchronous hub with these vendors."""
    own_set = vendor_set(vendors, folder)
    hub = moorage.aopen(own_set.configuration, http=AsyncSandboxHttpClient(*own_set.sandboxes))
    try:
        return asyncio.run(business_script(hub, own_set, SIZE))
    finally:
        own_set.close()


@pytest.mark.untraced
@pytest.mark.parametrize("vendors", OTHERS, ids=lambda vendors: "-".join(vendors.values()))
def test_only_the_configuration_differs(vendors: dict[str, str], tmp_path: Path) -> None:
    """All sets of vendors give the script the same results, with both kinds of hub."""
    expected = sync_results(FIRST, tmp_path / "first")

    assert expected == sync_results(vendors, tmp_path / "sync")
    assert expected == async_results(vendors, tmp_path / "async")


def test_each_step_of_script_succeeds_with_first_set_of_vendors(tmp_path: Path) -> None:
    """With the first set of vendors, each step of the script succeeds."""
    result = async_results(FIRST, tmp_path)

    assert result["fetched"]
    assert ("queued", ["queued"]) == result["mail"]
    assert not result["text"]
    assert (PaymentState.AUTHORIZED, Money("149.90", "EUR"), True) == result["payment"]
    assert (Money("100.00", "EUR"), True) == result["captured"]
    assert (Money("50.00", "EUR"), True) == result["refunded"]
    assert result["shipped"][1:] == (1, True)
    assert result["tracked"][0]
