"""Adapts the host's tenant store for flows."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from moorage.errors import ConfigurationError
from moorage.runtime.bridge import guarded, guarded_later, lift
from moorage.services.core.foreign_errors import tenants_broke
from moorage.wiring.ports import check_verb

if TYPE_CHECKING:
    from collections.abc import Callable


def asked_of(tenants: Any, *, awaited: bool) -> dict[str, Callable[[str], Any]]:
    """The verbs of a port of tenants, which raise nothing foreign.

    Raises:
        ConfigurationError: it is no such port, or of the other colour.
    """
    verbs: dict[str, Callable[[str], Any]] = {}
    for verb in ("version", "tables"):
        check_verb(tenants, "tenants", verb)
        method = getattr(tenants, verb)
        if inspect.iscoroutinefunction(method) is not awaited:
            raise ConfigurationError(
                f"{type(tenants).__name__}.{verb} is of the other colour.",
                path="tenants",
                remedy=f"Give the {'asynchronous' if awaited else 'plain'} one.",
            )
        guard = guarded_later if awaited else _lifted
        verbs[verb] = guard(method, tenants_broke)
    return verbs


def _lifted(method: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    return lift(guarded(method, ours))
