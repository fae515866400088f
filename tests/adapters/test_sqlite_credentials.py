"""Encrypted credentials in a SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from stat import S_IMODE
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import (
    AsyncSqliteCredentialProvider,
    SqliteCredentialProvider,
)
from moorage.domain.auth.methods import Credentials
from moorage.domain.state.sealing import sealed_with, sealing_context
from moorage.errors import (
    ConfigurationError,
    CredentialRefreshFailed,
    InvalidData,
    StorageUnavailable,
)
from moorage.testing import credentials_conformance as kit
from moorage.testing.kits.checks import name_of

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW, OTHER = kit.OLD, kit.NEW, kit.OTHER
OWNER = ("stripe", "acme")
RING = generate_keys()
CIPHER = AesGcmCipher(RING)
NEWER = AesGcmCipher(generate_keys(RING))
WRITING = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
"""


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sqlite_credential_provider_passes_conformance_kit(
    check: kit.Check, tmp_path: Path
) -> None:
    """SqliteCredentialProvider passes the conformance kit."""
    files = count()

    def make_provider(renew: kit.Renew) -> SqliteCredentialProvider:
        return SqliteCredentialProvider(tmp_path / f"{next(files)}.db", CIPHER, renew=renew)

    check(make_provider)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_sqlite_credential_provider_passes_conformance_kit(
    check: kit.AsyncCheck, tmp_path: Path
) -> None:
    """AsyncSqliteCredentialProvider passes the conformance kit."""
    files = count()

    def make_provider(renew: kit.AsyncRenew) -> AsyncSqliteCredentialProvider:
        return AsyncSqliteCredentialProvider(tmp_path / f"{next(files)}.db", CIPHER, renew=renew)

    asyncio.run(check(make_provider))


def rows(path: Path) -> dict[bytes, bytes]:
    """Return the rows of the credentials file."""
    with closing(sqlite3.connect(path)) as link:
        return dict(link.execute("SELECT about, sealed FROM credential").fetchall())


def run(path: Path, statement: str, *options: object) -> None:
    """Run a statement on the credentials file without the provider."""
    with closing(sqlite3.connect(path)) as link, link:
        link.execute(statement, options)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "credentials.db"


def test_credentials_are_shared_by_processes(path: Path) -> None:
    """A rotated credential can be read by every process that has the key."""
    SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, OLD)

    assert OLD == SqliteCredentialProvider(path, CIPHER).get(*OWNER)
    assert OLD == SqliteCredentialProvider(path, NEWER).get(*OWNER)


def test_credentials_file_shows_no_secret(path: Path) -> None:
    """The credentials file is readable only by its owner, and contains no secret in plain text."""
    SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, Credentials.bearer("sk_live_secret"))

    assert 0o600 == S_IMODE(path.stat().st_mode)
    assert b"sk_live" not in path.read_bytes()
    assert b"acme" in path.read_bytes()


def test_a_row_belongs_to_its_owner(path: Path) -> None:
    """Encrypted bytes copied to another tenant's row cannot be decrypted."""
    provider = SqliteCredentialProvider(path, CIPHER)
    provider.rotate(*OWNER, OLD)
    run(path, "UPDATE credential SET about = ?", sealing_context("other", "stripe", "credential"))

    with pytest.raises(InvalidData, match="belongs to another tenant"):
        provider.get("stripe", "other")


def test_wrong_key_is_reported(path: Path) -> None:
    """Reading a credential with a wrong key raises an error that states this cause."""
    SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, OLD)
    other_provider = SqliteCredentialProvider(path, AesGcmCipher(generate_keys()))

    assert other_provider.has(*OWNER)
    with pytest.raises(
        ConfigurationError, match="differs from the key of this version in the ring"
    ):
        other_provider.get(*OWNER)


BOTH_MODES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def reseal_rows(path: Path, *, is_async: bool, **options: Any) -> int:
    """Encrypt the rows with the newer key by `reseal`, and return their number."""
    if is_async:
        return asyncio.run(AsyncSqliteCredentialProvider(path, NEWER).reseal(**options))
    return SqliteCredentialProvider(path, NEWER).reseal(**options)


@BOTH_MODES
@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_all_rows_are_reencrypted(path: Path, batch: int, is_async: bool) -> None:
    """Re-encryption with any batch size encrypts each row with the new key once."""
    older_provider, newer_provider = (
        SqliteCredentialProvider(path, CIPHER),
        SqliteCredentialProvider(path, NEWER),
    )
    assert 0 == reseal_rows(path, is_async=is_async, batch=batch)
    for number in range(7):
        provider = newer_provider if number == 3 else older_provider
        provider.rotate("stripe", f"{number}", Credentials.bearer(f"token-{number}"))

    assert 6 == reseal_rows(path, is_async=is_async, batch=batch)
    assert {2} == {sealed_with(sealed_bytes) for sealed_bytes in rows(path).values()}
    assert 0 == reseal_rows(path, is_async=is_async, batch=batch)
    for number in range(7):
        assert Credentials.bearer(f"token-{number}") == newer_provider.get("stripe", f"{number}")


