"""The store and the client that the manual shows pass the kits that it shows them to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.testing import http_conformance, name_of, state_conformance
from tests.test_documentation import shown

if TYPE_CHECKING:
    from collections.abc import Callable

HOW_TO: Final = Path(__file__).parents[2] / "docs/how-to"

STORES: Final = shown(HOW_TO / "own-storage.md", until="## Prove it")
CLIENTS: Final = shown(HOW_TO / "own-http-client.md", until="Give it to a manager")


def store(kind: str, tmp_path: Path, *bound: int) -> Any:
    """A store of the manual's."""
    if kind == "PlainStorage":
        return STORES[kind](*bound)
    return STORES[kind](tmp_path / f"{time.monotonic_ns()}.db", *bound)


@pytest.mark.parametrize("check", state_conformance.CHECKS, ids=name_of)
def test_table(check: state_conformance.Check, tmp_path: Path) -> None:
    """The store in a table does what every store must; the page itself runs the other one's kit."""
    check(lambda: store("TableStorage", tmp_path))


@pytest.mark.parametrize("check", state_conformance.TIMED_CHECKS, ids=name_of)
@pytest.mark.parametrize("kind", ["PlainStorage", "TableStorage"])
def test_stores_in_time(check: state_conformance.TimedCheck, kind: str, tmp_path: Path) -> None:
    """Each store forgets nothing too early."""
    check(lambda: (store(kind, tmp_path), time.sleep))


@pytest.mark.parametrize("check", state_conformance.BOUNDED_CHECKS, ids=name_of)
@pytest.mark.parametrize("kind", ["PlainStorage", "TableStorage"])
def test_stores_at_their_bound(
    check: state_conformance.BoundedCheck, kind: str, tmp_path: Path
) -> None:
    """Each store refuses what it has no room for."""
    check(lambda bound: (store(kind, tmp_path, bound), time.sleep))


@pytest.mark.parametrize("check", http_conformance.CHECKS, ids=name_of)
def test_client(check: Callable[[Any], None]) -> None:
    """The client does what every HTTP client must."""
    check(CLIENTS["MeteredHttpClient"])
