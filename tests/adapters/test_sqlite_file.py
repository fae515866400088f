"""The SQLite store's file: creation, permissions, migration and damage."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage import Outbox
from moorage.adapters.databases import _sqlite_file as files
from moorage.adapters.entries.sqlite import SqliteOutbox
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.hub.outbox import EntryQuery
from tests.adapters.memory_commands import Put, ReadCommand
from tests.adapters.sqlite_harness import DurablePut, OtherProgram, engine_of, values
from tests.file_limit import no_free_files

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Return a path for a new file."""
    return tmp_path / "state.db"


@pytest.fixture(name="store")
def _store(path: Path) -> Iterator[SqliteStorage]:
    """Return a store for this test."""
    with SqliteStorage(path, timeout=0.2) as store:
        yield store


def check_file_at_next_use(store: SqliteStorage) -> None:
    """Make the store check at its next use whether its file was moved or deleted."""
    engine_of(store)._checked_at = 0  # noqa: SLF001 - it looks ten times a second


# --- creating the file -----------------------------------------------------------


def test_file_is_private_to_its_owner(path: Path, store: SqliteStorage) -> None:
    """A new SQLite file is readable and writable only by its owner, whatever the umask."""
    previous_umask = os.umask(0)
    try:
        store.execute(Put(1, "a"))
    finally:
        os.umask(previous_umask)

    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600} == modes


def test_sqlite_file_that_was_created_beforehand_keeps_its_permissions(
    path: Path, store: SqliteStorage
) -> None:
    """A SQLite file that was created beforehand keeps its permissions."""
    path.touch(0o660)
    path.chmod(0o660)
    store.execute(Put(1, "a"))

    assert 0o660 == path.stat().st_mode & 0o777


def test_special_characters_in_sqlite_path_are_literal(tmp_path: Path) -> None:
    """Special characters in a SQLite path, such as `?` and `%`, are taken literally."""
    path = tmp_path / "what? a %41 #1 & 'name'.db"
    with SqliteStorage(path) as store:
        store.execute(Put(1, "a"))

    assert [path] == [*tmp_path.iterdir()]


def test_path_and_symbolic_link_share_one_file(tmp_path: Path) -> None:
    """Stores that open a SQLite file by its path and by a symbolic link share the file's states."""
    with SqliteStorage(tmp_path / "state.db") as store:
        store.execute(Put("there", "a"))
        (tmp_path / "link.db").symlink_to(tmp_path / "state.db")
        with SqliteStorage(tmp_path / "link.db") as other_storage:
            other_storage.execute(DurablePut("linked", "b"))
            assert ["there", "linked"] == values(other_storage, "a", "b") == values(store, "a", "b")


