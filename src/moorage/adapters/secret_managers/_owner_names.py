"""What is called after a service and a tenant, so that no two owners share it."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


def apart(service: str, tenant: str | None) -> tuple[str, ...] | None:
    """The service, and the tenant if there is one; None if what they are joined to could be shared.

    Small letters and digits, in words with single hyphens between them, stay apart however they
    are written in capitals or joined with two hyphens, a slash or two underscores.
    """
    names = (service,) if tenant is None else (service, tenant)
    return names if all(map(_NAME.fullmatch, names)) else None


def in_folders(prefix: str, service: str, tenant: str | None) -> str | None:
    """A path, on which all that belongs to a tenant is in one folder."""
    if apart(service, tenant) is None:
        return None
    return (
        f"{prefix}services/{service}" if tenant is None else f"{prefix}tenants/{tenant}/{service}"
    )


def in_words(prefix: str, service: str, tenant: str | None) -> str | None:
    """A word of letters, digits and hyphens."""
    names = apart(service, tenant)
    return None if names is None else prefix + "--".join(names)
