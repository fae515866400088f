"""The frames of a traceback that run moorage's code rather than a test's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import moorage

_PACKAGE: Final = Path(moorage.__file__).parent


def is_of_moorage(file: str) -> bool:
    """Return whether a traceback frame runs moorage's code, wherever the repository is."""
    return Path(file).is_relative_to(_PACKAGE)