def test_relative_path_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative SQLite path is resolved once, at construction."""
    monkeypatch.chdir(tmp_path)
    with SqliteStorage("state.db") as store:
        monkeypatch.chdir("/")
        store.execute(Put(1, "a"))

    assert (tmp_path / "state.db").exists()


def test_missing_directory_is_not_created(tmp_path: Path) -> None:
    """A missing directory raises an error; after it is created, the store works."""
    with SqliteStorage(tmp_path / "missing" / "state.db") as store:
        with pytest.raises(ConfigurationError, match="the directory does not exist"):
            store.execute(ReadCommand("a"))

        (tmp_path / "missing").mkdir()
        store.execute(Put(1, "a"))


def test_path_through_a_file_is_refused(tmp_path: Path) -> None:
    """A path that leads through an ordinary file raises an error."""
    (tmp_path / "file").touch()
    with (
        SqliteStorage(tmp_path / "file" / "state.db") as store,
        pytest.raises((ConfigurationError, StorageUnavailable)),
    ):
        store.execute(ReadCommand("a"))


def test_directory_in_place_of_the_file_is_refused(path: Path, store: SqliteStorage) -> None:
    """The error for a directory in place of the SQLite file states this cause."""
    path.mkdir()

    with pytest.raises(ConfigurationError, match="is a directory"):
        store.execute(ReadCommand("a"))


def test_broken_symbolic_link_is_refused(path: Path, store: SqliteStorage) -> None:
    """A SQLite path that is a broken symbolic link is refused."""
    path.symlink_to(path.with_name("gone.db"))

    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        store.execute(ReadCommand("a"))


def test_too_long_name_is_reported(tmp_path: Path) -> None:
    """A file name that is too long raises StorageUnavailable."""
    with (
        SqliteStorage(tmp_path / ("x" * 300)) as store,
        pytest.raises(StorageUnavailable, match="cannot be reached"),
    ):
        store.execute(ReadCommand("a"))


def test_processes_that_create_a_sqlite_file_at_once_share_it(
    path: Path, store: SqliteStorage
) -> None:
    """If several processes create the SQLite file at once, all use the same file."""
    import fcntl  # noqa: PLC0415 - not on Windows

    directory = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    with pytest.raises(StorageUnavailable, match="held the lock"):
        store.execute(ReadCommand("a"))
    os.close(directory)

    file = files.StateFile(path)
    file.create()
    inode = path.stat().st_ino
    file.create()

    assert inode == path.stat().st_ino


def test_write_ahead_log_of_deleted_sqlite_file_is_not_applied_to_new_one(
    path: Path, store: SqliteStorage
) -> None:
    """The write-ahead log of a deleted SQLite file is not applied to a new one."""
    with SqliteStorage(path) as old_storage:
        old_storage.execute(Put("old", "a"))
        for name in ("state.db-wal", "state.db-shm"):
            shutil.copy(path.with_name(name), path.with_name(f"{name}.kept"))
    path.unlink()
    for name in ("state.db-wal", "state.db-shm"):
        path.with_name(f"{name}.kept").rename(path.with_name(name))

    assert [None] == values(store, "a")


def test_half_made_file_is_replaced(path: Path, store: SqliteStorage) -> None:
    """If a process crashes while it creates the SQLite file, the unfinished file is not used."""
    unfinished = path.with_name("state.db-new")
    unfinished.write_bytes(b"SQLite format 3\0 and no more")

    store.execute(Put(1, "a"))

    assert [1] == values(store, "a")
    assert not unfinished.exists()


def test_empty_file_is_initialised(path: Path, store: SqliteStorage) -> None:
    """An existing empty file becomes the store's SQLite file."""
    path.touch()

    store.execute(Put(1, "a"))

    assert [1] == values(store, "a")
    assert "wal" == OtherProgram(path).ask("PRAGMA journal_mode")


def test_a_file_system_that_cannot_be_shared_is_refused() -> None:
    """A file system without shared memory, which the write-ahead log needs, is refused."""
    cursor = sqlite3.connect(":memory:").cursor()  # a file that also has no shared memory

    with pytest.raises(ConfigurationError, match="processes cannot share files"):
        files.StateFile("state.db")._enable_wal(cursor.execute)  # noqa: SLF001 - no such disk is here
    cursor.connection.close()


# --- files of other programs -----------------------------------------------------


def test_sqlite_database_of_another_program_is_refused_and_not_changed(
    path: Path, store: SqliteStorage
) -> None:
    """A SQLite database of another program is refused and not changed."""
    other_program = OtherProgram(path)
    other_program.connection.execute("CREATE TABLE invoices (number)")
    other_program.connection.close()
    previous_bytes = path.read_bytes()

    with pytest.raises(ConfigurationError, match="database of another program") as excinfo:
        store.execute(ReadCommand("a"))

    assert "separate file" in excinfo.value.remedy
    assert previous_bytes == path.read_bytes()


def test_sqlite_file_with_newer_schema_is_refused(path: Path) -> None:
    """A SQLite file with a newer schema is refused, and the error asks for an upgrade."""
    with SqliteStorage(path) as store:
        store.migrate()
    other_program = OtherProgram(path)
    other_program.connection.execute("PRAGMA user_version = 99")
    other_program.connection.close()

    with SqliteStorage(path) as store:
        with pytest.raises(ConfigurationError, match="version 99") as excinfo:
            store.execute(ReadCommand("a"))
        assert "Upgrade" in excinfo.value.remedy


