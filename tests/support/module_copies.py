"""Running the source of an imported module again, separately from the original.

A module builds some values at import, such as a field's check, before a mutant of the
building code is chosen. Running the module again builds these values with the mutant.
"""

from __future__ import annotations

import runpy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


def rerun_module(module: ModuleType) -> Any:
    """Run a module's source once more, and return the new members."""
    assert module.__file__ is not None
    return SimpleNamespace(**runpy.run_path(module.__file__, run_name=module.__name__))
