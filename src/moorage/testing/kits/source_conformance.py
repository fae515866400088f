"""Checks for every pipeline source; each source runs with its real broker.

```python
import asyncio
from itertools import count

import pytest

from moorage import SinkRecord
from moorage.testing import MemorySource, name_of, source_conformance


@pytest.mark.parametrize("check", source_conformance.CHECKS, ids=name_of)
def test_source(check):
    source = MemorySource([], is_endless=True, commits="each")  # yours

    offsets = count()

    async def publish(messages):  # to your broker
        for message in messages:
            fields = {"key": message.key, "id": message.id, "content_type": message.content_type}
            record = SinkRecord(message.payload, topic="orders", offset=next(offsets), **fields)
            source.add([record])

    subject = source_conformance.SourceSubject(
        make=lambda: source, publish=publish, releases=False
    )
    asyncio.run(check(subject))
```

The checks are coroutine functions. Each takes a `SourceSubject` of a topic, queue or stream that
no other check has used. Give `interrupt` if the source has a connection: usually the function cuts
and restores a `moorage.testing.TcpProxy` to which the source connects. If the broker delivers
abandoned records again after some time, set that time to about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from moorage.testing.kits import _source_checks as checks
from moorage.testing.kits._source_harness import SourceSubject

__all__ = ("CHECKS", "SourceSubject")

Check: TypeAlias = Callable[[SourceSubject], Coroutine[Any, Any, None]]

CHECKS: Final[tuple[Check, ...]] = checks.CHECKS
