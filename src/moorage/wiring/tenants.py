"""The methods of the application's tenant store, in the form in which moorage calls them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from moorage.errors import ConfigurationError
from moorage.runtime.flows import as_async, guarded_async, guarded_port
from moorage.services.core.foreign_errors import tenants_failure
from moorage.wiring.ports import check_verb

if TYPE_CHECKING:
    from collections.abc import Callable


def tenant_verbs(tenants: Any, *, is_async: bool) -> dict[str, Callable[[str], Any]]:
    """Return a tenant store's methods, which convert exceptions foreign to moorage.

    Raises:
        ConfigurationError: a method is missing, asynchronous in a synchronous hub, or the reverse.
    """
    verbs: dict[str, Callable[[str], Any]] = {}
    for verb in ("version", "tables"):
        check_verb(tenants, "tenants", verb)
        method = getattr(tenants, verb)
        if inspect.iscoroutinefunction(method) is not is_async:
            kind = "synchronous" if is_async else "asynchronous"
            raise ConfigurationError(
                f"{type(tenants).__name__}.{verb} is {kind}, but the hub is not.",
                path="tenants",
                remedy=f"Give {'an asynchronous' if is_async else 'a synchronous'} tenant store.",
            )
        guard = guarded_async if is_async else _lift_function
        verbs[verb] = guard(method, tenants_failure)
    return verbs


def _lift_function(method: Callable[..., Any], convert: Callable[..., Any]) -> Callable[..., Any]:
    return as_async(guarded_port(method, convert))
