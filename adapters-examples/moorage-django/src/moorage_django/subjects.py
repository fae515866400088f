"""Find, export and erase the stored data about one person or object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage.hub.subjects import Subjects
from moorage_django.models import Credential
from moorage_django.runtime import process
from moorage_django.settings import project_settings

if TYPE_CHECKING:
    from django.db.models import QuerySet


def export(*, subject: str | None = None, tenant: str | None = None) -> str:
    """Return all stored data about a subject or tenant as JSON.

    Of a tenant's credentials, only their existence is reported.
    """
    report: dict[str, Any] = json.loads(_subjects().export(subject=subject, tenant=tenant))
    report["credentials"] = [str(row) for row in _credentials(subject, tenant)]
    return json.dumps(report, ensure_ascii=False, indent=2)


def erase(*, subject: str | None = None, tenant: str | None = None) -> dict[str, int]:
    """Erase all data about a person or tenant, including pending calls.

    Return the number of erased items of each kind.
    """
    erased_counts = _subjects().erase(subject=subject, tenant=tenant)
    credentials, _ = _credentials(subject, tenant).delete()
    return {
        "log": erased_counts.log,
        "inbox": erased_counts.inbox,
        "outbox": erased_counts.outbox,
        "credentials": int(credentials),
    }


def _subjects() -> Subjects:
    return Subjects(log=process.log(), inbox=process.inbox(), outbox=process.outbox())


def _credentials(subject: str | None, tenant: str | None) -> QuerySet[Credential]:
    """Return a tenant's credentials; empty for a person, because only tenants have credentials."""
    rows = Credential.objects.using(project_settings().database)
    return rows.none() if tenant is None or subject is not None else rows.filter(tenant=tenant)
