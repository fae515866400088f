"""One script of a business system, and two sets of vendors: only the configuration differs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import mooring
from mooring.testing.sandbox.base import AsyncSandboxHttpClient, SandboxHttpClient
from tests.contracts.towns import TOWNS, afternoon

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 12_000_000


def test_only_the_configuration_differs(tmp_path: Path) -> None:
    """Both towns give equal neutral results, in both colours."""
    got: list[dict[str, Any]] = []

    async def awaited(make: Any, folder: Path) -> None:  # noqa: ANN401 - of either town
        town = make(folder)
        hub = mooring.aopen(town.configuration, http=AsyncSandboxHttpClient(*town.sandboxes))
        got.append(await afternoon(hub, town, SIZE))
        town.close()

    async def plain(make: Any, folder: Path) -> None:  # noqa: ANN401 - of either town
        town = make(folder)
        hub = mooring.open(town.configuration, http=SandboxHttpClient(*town.sandboxes))
        got.append(await afternoon(hub, town, SIZE))
        town.close()

    for number, make in enumerate(TOWNS):
        asyncio.run(plain(make, tmp_path / f"plain {number}"))
        asyncio.run(awaited(make, tmp_path / f"awaited {number}"))

    assert [got[0]] * 4 == got
