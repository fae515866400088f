"""Checks for every platform that runs steps.

```python
from tempfile import mkdtemp

import pytest

from moorage import LocalPlatform
from moorage.testing import name_of, platform_conformance


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_platform(check):
    folder = mkdtemp()
    check(platform_conformance.PlatformSubject(make=lambda: LocalPlatform(folder)))  # yours
```

The steps of the checks run `sh` with the programs cat, echo, env, head, kill, ln, mkdir, sleep and
tr. Give `image` if your steps run in containers. To show that lost connections lose no output, let
`make` return a platform that connects through a `moorage.testing.TcpProxy` which cuts connections.

Some foreign systems cannot give every guarantee: a git host has one output for each job. Name
these as `limits`. A check then requires the weaker guarantee, and that unsupported requests are
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from moorage.testing.kits import _platform_checks as checks
from moorage.testing.kits._platform_checks import PlatformLimit, PlatformSubject

__all__ = ("CHECKS", "PlatformLimit", "PlatformSubject")

Check: TypeAlias = Callable[[PlatformSubject], None]

CHECKS: Final[tuple[Check, ...]] = checks.CHECKS
