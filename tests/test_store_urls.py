"""Opening stores by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, Credentials, LogQuery
from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.state.nats import AsyncNatsStorage, NatsStorage
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.entries.queue import EntryQuery
from moorage.domain.values.installation import install
from moorage.wiring import store_urls
from moorage.wiring.store_urls import (
    aopen_storage,
    open_credentials,
    open_inbox,
    open_log,
    open_outbox,
    open_storage,
    open_tenants,
    serve,
    url_of_shards,
    urls_of_shards,
)
from tests.support.modules import uninstall

if TYPE_CHECKING:
    from pathlib import Path

KEYS = generate_keys().text()
URLS: dict[str, tuple[type, type]] = {
    "memory:": (MemoryStorage, AsyncMemoryStorage),
    "sqlite:///var/moorage.db": (SqliteStorage, AsyncSqliteStorage),
    "redis://127.0.0.1:6379/0": (RedisStorage, AsyncRedisStorage),
    "rediss://host/0": (RedisStorage, AsyncRedisStorage),
    "unix:///run/redis.sock": (RedisStorage, AsyncRedisStorage),
    "redis+cluster://a:1,b:2": (RedisStorage, AsyncRedisStorage),
    "redis+sentinel://a:1,b:2/primary": (RedisStorage, AsyncRedisStorage),
    "postgresql://host/name": (SqlStorage, AsyncSqlStorage),
    "postgresql+psycopg://host/name": (SqlStorage, AsyncSqlStorage),
    "mysql://host/name": (SqlStorage, AsyncSqlStorage),
    "mariadb://host/name": (SqlStorage, AsyncSqlStorage),
    "nats://host:4222/keys": (NatsStorage, AsyncNatsStorage),
    "tls://user:secret@a,tls://b/keys": (NatsStorage, AsyncNatsStorage),
}


@pytest.mark.parametrize("url", URLS)
def test_url_names_a_store(url: str) -> None:
    """Each form of URL opens its store class in sync and async mode, without connecting."""
    plain_type, async_type = URLS[url]
    assert type(open_storage(url)) is plain_type
    assert type(aopen_storage(url)) is async_type


def test_shard_name_depends_on_its_address_alone(tmp_path: Path) -> None:
    """A shard's name depends only on its address, so its password or driver can be changed."""
    file = f"sqlite:///{tmp_path}/a.db"
    url = url_of_shards([file, "postgresql://u:secret@host/name?sslmode=require"], [file])
    assert url is not None
    for store in (open_storage(url), aopen_storage(url)):
        assert ((f"sqlite:///{tmp_path}/a.db", "postgresql://host/name"), (file,)) == (
            store._names,  # noqa: SLF001 - the names decide where each state is
            store._former,  # noqa: SLF001 - the names decide where each state is
        )
        assert "secret" not in repr(store)
    assert (file, "redis://a") == urls_of_shards(url_of_shards([file, "redis://a"]) or "")
    assert (None, file) == (url_of_shards([]), url_of_shards([file]))


@pytest.mark.parametrize(
    "spelling, another",
    [
        ("redis://host", "rediss://:secret@HOST:6379/0?client_name=a"),
        ("redis+sentinel://a,b/primary", "rediss+sentinel://u:secret@A:26379,b/primary/0"),
        ("redis+cluster://a:1,b", "redis+cluster://secret@a:1,b:6379/0"),
        ("postgresql://host/name", "postgresql+psycopg://u:s/ecret@Host:5432/name?a=b"),
        ("mysql://host/name", "mariadb+pymysql://u:s?ecret@host:3306/name"),
        ("postgresql://host:1/name", "postgresql+psycopg://host:1/name"),
    ],
)
def test_spellings_of_one_address_name_one_shard(spelling: str, another: str) -> None:
    """A store's shard does not depend on default ports, TLS, upper case or logins in its URL."""
    url = url_of_shards([spelling, "memory:"], [another])
    assert url is not None
    store = open_storage(url)

    assert store._names[:1] == store._former  # noqa: SLF001 - the names decide where each state is
    assert "secret" not in str(store._former)  # noqa: SLF001 - the names decide where each state is


def test_different_databases_of_one_server_are_different_shards() -> None:
    """A shard's name contains the number or name of its database, in upper and lower case."""
    urls = ["redis://a", "redis://a/10", "redis://a/1", "mysql://a/x", "mysql://a/X"]
    url = url_of_shards(urls)
    assert url is not None
    assert tuple(urls) == open_storage(url)._names  # noqa: SLF001 - the names decide where each state is


