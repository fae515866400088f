"""Example calls for every contract; each scenario uses one operation or capability.

`BASIC` contains the scenarios that every vendor of a contract supports; `BY_CAPABILITY` contains
the scenarios that need a capability, by its name. A scenario takes a vendor behind a synchronous
or asynchronous hub and returns a true value if everything went as it should.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from moorage.contracts.catalog import CONTRACTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.testing.sandbox_scenarios.runner import Scenario

_MODULES: Final = {kind: import_module(f"{__name__}.{kind}") for kind in CONTRACTS}
BASIC: Final[Mapping[str, Mapping[str, Scenario]]] = {
    name: module.BASIC for name, module in _MODULES.items()
}
BY_CAPABILITY: Final[Mapping[str, Mapping[str, Scenario]]] = {
    name: module.BY_CAPABILITY for name, module in _MODULES.items()
}
