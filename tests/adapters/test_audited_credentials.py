"""Audit records of credential use."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from moorage import Credentials, OAuthCredentials, StorageUnavailable
from moorage.adapters.audit.file import FileAudit
from moorage.adapters.credentials import audited
from moorage.adapters.credentials.audited import AsyncAuditedCredentials, AuditedCredentials
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.hub.audit import AuditTrail

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = Credentials.bearer("canary-first"), Credentials.bearer("canary-second")


class AuditedUses:
    """A sync or async credential provider with an audit trail, and the records that it writes."""

    def __init__(self, trail: AuditTrail, *, is_async: bool) -> None:
        self.trail = trail
        owners: dict[tuple[str, str | None], Credentials | OAuthCredentials] = {
            ("vat", None): FIRST,
            ("vat", "acme"): FIRST,
        }
        if is_async:

            async def renew_later(*_: object) -> Credentials:
                return SECOND

            store = AsyncMemoryCredentialProvider(owners, renew=renew_later)
            self.provider: Any = AsyncAuditedCredentials(store, trail)
        else:
            plain_provider = MemoryCredentialProvider(owners, renew=lambda *_: SECOND)
            self.provider = AuditedCredentials(plain_provider, trail)

    def do(self, method_name: str, *values: Any) -> Any:
        """Return the result of a method, awaiting it in asynchronous mode."""

        async def call_provider() -> Any:
            answer = getattr(self.provider, method_name)(*values)
            return await answer if inspect.isawaitable(answer) else answer

        return asyncio.run(call_provider())

    @property
    def records(self) -> list[tuple[str, str]]:
        """Return the action and the subject of each audit record, oldest first."""
        return [(item.act, item.subject) for item in reversed(self.trail.find().items)]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_uses_are_recorded_without_an_entry_for_each_call(
    tmp_path: Path, *, is_async: bool
) -> None:
    """First reads, renewals and changes of credentials are recorded, without the secrets."""
    uses = AuditedUses(AuditTrail(FileAudit(tmp_path / "trail")), is_async=is_async)
    assert uses.do("has", "vat", None)
    for _ in range(3):
        assert FIRST == uses.do("get", "vat", None)
    assert FIRST == uses.do("get", "vat", "acme")
    assert SECOND == uses.do("refresh", "vat", "acme", FIRST)
    uses.do("rotate", "vat", None, SECOND)
    assert SECOND == uses.do("get", "vat", None)

    assert [
        ("credentials.use", "credentials of vat"),
        ("credentials.use", "credentials of vat/acme"),
        ("credentials.refresh", "credentials of vat/acme"),
        ("credentials.set", "credentials of vat"),
    ] == uses.records
    assert "canary" not in (tmp_path / "trail").read_text()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_unrecorded_credentials_are_not_handed_out(tmp_path: Path, *, is_async: bool) -> None:
    """If reading a credential cannot be recorded, it is refused, unless the trail is optional."""
    dead_trail = FileAudit(tmp_path / "nowhere" / "trail")
    uses = AuditedUses(AuditTrail(dead_trail), is_async=is_async)
    for verb, values in (("get", ()), ("refresh", (FIRST,)), ("rotate", (SECOND,))):
        with pytest.raises(StorageUnavailable, match="was refused"):
            uses.do(verb, "vat", None, *values)
    lenient = AuditedUses(AuditTrail(dead_trail, required=False), is_async=is_async)
    with pytest.warns(match="was not recorded"):
        assert FIRST == lenient.do("get", "vat", None)


def test_memory_of_owners_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a limit, credential owners are forgotten, and their next read is recorded again."""
    monkeypatch.setattr(audited, "_MOST_OWNERS", 1)
    uses = AuditedUses(AuditTrail(FileAudit(tmp_path / "trail")), is_async=False)
    for tenant in (None, "acme", None):
        uses.do("get", "vat", tenant)
    assert 3 == len(uses.records)
