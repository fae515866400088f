"""Checks that every connector must pass, with a real server.

```python
import pytest

from moorage.adapters.sql.connector import SqlConnector  # yours
from moorage.adapters.sql.statements import Query
from moorage.testing import connector_conformance, name_of

ECHO = Query("SELECT :text AS text", name="echo")


@pytest.mark.parametrize("check", connector_conformance.CHECKS, ids=name_of)
def test_connector(check):
    subject = connector_conformance.ConnectorSubject(
        make=lambda manager: SqlConnector("sqlite://", service="connector"),
        read=lambda connector, text: connector.query(ECHO, text=text),
        operations=100,
    )
    check(subject)
```

- `CHECKS` are for every connector.
- `NETWORK_CHECKS` are for connectors with a server. They need `network`, usually a
  `moorage.testing.TcpProxy` to which the connector connects.
- `FORK_CHECKS` are for synchronous connectors whose library survives a fork.

`ASYNC_CHECKS` and `ASYNC_NETWORK_CHECKS` are coroutine functions for asynchronous connectors. Each
check takes a `ConnectorSubject`, and creates its own connectors.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.testing.kits import _connector_checks as checks
from moorage.testing.kits import _connector_network_checks as network
from moorage.testing.kits._connector_harness import (
    ConnectorSubject,
    Harness,
    NetworkFaults,
    Refusal,
)
from moorage.testing.kits.checks import retrying_check

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = (
    "ASYNC_CHECKS",
    "ASYNC_NETWORK_CHECKS",
    "CHECKS",
    "FORK_CHECKS",
    "NETWORK_CHECKS",
    "ConnectorSubject",
    "NetworkFaults",
    "Refusal",
)

Check: TypeAlias = "Callable[[ConnectorSubject], None]"
AsyncCheck: TypeAlias = "Callable[[ConnectorSubject], Coroutine[Any, Any, None]]"
HarnessCheck: TypeAlias = "Callable[[Harness], Coroutine[Any, Any, None]]"


def _async_check(check: HarnessCheck) -> AsyncCheck:
    """Convert a check to a check of an asynchronous connector."""

    @wraps(check)
    async def run(subject: ConnectorSubject) -> None:
        await check(Harness(subject, is_async=True))

    return run


def _sync_check(check: HarnessCheck) -> Check:
    """Convert a check to a check of a synchronous connector."""

    @wraps(check)
    def run(subject: ConnectorSubject) -> None:
        asyncio.run(check(Harness(subject, is_async=False)))

    return run


_NETWORK_CHECKS: Final = tuple(map(retrying_check, network.CHECKS))
_CANCEL_CHECKS: Final = (retrying_check(network.cancelled_operation_leaves_no_trace),)

CHECKS: Final[tuple[Check, ...]] = tuple(map(_sync_check, checks.CHECKS))
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = tuple(map(_async_check, checks.CHECKS))
NETWORK_CHECKS: Final[tuple[Check, ...]] = tuple(map(_sync_check, _NETWORK_CHECKS))
ASYNC_NETWORK_CHECKS: Final[tuple[AsyncCheck, ...]] = tuple(
    map(_async_check, (*_NETWORK_CHECKS, *_CANCEL_CHECKS))
)
FORK_CHECKS: Final[tuple[Check, ...]] = (checks.forked_child_has_connections_of_its_own,)
