"""Names of secrets that are unique for each service and tenant."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


def unambiguous_names(service: str, tenant: str | None) -> tuple[str, ...] | None:
    """Return service and tenant as parts of a secret's name; None if they would be ambiguous.

    Only words of lower-case letters and digits with single hyphens are accepted. They stay distinct
    in upper case, and when they are joined with two hyphens, a slash or two underscores.
    """
    names = (service,) if tenant is None else (service, tenant)
    return names if all(map(_NAME.fullmatch, names)) else None


def secret_path(prefix: str, service: str, tenant: str | None) -> str | None:
    """Return the path of a secret; a tenant's secrets share one folder."""
    if unambiguous_names(service, tenant) is None:
        return None
    return (
        f"{prefix}services/{service}" if tenant is None else f"{prefix}tenants/{tenant}/{service}"
    )


def secret_word(prefix: str, service: str, tenant: str | None) -> str | None:
    """Return a secret's name made of letters, digits and hyphens; None if it would be ambiguous."""
    names = unambiguous_names(service, tenant)
    return None if names is None else prefix + "--".join(names)
