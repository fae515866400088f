"""The store and the client shown in the manual pass the conformance kits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.testing import http_conformance, name_of, state_conformance
from tests.test_documentation import example_names

if TYPE_CHECKING:
    from collections.abc import Callable

HOW_TO: Final = Path(__file__).parents[2] / "docs/how-to"

STORES: Final = example_names(HOW_TO / "own-storage.md", until="## Test it")
CLIENTS: Final = example_names(
    HOW_TO / "own-http-client.md", until="Pass your HTTP client to a manager"
)


def store(kind: str, tmp_path: Path, *bound: int) -> Any:
    """Return a store that the manual shows."""
    if kind == "PlainStorage":
        return STORES[kind](*bound)
    return STORES[kind](tmp_path / f"{time.monotonic_ns()}.db", *bound)


@pytest.mark.untraced
@pytest.mark.parametrize("check", state_conformance.CHECKS, ids=name_of)
def test_table_store_of_the_manual_conforms(check: state_conformance.Check, tmp_path: Path) -> None:
    """The manual's table store passes the conformance kit."""
    check(lambda: store("TableStorage", tmp_path))


@pytest.mark.untraced
@pytest.mark.parametrize("check", state_conformance.TIMED_CHECKS, ids=name_of)
@pytest.mark.parametrize("kind", ["PlainStorage", "TableStorage"])
def test_stores_forget_nothing_before_expiry(
    check: state_conformance.TimedCheck, kind: str, tmp_path: Path
) -> None:
    """The manual's stores forget no state before its expiry."""
    check(lambda: (store(kind, tmp_path), time.sleep))


@pytest.mark.parametrize("check", state_conformance.BOUNDED_CHECKS, ids=name_of)
@pytest.mark.parametrize("kind", ["PlainStorage", "TableStorage"])
def test_stores_of_the_manual_refuse_states_when_full(
    check: state_conformance.BoundedCheck, kind: str, tmp_path: Path
) -> None:
    """The manual's stores refuse new states when they are full."""
    check(lambda bound: (store(kind, tmp_path, bound), time.sleep))


@pytest.mark.parametrize("check", http_conformance.CHECKS, ids=name_of)
def test_client_of_the_manual_conforms(check: Callable[[Any], None]) -> None:
    """The manual's client passes the conformance kit of HTTP clients."""
    check(CLIENTS["MeteredHttpClient"])
