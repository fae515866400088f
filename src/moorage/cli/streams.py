"""The standard streams of the process: what is missing, and what they have no letters for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def replaced() -> None:
    """Put streams that lead nowhere in place of those that were closed before we were called."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - to the end


def as_json(told: Any, *, indent: int | None = None) -> str:
    """A document of JSON for the standard output, which may not have every letter."""
    text = json.dumps(told, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(told, indent=indent)
    return text
