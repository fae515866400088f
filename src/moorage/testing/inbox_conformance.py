"""What every store of webhooks must do, as checks to run on one's own.

```python
@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_my_inbox(check):
    check(MyInboxStorage)
```

`CHECKS` are for `InboxStorage`. `ASYNC_CHECKS` are for `AsyncInboxStorage`, and awaited. Each takes
a function that makes a store without entries.
"""

from __future__ import annotations

from typing import Final

from moorage.domain.inbox import InboxEntry
from moorage.testing._entries_checks import AsyncCheck, Check, Checks

_CHECKS: Final = Checks(InboxEntry)

CHECKS: Final[tuple[Check, ...]] = _CHECKS.plain

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = _CHECKS.awaited

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check"]
