"""The audit trail that a configuration names, and its records of the use of credentials."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, Credentials, Request, Response
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.hub.audit import AuditTrail
from moorage.testing import AsyncScriptedHttpClient, FakeVendor, ScriptedHttpClient
from moorage.wiring.store_urls import open_audit

if TYPE_CHECKING:
    from pathlib import Path

OWNERS: dict[tuple[str, str | None], Any] = {("vat", None): Credentials.bearer("canary")}
SERVICE = {"base_url": "https://vat.example", "needs_credentials": True}
RATES = Request.get("/rates")


def source_of(folder: Path, **audit: Any) -> dict[str, Any]:
    """Return a configuration with a service, a credential store and an audit trail."""
    return {
        "services": {"vat": SERVICE},
        "audit": {"url": f"sqlite:///{folder}/audit.db", **audit},
    }


def vendor() -> FakeVendor:
    """Return a fake vendor that answers two requests."""
    return FakeVendor([Response(200), Response(200)])


def make_records(folder: Path) -> list[tuple[str, str, Any]]:
    """Return the action, subject and new values of each record in the audit trail."""
    with open_audit(f"sqlite:///{folder}/audit.db", create=True) as store:
        items = AuditTrail(store).find().items
        return [(item.act, item.subject, item.after) for item in items]


USE = ("credentials.use", "credentials of vat", f'{{"process": {os.getpid()}}}')


@pytest.mark.parametrize("uses", [True, False])
def test_uses_of_credentials_are_recorded(tmp_path: Path, *, uses: bool) -> None:
    """With `audit.uses`, the first read of the program's credentials is recorded.

    Without `audit.uses`, no use is recorded.
    """
    store, http = (
        MemoryCredentialProvider(OWNERS),
        ScriptedHttpClient(vendor()),
    )
    source = source_of(tmp_path, uses=uses)
    with moorage.open(source, credentials=store, http=http) as hub:
        hub.manager.call("vat", RATES)
        hub.manager.call("vat", RATES)

    assert ([USE] if uses else []) == make_records(tmp_path)


def test_asynchronous_hub_records_uses_of_credentials(tmp_path: Path) -> None:
    """An asynchronous hub also records the use of credentials."""

    async def call() -> None:
        store = AsyncMemoryCredentialProvider(OWNERS)
        http = AsyncScriptedHttpClient(vendor())
        source = source_of(tmp_path, uses=True)
        async with moorage.aopen(source, credentials=store, http=http) as hub:
            await hub.manager.call("vat", RATES)

    asyncio.run(call())
    assert [USE] == make_records(tmp_path)


def test_uses_of_the_configured_store_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The use of credentials from the credential store of the configuration is also recorded."""
    monkeypatch.setenv("MOORAGE_CREDENTIAL_VAT", "canary")
    source = {**source_of(tmp_path, uses=True), "credentials_from": {"url": "environment:"}}
    with moorage.open(source, http=ScriptedHttpClient(vendor())) as hub:
        hub.manager.call("vat", RATES)

    assert [USE] == make_records(tmp_path)


def test_audit_of_uses_without_a_credential_store_is_refused(tmp_path: Path) -> None:
    """The setting `audit.uses` is refused if there is no credential store."""
    source = source_of(tmp_path, uses=True)
    source["services"] = {"vat": {"base_url": "https://vat.example"}}
    with pytest.raises(ConfigurationError, match="no credential store") as excinfo:
        moorage.open(source)

    assert ["audit.uses"] == [problem.path for problem in excinfo.value.problems]


def test_broken_trail_is_the_only_problem(tmp_path: Path) -> None:
    """If the audit trail cannot be opened, its other settings cause no second problem."""
    source = source_of(tmp_path, uses=True)
    source["audit"]["url"] = "memory:"
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(source, credentials=MemoryCredentialProvider(OWNERS))

    assert ["audit.url"] == [problem.path for problem in excinfo.value.problems]
