"""Running the source of an imported module again, beside the original.

What a module builds while it is imported, such as the check of a field, is there before a mutant of
what builds it is chosen. Made anew, it is built by the mutant.
"""

from __future__ import annotations

import runpy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


def run_anew(module: ModuleType) -> Any:
    """Run a module's source once more, and return the new members."""
    assert module.__file__ is not None
    return SimpleNamespace(**runpy.run_path(module.__file__, run_name=module.__name__))
