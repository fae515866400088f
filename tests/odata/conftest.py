"""The OData service that the tests of this folder call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.odata.odata_harness import Caller
from tests.support.odata_server import ODataServer

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def server() -> Generator[ODataServer]:
    """Yield an OData service with three orders."""
    server = ODataServer().start()
    for name, pieces in (("bolt", 3), ("nut", 7), ("O'Brien", 9)):
        server.service.add(Name=name, Pieces=pieces)
    yield server
    server.close()


@pytest.fixture(params=["sync", "async"])
def caller(server: ODataServer, request: pytest.FixtureRequest) -> Caller:
    """Yield a synchronous and an asynchronous caller of the OData service."""
    return Caller(server, is_async=request.param == "async")
