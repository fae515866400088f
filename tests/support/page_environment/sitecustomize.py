"""Hides installed packages from a Python interpreter, as if fewer were installed.

The environment variable `PAGE_PACKAGES` is the path of a JSON file with the names of the
packages and of the modules that are not there.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLAN = json.loads(Path(os.environ["PAGE_PACKAGES"]).read_text("utf-8"))
_PACKAGES = frozenset(_PLAN["packages"])
_HIDDEN = frozenset(_PLAN["hidden"])


class _HidingFinder:
    """An import finder that raises ModuleNotFoundError for hidden packages."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in _HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


_all_distributions = metadata.MetadataPathFinder.find_distributions


def _distributions(*context: Any) -> Iterator[Any]:
    for result in _all_distributions(*context):
        folder: Any = result._path  # noqa: SLF001 - reading the metadata is slow
        name = folder.name.partition("-")[0]
        if name.replace("_", "-").replace(".", "-").lower() not in _PACKAGES:
            yield result


sys.meta_path.insert(0, _HidingFinder)
metadata.MetadataPathFinder.find_distributions = staticmethod(_distributions)  # type: ignore[method-assign, assignment]  # hides other packages