def test_an_older_schema_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer release migrates an older SQLite file and finds its states."""
    with SqliteStorage(path) as old_storage:
        old_storage.execute(Put("old", "a"))
    newer_migrations = (*files.MIGRATIONS, ("CREATE TABLE more (what)",))
    monkeypatch.setattr(files, "MIGRATIONS", newer_migrations)

    with SqliteStorage(path) as store:
        assert ["old"] == values(store, "a")
        store.migrate()
    other_program = OtherProgram(path)
    assert (2, 0) == (
        other_program.ask("PRAGMA user_version"),
        other_program.ask("SELECT count(*) FROM more"),
    )
    other_program.connection.close()


def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed migration runs in one transaction, so it leaves the SQLite file unchanged."""
    with SqliteStorage(path) as old_storage:
        old_storage.execute(Put("old", "a"))
    newer_migrations = (
        *files.MIGRATIONS,
        ("CREATE TABLE more (what)", "CREATE TABLE more (again)"),
    )
    with monkeypatch.context() as patched:
        patched.setattr(files, "MIGRATIONS", newer_migrations)
        with SqliteStorage(path) as store, pytest.raises(StorageUnavailable):
            store.execute(ReadCommand("a"))

    with SqliteStorage(path) as store:
        assert ["old"] == values(store, "a")


# --- damaged files ---------------------------------------------------------------


def test_foreign_file_is_refused(path: Path, store: SqliteStorage) -> None:
    """A file that is not a database is refused and not changed."""
    path.write_bytes(b"Dear Sir or Madam, " * 1_000)

    with pytest.raises(StorageUnavailable, match="moorage did not write it") as excinfo:
        store.execute(Put(1, "a"))
    assert str(path) in str(excinfo.value)
    assert excinfo.value.__cause__ is None
    assert path.read_bytes().startswith(b"Dear Sir")

    path.rename(path.with_name("letter"))
    store.execute(Put(1, "a"))
    assert [1] == values(store, "a")


def test_damaged_file_is_reported(path: Path, store: SqliteStorage) -> None:
    """A damaged SQLite file raises an error."""
    with SqliteStorage(path) as old_storage:
        for number in range(200):
            old_storage.execute(Put("x" * 100, f"key-{number}"))
    content = bytearray(path.read_bytes())
    content[files.PAGE :] = os.urandom(len(content) - files.PAGE)
    path.write_bytes(content)

    with pytest.raises(StorageUnavailable, match="damaged"):
        store.execute(Put("y", *(f"key-{number}" for number in range(200))))


def test_read_only_file_is_reported(path: Path, store: SqliteStorage) -> None:
    """A read-only SQLite file raises an error, and works once it is writable."""
    with SqliteStorage(path) as old_storage:
        old_storage.execute(Put("old", "a"))
    content = bytearray(path.read_bytes())
    # A file whose write format is unknown is read-only, even to the superuser.
    path.write_bytes(bytes([*content[:18], 3, *content[19:]]))
    with pytest.raises(StorageUnavailable, match="has no permission to write"):
        store.execute(Put("new", "a"))

    path.write_bytes(content)
    store.execute(Put("new", "a"))
    assert ["new"] == values(store, "a")


def test_full_disk_is_reported(path: Path, store: SqliteStorage) -> None:
    """A write on a full disk changes nothing, and later writes work again."""
    store.execute(Put("old", "a"))
    link = engine_of(store).idle[-1]
    pages = link.run("PRAGMA page_count").fetchone()[0]
    link.run(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StorageUnavailable, match="disk is full") as excinfo:
        store.execute(Put("x" * 100_000, "a", "b"))

    assert "Free space" in excinfo.value.remedy
    assert ["old", None] == values(store, "a", "b")
    store.execute(Put("x" * 100_000, "a", "b"))


FULL = """
import resource, sys
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.errors import StorageUnavailable
from tests.adapters.memory_commands import Put, ReadCommand
store = SqliteStorage(sys.argv[1])
store.execute(Put("old", "a"))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for most in (1, 100_000, 200_001):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    failed = 0
    for number in range(200):
        try:
            store.execute(Put((number, "x" * 3_000), "b", "c"))
        except StorageUnavailable as error:
            failed += 1
    assert failed, most
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    old, one, other = [state and state[2] for state in store.execute(ReadCommand("a", "b", "c"))]
    assert "old" == old
    assert one == other
    store.execute(Put((most, "again"), "b", "c"))
store.close()
print("done")
"""


def test_write_that_is_cut_off_at_any_byte_by_full_disk_leaves_no_partial_state(path: Path) -> None:
    """If a full disk cuts off a write at any byte, the file contains no partial state."""
    program = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=150,
    )

    assert "done\n" == program.stdout
    assert "ok" == OtherProgram(path).ask("PRAGMA integrity_check")


# --- files that vanish while they are open ---------------------------------------


