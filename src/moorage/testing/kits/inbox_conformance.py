"""Checks that every inbox must pass; an inbox is a store of received webhooks.

```python
import pytest

from moorage.adapters.entries.memory import MemoryInbox  # yours
from moorage.testing import inbox_conformance, name_of


@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_inbox(check):
    check(MemoryInbox)
```

`CHECKS` are for `InboxStorage`. `ASYNC_CHECKS` are for `AsyncInboxStorage`, and awaited. Each takes
a function that makes a store without entries.
"""

from __future__ import annotations

from typing import Final

from moorage.domain.entries.inbox import InboxEntry
from moorage.testing.kits._entries_checks import AsyncCheck, Check, Checks

_CHECKS: Final = Checks(InboxEntry)

CHECKS: Final[tuple[Check, ...]] = _CHECKS.plain

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = _CHECKS.awaited

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check"]
