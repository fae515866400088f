"""The audit trail in SQLite, PostgreSQL, MariaDB and a JSON Lines file."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import pytest
import sqlalchemy

from moorage import ConfigurationError, StorageUnavailable
from moorage.adapters.audit.file import FileAudit, line_of
from moorage.adapters.audit.sql import SqlAudit
from moorage.adapters.audit.sqlite import SqliteAudit
from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.domain.observation.audit import (
    GENESIS,
    Act,
    AuditHead,
    AuditQuery,
    AuditRecord,
    Fault,
    hash_of,
)
from moorage.hub.audit import AuditTrail
from moorage.testing import VirtualClock
from moorage.wiring.store_urls import open_audit
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


KINDS = ("file", "sqlite", "postgresql", "mariadb")
_DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
KEYS = generate_keys()


class AuditHarness:
    """An audit trail in one kind of store, and functions that damage its records."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.prefix = f"audit{uuid4().hex[:8]}_"
        self.path = folder / f"{self.prefix}trail"
        servers = {"postgresql": postgres_url, "mariadb": mariadb_url}
        self.url = (
            f"file://{self.path}"
            if kind == "file"
            else f"sqlite:///{self.path}"
            if kind == "sqlite"
            else servers[kind]()
        )
        self.store = self.another()
        self.store.migrate()

    def another(self, **options: Any) -> Any:
        """Open the same audit trail a second time."""
        if self.kind != "file":
            options["prefix"] = self.prefix
        return open_audit(self.url, **options)

    def run(self, *statements: str) -> None:
        """Run SQL statements on the trail's tables."""
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self.path)) as link, link:
                for statement in statements:
                    link.execute(statement)
            return
        alchemy = sqlalchemy.make_url(self.url).set(drivername=_DRIVERS[self.kind])
        engine = sqlalchemy.create_engine(alchemy, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def change(self, number: int, name: str, value: str) -> None:
        """Change a string of a record, like somebody with access to the store."""
        if self.kind == "file":
            lines = self.path.read_text().splitlines(keepends=True)
            fields = json.loads(lines[number - 1])
            lines[number - 1] = json.dumps({**fields, name: value}) + "\n"
            self.path.write_text("".join(lines))
            return
        self.run(f"UPDATE {self.prefix}audit SET {name} = '{value}' WHERE number = {number}")

    def remove(self, number: int) -> None:
        """Delete a record from the audit trail."""
        if self.kind == "file":
            lines = self.path.read_text().splitlines(keepends=True)
            del lines[number - 1]
            self.path.write_text("".join(lines))
            return
        self.run(f"DELETE FROM {self.prefix}audit WHERE number = {number}")

    def close(self) -> None:
        """Close the store and drop its tables."""
        self.store.close()
        if self.kind in _DRIVERS:
            self.run(*(f"DROP TABLE {self.prefix}{name}" for name in ("audit", "audit_head")))


@pytest.fixture(params=KINDS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AuditHarness]:
    """Yield an empty audit trail, once for each kind of store."""
    value = AuditHarness(request.param, tmp_path)
    yield value
    value.close()


def filled_trail(harness: AuditHarness, size: int = 6) -> AuditTrail:
    """Return an audit trail with records of several actions and actors, one second apart."""
    clock = VirtualClock()
    trail = AuditTrail(harness.store, keys=KEYS, seal_every=4, clock=clock)
    for number in range(size):
        action = ("circuit.open", "circuit.reset", "key.resolve")[number % 3]
        trail.record(
            action,
            f"service ✓ {number % 2}",
            actor=("ada", "Ada")[number % 2],
            reason="vendor's incident 7",
            before=None if number % 2 else {"state": "closed"},
            after={"state": "öffnet"},
        )
        clock.advance(1.0)
    return trail


def test_records_are_read_back_unchanged(harness: AuditHarness) -> None:
    """Audit records are read back unchanged, and another process continues their hash chain."""
    trail = filled_trail(harness)
    records = list(harness.store.records())
    with closing(harness.another()) as second_store:
        assert records == list(second_store.records())
        AuditTrail(second_store, keys=KEYS).record("note", "end", actor="bob")

    assert [1, 2, 3, 4, 5, 6, 7] == [record.number for record in records]
    assert ["seal"] == [record.act for record in records if record.number == 5]
    assert {"state": "öffnet"} == json.loads(records[0].after or "")
    result = trail.verify()
    assert (True, 8, 5) == (result.whole, result.records, result.sealed)
    assert harness.store.head() == result.head


def test_stores_filter_and_page_records(harness: AuditHarness) -> None:
    """Each store filters and pages audit records in the same way.

    Text filters are case-sensitive.
    """
    filled_trail(harness)
    records = list(harness.store.records())
    start = records[0].time
    for query in (
        AuditQuery(),
        AuditQuery(act="circuit."),
        AuditQuery(act="circuit.open"),
        AuditQuery(act="circuit"),
        AuditQuery(subject="service ✓ 1", actor="Ada"),
        AuditQuery(actor="ada"),
        AuditQuery(since=start + timedelta(seconds=1), until=start + timedelta(seconds=3)),
    ):
        expected = [record for record in reversed(records) if query.matches(record)]
        found_records: list[AuditRecord] = []
        cursor: int | None = None
        while True:
            page = harness.store.find(attrs.evolve(query, limit=2, after=cursor))
            found_records += page.items
            cursor = page.next
            if cursor is None:
                break
        assert expected == found_records


@pytest.mark.parametrize("name", ["act", "subject", "actor", "reason", "previous", "hash"])
def test_alteration_is_found(harness: AuditHarness, name: str) -> None:
    """If an audit record was changed, verification reports its number."""
    trail = filled_trail(harness)
    harness.change(3, name, "x")

    finding = trail.verify().finding
    assert finding is not None
    assert (3, Fault.ALTERED) == (finding.number, finding.fault)


@pytest.mark.parametrize(
    "number, fault", [(1, Fault.REMOVED), (4, Fault.REMOVED), (7, Fault.CUT_OFF)]
)
def test_removal_is_found(harness: AuditHarness, number: int, fault: Fault) -> None:
    """If an audit record is missing, even the last one, verification reports its number."""
    trail = filled_trail(harness)
    harness.remove(number)

    finding = trail.verify().finding
    assert finding is not None
    assert (number, fault) == (finding.number, finding.fault)


def test_damaged_end_is_not_continued(harness: AuditHarness) -> None:
    """If an audit trail has lost its last record, it refuses new records, so that the gap shows."""
    trail = filled_trail(harness)
    harness.remove(7)

    with pytest.raises(ConfigurationError, match=r"note of 1 was refused.* damaged"):
        trail.record("note", "1", actor="ada")
    assert 6 == len(list(harness.store.records()))


def test_processes_keep_one_chain(harness: AuditHarness) -> None:
    """Processes that append at the same time write one unbroken hash chain."""
    command = [sys.executable, "-m", "tests.adapters.audit_process", harness.url, harness.prefix]
    processes = [
        subprocess.Popen(
            [*command, name, "20"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in "abc"
    ]
    with processes[0], processes[1], processes[2]:
        for process in processes:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
        for process in processes:
            process.communicate("go\n")
    assert [0, 0, 0] == [process.returncode for process in processes]

    records = list(harness.store.records())
    assert {f"{name}/{record_number}" for name in "abc" for record_number in range(20)} == {
        record.subject for record in records
    }
    assert 60 == len(records)
    assert AuditTrail(harness.store).verify().whole


# --- SQLite -----------------------------------------------------------------------------


def test_values_of_other_types_are_found(tmp_path: Path) -> None:
    """If a value's type in SQLite differs from its column's type, verification reports a change."""
    for column in ("acted_at", "subject", "state_after"):
        harness = AuditHarness("sqlite", tmp_path)
        trail = filled_trail(harness)
        harness.run(f"UPDATE {harness.prefix}audit SET {column} = x'00ff' WHERE number = 2")
        finding = trail.verify().finding
        harness.close()
        assert finding is not None
        assert (2, Fault.ALTERED) == (finding.number, finding.fault)


def test_tables_are_created(tmp_path: Path) -> None:
    """Audit tables are created with `create=True`, by `migrate`, or by the output of `ddl`."""
    with SqliteAudit(tmp_path / "a.db") as store, pytest.raises(ConfigurationError):
        store.head()
    with SqliteAudit(tmp_path / "b.db", create=True) as store:
        assert AuditHead() == store.head()
    with closing(sqlite3.connect(tmp_path / "c.db")) as link:
        link.executescript(SqliteAudit.ddl())
    with SqliteAudit(tmp_path / "c.db") as store:
        AuditTrail(store).record("note", "1", actor="ada")
    assert "moorage_audit_head" in SqlAudit.ddl("mariadb")
    assert "moorage_audit_head" in SqlAudit.ddl("postgresql")


# --- the file ---------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Iterator[AuditHarness]:
    """Return an empty audit trail in a file."""
    value = AuditHarness("file", tmp_path)
    yield value
    value.close()


def _text(harness: AuditHarness) -> list[bytes]:
    return harness.path.read_bytes().splitlines(keepends=True)


def test_crash_leaves_the_chain_whole(file: AuditHarness) -> None:
    """After a crash, a trail also continues after records that its head file does not contain."""
    trail = filled_trail(file)
    head = file.path.with_name(f"{file.path.name}.head")
    earlier_bytes = head.read_bytes()
    trail.record("note", "1", actor="ada")
    trail.seal()
    last_record = trail.record("note", "2", actor="ada")
    assert last_record is not None
    head.write_bytes(earlier_bytes)
    with file.path.open("ab") as lines:
        lines.write(b'{"number": 11, "at')

    assert (last_record.number, last_record.hash, 9) == attrs.astuple(file.store.head())
    assert trail.verify().whole
    trail.record("note", "3", actor="ada")
    assert trail.verify().whole
    assert 11 == len(_text(file))


def test_first_record_survives_a_crash(file: AuditHarness) -> None:
    """If a crash left no head file, the audit trail continues after its first record."""
    trail = AuditTrail(file.store)
    trail.record("note", "1", actor="ada")
    file.path.with_name(f"{file.path.name}.head").unlink()

    trail.record("note", "2", actor="ada")
    assert 2 == trail.verify().records


@pytest.mark.parametrize("change", [{"number": 9}, {"actor": "eve"}])
def test_records_after_the_head_must_continue_it(
    file: AuditHarness, change: dict[str, Any]
) -> None:
    """Lines after the head record belong to the trail only if they continue its hash chain."""
    trail = filled_trail(file)
    head = file.path.with_name(f"{file.path.name}.head")
    earlier_bytes = head.read_bytes()
    trail.record("note", "1", actor="ada")
    head.write_bytes(earlier_bytes)
    lines = _text(file)
    lines[-1] = json.dumps({**json.loads(lines[-1]), **change}).encode() + b"\n"
    file.path.write_bytes(b"".join(lines))

    assert 7 == file.store.head().number
    assert not trail.verify().whole
    with pytest.raises(ConfigurationError, match="damaged"):
        trail.record("note", "2", actor="ada")


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b'{"number": 2}\n',
        b'{"number": 1, "number": 2}\n',
        pytest.param(b"[" * 100_000 + b"\n", id="nested"),
    ],
)
def test_lines_that_are_no_records_are_found(file: AuditHarness, line: bytes) -> None:
    """If a line of the audit file is unreadable, verification reports it as altered."""
    trail = filled_trail(file)
    lines = _text(file)
    lines[1] = line
    file.path.write_bytes(b"".join(lines))

    finding = trail.verify().finding
    assert finding is not None
    assert (2, Fault.ALTERED) == (finding.number, finding.fault)


@pytest.mark.parametrize(
    "change", [{"act": "seal", "after": ["x"]}, {"act": 7}, {"reason": None}, {"at": True}]
)
def test_values_of_wrong_types_are_found_in_a_file(
    file: AuditHarness, change: dict[str, Any]
) -> None:
    """A record with values of other types is reported, even if its hash fits its content."""
    trail = filled_trail(file)
    lines = _text(file)
    forged_record = AuditRecord(**{**json.loads(lines[1]), **change})
    lines[1] = line_of(attrs.evolve(forged_record, hash=hash_of(forged_record)))
    file.path.write_bytes(b"".join(lines))

    finding = trail.verify().finding
    assert finding is not None
    assert (2, Fault.ALTERED) == (finding.number, finding.fault)


def test_spaces_and_types_are_found(file: AuditHarness) -> None:
    """If a record's JSON was only formatted differently, verification reports it as altered."""
    trail = filled_trail(file)
    whole_chunks = _text(file)
    for changed_bytes in (
        whole_chunks[1].replace(b": ", b":", 1),
        whole_chunks[1].replace(b": 2,", b": 2.0,", 1),
    ):
        file.path.write_bytes(b"".join([whole_chunks[0], changed_bytes, *whole_chunks[2:]]))
        finding = trail.verify().finding
        assert finding is not None
        assert 2 == finding.number


def test_unreadable_head_is_refused(file: AuditHarness) -> None:
    """If the audit trail's head file has invalid content, the error contains the file's name."""
    trail = filled_trail(file)
    head = file.path.with_name(f"{file.path.name}.head")
    for text in ("{", "[]", '{"other": 1}'):
        head.write_text(text)
        with pytest.raises(ConfigurationError, match=r"trail\.head is not the head"):
            trail.record("note", "1", actor="ada")


def test_removed_file_is_refused(file: AuditHarness) -> None:
    """If the audit file is missing but its head file exists, this is reported as damage."""
    trail = filled_trail(file)
    file.path.unlink()

    assert 7 == file.store.head().number
    assert [] == list(file.store.records())
    finding = trail.verify().finding
    assert finding is not None
    assert (1, Fault.CUT_OFF) == (finding.number, finding.fault)
    with pytest.raises(ConfigurationError, match="damaged"):
        trail.record("note", "1", actor="ada")


def test_file_that_cannot_be_used(tmp_path: Path) -> None:
    """If the operating system cannot open the audit file, the error contains the file's name."""
    with pytest.raises(StorageUnavailable, match=r"audit trail .*nowhere.* could not be used"):
        AuditTrail(FileAudit(tmp_path / "nowhere" / "trail")).record("note", "1")
    assert "trail" in repr(FileAudit(tmp_path / "trail"))


# --- URLs -------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["memory:", "redis://localhost", "file:///", "sqlite:///"])
def test_other_urls_are_refused(url: str) -> None:
    """A URL that no audit store supports is refused."""
    with pytest.raises(ConfigurationError, match="audit trail") as excinfo:
        open_audit(url)
    assert "audit.url" == excinfo.value.path


def test_first_record_has_a_fixed_previous_hash(tmp_path: Path) -> None:
    """The first audit record contains a fixed value in place of an earlier record's hash."""
    store = FileAudit(tmp_path / "trail")
    AuditTrail(store).record("note", "1", actor="ada")
    (record,) = store.records()
    assert GENESIS == record.previous
    assert Act(act="note", subject="1", actor="ada", at=datetime.now(UTC)).reason == record.reason
