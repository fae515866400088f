"""Standard streams that may be closed, or whose encoding may lack some characters."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def replace_closed_streams() -> None:
    """Replace closed standard streams by the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until the process ends


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON that the standard output can encode."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text