def test_unreadable_rows_do_not_stop_reencryption(path: Path) -> None:
    """Re-encryption skips unreadable rows, and raises their error at the end."""
    provider = SqliteCredentialProvider(path, CIPHER)
    for tenant in ("a", "b", "c", "d"):
        provider.rotate("stripe", tenant, OLD)
    for tenant in ("b", "c"):
        broken_bytes = sealing_context(tenant, "stripe", "credential")
        run(path, "UPDATE credential SET sealed = ? WHERE about = ?", b"mrg", broken_bytes)

    with pytest.raises(InvalidData, match="cut off"):
        reseal_rows(path, is_async=False, batch=1)
    versions = [
        sealed_with(sealed_bytes) for sealed_bytes in rows(path).values() if sealed_bytes != b"mrg"
    ]
    assert [2, 2] == versions


class SlowCipher:
    """A cipher that lets another writer change the row during its first encryption."""

    def __init__(self, write: Any) -> None:
        self._write = write

    def seal(self, plain: bytes, of: bytes, /) -> bytes:
        """Encrypt the text, after another writer has changed the row."""
        write, self._write = self._write, lambda: None
        write()
        return NEWER.seal(plain, of)

    def __getattr__(self, name: str) -> Any:
        return getattr(NEWER, name)


def test_reencryption_keeps_concurrent_writes(path: Path) -> None:
    """If a credential is rotated during its re-encryption, the rotated value stays."""
    provider = SqliteCredentialProvider(path, CIPHER)
    provider.rotate(*OWNER, OLD)
    slow_cipher: Any = SlowCipher(lambda: provider.rotate(*OWNER, NEW))

    assert 0 == SqliteCredentialProvider(path, slow_cipher).reseal()
    assert NEW == provider.get(*OWNER)


def test_reads_continue_during_reencryption(path: Path) -> None:
    """During re-encryption, processes with both keys can read credentials at any time."""
    ring_with_both = SqliteCredentialProvider(path, NEWER)
    older_provider = SqliteCredentialProvider(path, CIPHER)
    for number in range(30):
        older_provider.rotate("stripe", f"{number}", OLD)
    reading, finished_event, wrong_reads = Event(), Event(), list[object]()

    def read() -> None:
        while not finished_event.is_set():
            for number in range(30):
                result = ring_with_both.get("stripe", f"{number}")
                if result != OLD:
                    wrong_reads.append(result)
                reading.set()

    reader = Thread(target=read)
    reader.start()
    reading.wait(20)
    try:
        assert 30 == reseal_rows(path, is_async=False, batch=3)
    finally:
        finished_event.set()
        reader.join()
    assert [] == wrong_reads


def test_value_renewed_during_reencryption_is_stored(path: Path) -> None:
    """If a credential is re-encrypted during its renewal, the renewed value is still stored."""

    def renew(*_: object) -> Credentials:
        assert 1 == reseal_rows(path, is_async=False)
        return NEW

    provider = SqliteCredentialProvider(path, NEWER, renew=renew)
    SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, OLD)

    assert NEW == provider.refresh(*OWNER, OLD)
    assert NEW == provider.get(*OWNER)


def test_overtaken_renewal_is_discarded(path: Path) -> None:
    """If another process stores a credential during a renewal, the renewed one is discarded."""
    other_provider = SqliteCredentialProvider(path, NEWER)

    def renew(*_: object) -> Credentials:
        other_provider.rotate(*OWNER, OTHER)
        return NEW

    other_provider.rotate(*OWNER, OLD)
    assert OTHER == SqliteCredentialProvider(path, NEWER, renew=renew).refresh(*OWNER, OLD)

    other_provider.rotate(*OWNER, OLD)
    slow_cipher: Any = SlowCipher(lambda: other_provider.rotate(*OWNER, OTHER))
    late_provider = SqliteCredentialProvider(path, slow_cipher, renew=lambda *_: NEW)
    assert OTHER == late_provider.refresh(*OWNER, OLD)


def test_a_renewal_that_cannot_be_kept_has_failed(path: Path) -> None:
    """If the new credential of a renewal cannot be stored, the renewal raises an error."""

    def renew(*_: object) -> Credentials:
        path.unlink()
        path.mkdir()
        return NEW

    provider = SqliteCredentialProvider(path, CIPHER, renew=renew)
    provider.rotate(*OWNER, OLD)

    with pytest.raises(CredentialRefreshFailed, match="failed with StorageUnavailable") as excinfo:
        provider.refresh(*OWNER, OLD)
    assert excinfo.value.retryable