@pytest.mark.parametrize("which", ["all", "file"])
def test_deleted_file_is_recreated(which: str, path: Path, store: SqliteStorage) -> None:
    """If its SQLite file was deleted, a store notices and writes to a new file."""
    store.execute(Put("old", "a"))
    path.unlink()
    if which == "all":
        path.with_name("state.db-wal").unlink()
        path.with_name("state.db-shm").unlink()
    check_file_at_next_use(store)
    store.execute(Put("lost", "a"))

    store.execute(Put("new", "b"))

    assert [None, "new"] == values(store, "a", "b")
    with SqliteStorage(path) as other_storage:
        assert ["new"] == values(other_storage, "b")


def test_durable_commands_check_the_file(path: Path, store: SqliteStorage) -> None:
    """If the SQLite file was moved away, a durable command writes to a new file."""
    store.execute(Put("old", "a"))
    path.rename(path.with_name("backup.db"))
    store.execute(DurablePut("claimed", "claim"))

    with SqliteStorage(path) as other_storage:
        assert ["claimed"] == values(other_storage, "claim")


def test_vanished_directory_is_an_outage(tmp_path: Path) -> None:
    """If the file's directory vanishes, StorageUnavailable is raised until it is back."""
    home_directory = tmp_path / "home"
    home_directory.mkdir()
    with SqliteStorage(home_directory / "state.db", timeout=0.2) as store:
        store.execute(DurablePut("old", "a"))
        home_directory.rename(tmp_path / "elsewhere")
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="the directory does not exist"):
                store.execute(DurablePut("new", "a"))

        (tmp_path / "elsewhere").rename(home_directory)
        store.execute(DurablePut("new", "b"))
        assert ["old", "new"] == values(store, "a", "b")


def test_forbidden_directory_is_reported(
    path: Path, store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the operating system denies access to the path, StorageUnavailable is raised."""

    def refuse_permission(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    store.execute(Put("old", "a"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", refuse_permission)
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            store.execute(DurablePut("new", "a"))

    assert ["old"] == values(store, "a")


def test_a_connection_that_is_lost_is_replaced(store: SqliteStorage) -> None:
    """After a database connection fails, the next command opens another one."""
    store.execute(Put("old", "a"))
    engine_of(store).idle[-1].connection.close()
    with pytest.raises(StorageUnavailable):
        store.execute(Put("new", "a"))

    assert ["old"] == values(store, "a")


def test_missing_clock_table_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite file without its clock table is refused."""
    with SqliteStorage(path) as old_storage:
        old_storage.migrate()
    other_program = OtherProgram(path)
    other_program.connection.execute("DROP TABLE clock")
    other_program.connection.close()

    with SqliteStorage(path) as store, pytest.raises(StorageUnavailable, match="clock"):
        store.execute(ReadCommand("a"))


def test_every_sqlite_error_has_a_remedy() -> None:
    """The error for each SQLite error code has a remedy."""
    file = files.StateFile("state.db")
    for code in range(1, 29):
        error = sqlite3.OperationalError("said")
        error.sqlite_errorcode = code
        failure = file.failure(error)
        assert isinstance(failure, files.DatabaseBusy) or failure.remedy


# --- a process without free files ------------------------------------------------


@pytest.mark.parametrize("exists", [True, False])
def test_lack_of_files_is_not_reported_as_lack_of_permission(path: Path, *, exists: bool) -> None:
    """If the process has no files left to open, the remedy is the limit of open files."""
    if exists:
        with SqliteStorage(path) as store:
            store.execute(Put(1, "a"))
    with (
        SqliteStorage(path) as store,
        no_free_files(),
        pytest.raises(StorageUnavailable, match=r"Too many open files.*limit of open files"),
    ):
        store.execute(Put(1, "a"))


def test_lack_of_files_is_the_reason_why_an_outbox_cannot_be_opened(path: Path) -> None:
    """The error of a SQLite outbox also names the limit of open files if no file can be opened."""
    # The first use of an outbox imports modules, which needs free files too.
    Outbox(SqliteOutbox(path.with_name("other.db"), create=True)).find(EntryQuery())
    outbox = SqliteOutbox(path, create=True)
    with (
        no_free_files(),
        pytest.raises(StorageUnavailable, match=r"Too many open files.*limit of open files"),
    ):
        Outbox(outbox).find(EntryQuery())
