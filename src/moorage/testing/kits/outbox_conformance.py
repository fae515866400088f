"""Checks for every outbox, which is a store of calls to be made.

```python
import pytest

from moorage.adapters.entries.memory import MemoryOutbox  # yours
from moorage.testing import name_of, outbox_conformance


@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_outbox(check):
    check(MemoryOutbox)
```

`CHECKS` are for `OutboxStorage`. `ASYNC_CHECKS` are for `AsyncOutboxStorage`, and awaited. Each
takes a function that makes a store without entries. Only you can check that `add` is part of the
host's transaction.
"""

from __future__ import annotations

from typing import Final

from moorage.domain.entries.outbox import OutboxEntry
from moorage.testing.kits._entries_checks import AsyncCheck, Check, Checks

_CHECKS: Final = Checks(OutboxEntry)

CHECKS: Final[tuple[Check, ...]] = _CHECKS.plain

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = _CHECKS.awaited

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check"]