def test_credentials_file_in_a_missing_directory_raises_storage_unavailable(tmp_path: Path) -> None:
    """A credentials file in a missing directory raises StorageUnavailable with its path."""
    with pytest.raises(StorageUnavailable, match=r"credentials\.db"):
        SqliteCredentialProvider(tmp_path / "gone" / "credentials.db", CIPHER).has(*OWNER)


def test_wait_for_a_lock_is_bounded(path: Path) -> None:
    """Waiting too long for another process's lock raises StorageUnavailable."""
    provider = SqliteCredentialProvider(path, CIPHER, timeout=0.001)
    provider.rotate(*OWNER, OLD)
    with closing(sqlite3.connect(path, isolation_level=None)) as link:
        link.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageUnavailable, match="locked"):
            provider.get(*OWNER)


def test_reading_keeps_a_writers_lock(path: Path) -> None:
    """A thread that reads the file does not release the file lock of a thread that writes it."""
    provider = SqliteCredentialProvider(path, CIPHER)
    provider.rotate(*OWNER, OLD)
    with closing(sqlite3.connect(path, isolation_level=None)) as link:
        link.execute("BEGIN IMMEDIATE")
        assert OLD == provider.get(*OWNER)
        other_process = subprocess.run(
            [sys.executable, "-c", WRITING, path], check=False, capture_output=True, text=True
        )
    assert "database is locked" in other_process.stderr


def test_file_is_created_at_link_target_if_path_is_broken_symbolic_link(
    path: Path, tmp_path: Path
) -> None:
    """If the path is a broken symbolic link, the file is created at the link's target."""
    path.symlink_to(tmp_path / "elsewhere.db")
    SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, OLD)

    assert path.is_symlink()
    assert OLD == SqliteCredentialProvider(tmp_path / "elsewhere.db", CIPHER).get(*OWNER)
    assert {path, tmp_path / "elsewhere.db"} == {*tmp_path.iterdir()}


def test_concurrently_created_file_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If two processes create the credentials file concurrently, the first file is used."""
    link, calls = os.link, list[Any]()

    def create_file_first(made: Any, place: Any) -> None:
        calls.append(place)
        if len(calls) == 1:
            SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, OLD)
        link(made, place)

    monkeypatch.setattr(os, "link", create_file_first)

    assert OLD == SqliteCredentialProvider(path, CIPHER).get(*OWNER)
    assert [path] == [*path.parent.iterdir()]


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE invoice (number INTEGER)", "PRAGMA application_id = 7"]
)
def test_database_file_of_another_program_is_refused_and_not_changed(
    path: Path, statement: str
) -> None:
    """A database file of another program is refused and not changed."""
    run(path, statement)
    previous_bytes = path.read_bytes()

    with pytest.raises(ConfigurationError, match="a database with other content"):
        SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, OLD)
    assert previous_bytes == path.read_bytes()


def test_file_created_just_before_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file appears just before a process creates it, that file is used."""
    from moorage.adapters.sealed import _file as module  # noqa: PLC0415 - patched

    identity_of: Any = module._file_identity  # noqa: SLF001 - where the other one is quicker
    look_results = list[tuple[int, int]]()

    def create_file_first(link: sqlite3.Connection) -> tuple[int, int]:
        result: tuple[int, int] = identity_of(link)
        look_results.append(result)
        if len(look_results) == 1:
            SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, OLD)
        return result

    monkeypatch.setattr(module, "_file_identity", create_file_first)

    assert OLD == SqliteCredentialProvider(path, CIPHER).get(*OWNER)


def test_options_are_checked(path: Path) -> None:
    """A batch size of zero and a negative timeout are refused."""
    with pytest.raises(ConfigurationError):
        SqliteCredentialProvider(path, CIPHER).reseal(batch=0)
    with pytest.raises(ConfigurationError):
        SqliteCredentialProvider(path, CIPHER, timeout=-1)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_owners_are_listed_and_deleted(tmp_path: Path, *, is_async: bool) -> None:
    """Owners of credentials are listed without decryption, and deleted credentials are gone."""
    path = tmp_path / "credentials.db"
    plain_provider = SqliteCredentialProvider(path, CIPHER)
    provider: Any = AsyncSqliteCredentialProvider(path, CIPHER) if is_async else plain_provider
    plain_provider.rotate("stripe", "acme", OLD)
    plain_provider.rotate("stripe", None, OTHER)

    def call_provider(method: Any, *value: object) -> Any:
        return asyncio.run(method(*value)) if is_async else method(*value)

    assert [("stripe", None), ("stripe", "acme")] == call_provider(provider.owners)
    assert call_provider(provider.delete, "stripe", "acme")
    assert not call_provider(provider.delete, "stripe", "acme")
    assert [("stripe", None)] == call_provider(provider.owners)
    assert 1 == call_provider(provider.clear)
    assert [] == call_provider(provider.owners)
