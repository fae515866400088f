"""One script of a business system, and sets of vendors: only the configuration differs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.contracts.payments import Money, PaymentState
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from tests.contracts.towns import afternoon, town, towns

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 12_000_000
FIRST, *OTHERS = towns()


def plain(vendors: dict[str, str], folder: Path) -> dict[str, Any]:
    """The results of the afternoon with these vendors."""
    here = town(vendors, folder)
    hub = moorage.open(here.configuration, http=SandboxHttpClient(*here.sandboxes))
    try:
        return asyncio.run(afternoon(hub, here, SIZE))
    finally:
        here.close()


def awaited(vendors: dict[str, str], folder: Path) -> dict[str, Any]:
    """The results of the afternoon with these vendors and an asynchronous hub."""
    here = town(vendors, folder)
    hub = moorage.aopen(here.configuration, http=AsyncSandboxHttpClient(*here.sandboxes))
    try:
        return asyncio.run(afternoon(hub, here, SIZE))
    finally:
        here.close()


@pytest.mark.parametrize("vendors", OTHERS, ids=lambda vendors: "-".join(vendors.values()))
def test_only_the_configuration_differs(vendors: dict[str, str], tmp_path: Path) -> None:
    """Every vendor gives the same neutral result as the first one, in both modes."""
    expected = plain(FIRST, tmp_path / "first")

    assert expected == plain(vendors, tmp_path / "plain")
    assert expected == awaited(vendors, tmp_path / "awaited")


def test_the_first_towns_afternoon(tmp_path: Path) -> None:
    """With the first vendors everything is done."""
    result = awaited(FIRST, tmp_path)

    assert result["fetched"]
    assert ("queued", ["queued"]) == result["mail"]
    assert not result["text"]
    assert (PaymentState.AUTHORIZED, Money("149.90", "EUR"), True) == result["payment"]
    assert (Money("100.00", "EUR"), True) == result["captured"]
    assert (Money("50.00", "EUR"), True) == result["refunded"]
    assert result["shipped"][1:] == (1, True)
    assert result["tracked"][0]
