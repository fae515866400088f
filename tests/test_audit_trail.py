"""The audit trail of an application."""

from __future__ import annotations

import asyncio
import getpass
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from moorage import ConfigurationError, LocalFailure, Secret, StorageUnavailable
from moorage.adapters.audit.file import FileAudit
from moorage.adapters.audit.sqlite import SqliteAudit
from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.domain.observation.audit import AuditHead, AuditQuery
from moorage.hub.audit import AsyncAuditTrail, AuditTrail, system_user
from moorage.testing import VirtualClock
from tests.support.threads import no_new_threads

if TYPE_CHECKING:
    from pathlib import Path

KEYS = generate_keys()


def test_record_names_who_did_what_and_why(tmp_path: Path) -> None:
    """An audit record has time, actor, action, subject, reason, and the states before and after."""
    clock = VirtualClock()
    trail = AuditTrail(FileAudit(tmp_path / "trail"), clock=clock)

    record = trail.record(
        "circuit.open",
        "service vat",
        actor="ada",
        reason="incident 7",
        before={"state": "closed"},
        after={"state": "forced_open"},
    )

    assert record is not None
    assert clock.utc() == record.time
    assert ("circuit.open", "service vat", "ada", "incident 7") == (
        record.act,
        record.subject,
        record.actor,
        record.reason,
    )
    assert ('{"state": "closed"}', '{"state": "forced_open"}') == (record.before, record.after)
    assert (record,) == trail.find().items == trail.find(AuditQuery(actor="ada")).items


def test_actor_is_the_systems_user(tmp_path: Path) -> None:
    """Without a given actor, the audit record has the operating system's user."""
    record = AuditTrail(FileAudit(tmp_path / "trail")).record("note", "1")
    assert record is not None
    assert getpass.getuser() == record.actor


def test_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system's user has no name, the audit record has the user's id."""

    def raise_unknown_user() -> NoReturn:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", raise_unknown_user)
    assert system_user().startswith("user ")


def test_seal_is_made_and_verified(tmp_path: Path) -> None:
    """A seal of the audit trail can be stored elsewhere, to show if records are later cut off."""
    trail = AuditTrail(FileAudit(tmp_path / "trail"), keys=KEYS.text())
    trail.record("note", "1")
    sealing = trail.seal()

    assert (2, "seal") == (sealing.number, sealing.act)
    assert 2 == trail.verify().sealed
    assert not trail.verify(anchor=AuditHead(3, "f" * 64)).whole
    assert trail.verify(anchor=AuditHead(2, sealing.hash)).whole


def test_seal_needs_keys(tmp_path: Path) -> None:
    """Sealing an audit trail without keys is refused, and the error says how to get keys."""
    with pytest.raises(ConfigurationError, match="no keys") as excinfo:
        AuditTrail(FileAudit(tmp_path / "trail")).seal()
    assert "generate_keys" in excinfo.value.remedy


def test_act_that_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    """If the audit store is unavailable, the error names the act, the store and a remedy."""
    trail = AuditTrail(FileAudit(tmp_path / "nowhere" / "trail"))
    with pytest.raises(
        StorageUnavailable, match=r"circuit.open of service vat was refused.*could not be used"
    ) as excinfo:
        trail.record("circuit.open", "service vat")
    assert "check the disk" in excinfo.value.remedy

    with (
        SqliteAudit(tmp_path / "missing.db") as store,
        pytest.raises(ConfigurationError, match=r"note of 1 was refused.*does not exist"),
    ):
        AuditTrail(store).record("note", "1")


def test_act_is_done_without_its_record_if_so_configured(tmp_path: Path) -> None:
    """An audit trail that is not required warns if a record fails, and lets the act continue."""
    trail = AuditTrail(FileAudit(tmp_path / "nowhere" / "trail"), required=False)
    with pytest.warns(RuntimeWarning, match="circuit.open was not recorded in the audit trail"):
        assert trail.record("circuit.open", "service vat") is None


def test_foreign_exception_of_a_store_is_converted() -> None:
    """The error for an exception of an application's own audit store does not repeat its text."""
    store: Any = _ForeignStore()
    with pytest.raises(StorageUnavailable, match="raised OSError") as excinfo:
        AuditTrail(store).record("circuit.open", "service vat")
    assert "hunter2" not in str(excinfo.value)
    with pytest.warns(RuntimeWarning, match="raised OSError"):
        assert AuditTrail(store, required=False).record("circuit.open", "service vat") is None


@pytest.mark.parametrize("act", ["find", "verify"])
def test_foreign_exception_of_a_reading_store_is_converted(act: str) -> None:
    """An exception while records are read counts as an outage, and its text is not repeated."""
    store: Any = _ForeignStore()
    with pytest.raises(StorageUnavailable, match="raised OSError") as excinfo:
        getattr(AuditTrail(store), act)()
    assert "hunter2" not in str(excinfo.value)


def test_record_for_which_no_thread_starts_is_never_written(tmp_path: Path) -> None:
    """If the system refuses the thread of a record, the act is refused and never recorded."""

    async def record() -> int:
        trail = AsyncAuditTrail(FileAudit(tmp_path / "trail"))
        with no_new_threads(), pytest.raises(LocalFailure, match="another thread"):
            await trail.record("circuit.open", "service vat")
        return len((await trail.find()).items)

    assert 0 == asyncio.run(record())


class _ForeignStore:
    def append(self, _: Any) -> NoReturn:
        raise OSError("no route to audit:hunter2@db")

    find = append

    def head(self) -> NoReturn:
        raise OSError("no route to audit:hunter2@db")


def test_asynchronous_audit_trail_verifies_like_the_synchronous_one(tmp_path: Path) -> None:
    """The asynchronous audit trail records, seals and verifies like the synchronous one."""

    async def use_audited() -> Any:
        trail = AsyncAuditTrail(FileAudit(tmp_path / "trail"), keys=KEYS)
        await trail.record("note", "1", actor="ada")
        await trail.seal()
        assert "AsyncAuditTrail(FileAudit" in repr(trail)
        return await trail.verify(), await trail.find(AuditQuery(act="note"))

    verification, page = asyncio.run(use_audited())
    assert (True, 2, 2) == (verification.whole, verification.records, verification.sealed)
    assert ["ada"] == [record.actor for record in page.items]


def test_no_key_is_shown(tmp_path: Path) -> None:
    """Neither the repr of an audit trail nor an error about its keys shows a key."""
    text = KEYS.text().reveal()
    representation = repr(AuditTrail(FileAudit(tmp_path / "trail"), keys=KEYS))
    with pytest.raises(ConfigurationError) as excinfo:
        AuditTrail(FileAudit(tmp_path / "trail"), keys=Secret(f"{text},{text}"))
    assert text.partition(":")[2] not in representation + str(excinfo.value)


def test_act_succeeds_without_its_record_if_warnings_are_errors(tmp_path: Path) -> None:
    """If warnings are errors, an act still succeeds when its optional audit record fails."""
    trail = AuditTrail(FileAudit(tmp_path / "nowhere" / "trail"), required=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trail.record("note", "1") is None
