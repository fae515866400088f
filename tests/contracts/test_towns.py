"""One script of a business system, and sets of vendors: only the configuration differs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.contracts.payments import Money, PaymentState
from moorage.testing.sandbox.base import AsyncSandboxHttpClient, SandboxHttpClient
from tests.contracts.towns import afternoon, town, towns

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 12_000_000
FIRST, *OTHERS = towns()


def plain(vendors: dict[str, str], folder: Path) -> dict[str, Any]:
    """What an afternoon comes to with these vendors."""
    here = town(vendors, folder)
    hub = moorage.open(here.configuration, http=SandboxHttpClient(*here.sandboxes))
    try:
        return asyncio.run(afternoon(hub, here, SIZE))
    finally:
        here.close()


def awaited(vendors: dict[str, str], folder: Path) -> dict[str, Any]:
    """What an afternoon comes to with these vendors and a hub that is awaited."""
    here = town(vendors, folder)
    hub = moorage.aopen(here.configuration, http=AsyncSandboxHttpClient(*here.sandboxes))
    try:
        return asyncio.run(afternoon(hub, here, SIZE))
    finally:
        here.close()


@pytest.mark.parametrize("vendors", OTHERS, ids=lambda vendors: "-".join(vendors.values()))
def test_only_the_configuration_differs(vendors: dict[str, str], tmp_path: Path) -> None:
    """Every town gives what the first gives, in neutral words and in both colours."""
    expected = plain(FIRST, tmp_path / "first")

    assert expected == plain(vendors, tmp_path / "plain")
    assert expected == awaited(vendors, tmp_path / "awaited")


def test_what_an_afternoon_comes_to(tmp_path: Path) -> None:
    """Everything was done in the first town too."""
    got = awaited(FIRST, tmp_path)

    assert got["fetched"]
    assert ("queued", ["queued"]) == got["mail"]
    assert not got["text"]
    assert (PaymentState.AUTHORIZED, Money("149.90", "EUR"), True) == got["payment"]
    assert (Money("100.00", "EUR"), True) == got["captured"]
    assert (Money("50.00", "EUR"), True) == got["refunded"]
    assert got["shipped"][1:] == (1, True)
    assert got["tracked"][0]