@pytest.mark.parametrize(
    "urls, former, path",
    [
        (["redis://a/0", "redis://me:x@a/0"], [], "state.url"),
        ([], ["redis://a/0"], "state.url"),
        (["redis://b/0", "redis://a/0"], ["redis://a/0"], "state.former"),
        (["redis://a/0", "ftp://a"], [], "state.url"),
        (["redis://a/0", "nats://a/keys"], [], "state.url"),
        (["redis://a/0", "rediss://me:x@A:6379"], [], "state.url"),
    ],
)
def test_wrong_shards_are_refused(urls: list[str], former: list[str], path: str) -> None:
    """Missing, repeated, unsuitable or reordered shards are refused."""
    url = url_of_shards(urls, former)
    assert url is not None
    with pytest.raises(ConfigurationError) as excinfo:
        open_storage(url)
    assert path == excinfo.value.path
    assert excinfo.value.remedy


def test_path_may_be_absolute_and_quoted(tmp_path: Path) -> None:
    """Four slashes in a URL begin an absolute path, and escaped characters are decoded."""
    with open_storage(f"sqlite:///{tmp_path}/a%20b.db") as store:
        store.housekeep()
    assert (tmp_path / "a b.db").exists()


@pytest.mark.parametrize(
    "opened",
    [
        lambda url: open_storage(url).housekeep(),
        lambda url: open_tenants(url, KEYS).put("acme", {"sms": {"vendor": "x"}}),
        lambda url: open_credentials(url, KEYS).rotate("vat", None, Credentials.bearer("t")),
        lambda url: open_inbox(url, create=True).find(EntryQuery()),
        lambda url: open_outbox(url, create=True).find(EntryQuery()),
        lambda url: open_log(url, create=True).find(LogQuery()),
    ],
    ids=["storage", "tenants", "credentials", "inbox", "outbox", "log"],
)
def test_percent20_in_url_is_space_in_file_name_for_every_kind_of_store(
    opened: Any, tmp_path: Path
) -> None:
    """For every kind of store, %20 in a URL is a space in the file name."""
    opened(f"sqlite:///{tmp_path}/a%20b.db")

    assert (tmp_path / "a b.db").exists()
    assert not (tmp_path / "a%20b.db").exists()


def test_options_are_the_stores_own() -> None:
    """A URL can set the options of its store class."""
    assert open_storage("redis://host/0", durable=True).durable


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:///",
        "sqlite://x.db",
        "ftp://host",
        "redis",
        "memory",
        "://",
        7,
        None,
        b"memory:",
    ],
)
def test_invalid_urls_are_refused(url: Any) -> None:
    """The error for an invalid URL lists valid forms, and never shows a password."""
    with pytest.raises(ConfigurationError, match="names no store") as excinfo:
        open_storage(url)
    assert (excinfo.value.path, "redis://" in excinfo.value.remedy) == ("state.url", True)


@pytest.mark.parametrize(
    "url, library, extra",
    [
        ("redis://:secret@host/0", "redis", "redis"),
        ("rediss+cluster://:secret@host:1", "redis", "redis"),
        ("postgresql://me:secret@host/name", "sqlalchemy", "postgresql"),
        ("mariadb+pymysql://me:secret@host/name", "sqlalchemy", "mysql"),
    ],
)
def test_missing_library_is_named(
    url: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for a missing library names the extra that installs it."""
    uninstall(monkeypatch, library, "moorage.adapters.state.", "moorage.adapters.databases.")
    with pytest.raises(ConfigurationError, match=f"needs {library}") as excinfo:
        open_storage(url)
    assert excinfo.value.remedy == install(extra)
    assert "secret" not in str(excinfo.value)


ENTRIES = tuple(f"moorage.adapters.{room}." for room in ("databases", "tables", "entries", "logs"))


@pytest.mark.parametrize("opens", [open_inbox, open_outbox, open_log])
def test_missing_library_of_entries_is_named(opens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an entry store's library is missing, the error names the library and its extra."""
    uninstall(monkeypatch, "sqlalchemy", *ENTRIES)
    with pytest.raises(ConfigurationError, match="needs sqlalchemy") as excinfo:
        opens("mariadb://me:secret@host/name")
    assert install("mysql") == excinfo.value.remedy
    assert "secret" not in str(excinfo.value)


def test_scheme_of_the_hosts() -> None:
    """A URL scheme of the host opens the host's store, but cannot replace a built-in scheme."""
    serve("own", lambda url, *, is_async: (url, is_async))
    serve("redis", lambda url, *, is_async: (url, is_async))

    assert ("own://place", False) == open_storage("own://place")
    assert ("own://place", True) == aopen_storage("own://place")
    assert type(open_storage("redis://host")) is RedisStorage


@pytest.mark.parametrize("url", [5, float("nan"), True, None, ["a"], {"a": 1}, b"sqlite://"])
@pytest.mark.parametrize(
    "name", [name for name in dir(store_urls) if name.startswith(("open_", "aopen_"))]
)
def test_url_of_another_type_is_refused(name: str, url: Any) -> None:
    """A store URL that is not a str is refused, and the error shows a valid example."""
    keys = {"keys": generate_keys()} if "tenants" in name else {}
    with pytest.raises(ConfigurationError) as excinfo:
        getattr(store_urls, name)(url, **keys)

    assert excinfo.value.remedy
