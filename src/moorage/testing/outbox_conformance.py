"""What every store of calls must do, as checks to run on one's own.

```python
@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_my_outbox(check):
    check(MyOutboxStorage)
```

`CHECKS` are for `OutboxStorage`. `ASYNC_CHECKS` are for `AsyncOutboxStorage`, and awaited. Each
takes a function that makes a store without entries. That `add` is part of the host's transaction
only you can check.
"""

from __future__ import annotations

from typing import Final

from moorage.domain.outbox import OutboxEntry
from moorage.testing._entries_checks import AsyncCheck, Check, Checks

_CHECKS: Final = Checks(OutboxEntry)

CHECKS: Final[tuple[Check, ...]] = _CHECKS.plain

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = _CHECKS.awaited

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check"]
