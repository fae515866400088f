"""The Flask extension: its settings, several applications, and several processes."""

from __future__ import annotations

import os
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from flask import Flask
from sqlalchemy.orm import scoped_session, sessionmaker

from moorage import ConfigurationError, InvalidData, LogQuery, StorageUnavailable
from moorage_flask import Moorage, current_moorage, tables
from moorage_flask.current import objects_in
from moorage_flask.database import MODERN, Database
from moorage_flask.host import host_of
from moorage_flask.settings import Settings
from tests.embedding.flask.shop import Shop
from tests.embedding.flask.test_webhooks import charge

if TYPE_CHECKING:
    from collections.abc import Callable


def create_app(settings: object) -> Flask:
    """Return a Flask application with these settings."""
    app = Flask("made")
    app.config["MOORAGE"] = settings
    Moorage(app)
    return app


@pytest.mark.parametrize(
    "settings, path",
    [
        (None, "MOORAGE"),
        ("moorage.toml", "MOORAGE"),
        ({}, "MOORAGE.CONFIGURATION"),
        ({"CONFIGURATION": {}, "DATBASE": "sqlite://"}, "MOORAGE.DATBASE"),
        ({"CONFIGURATION": {}, "SESSION": "session"}, "MOORAGE.SESSION"),
        ({"CONFIGURATION": {}, "PERSON": True}, "MOORAGE.PERSON"),
        ({"CONFIGURATION": {}, "ENVIRONMENT": 5}, "MOORAGE.ENVIRONMENT"),
        ({"CONFIGURATION": {}, "ASIDE": 5}, "MOORAGE.ASIDE"),
        ({"CONFIGURATION": {}, "KEYS": 5}, "MOORAGE.KEYS"),
        ({"CONFIGURATION": {}, "KEEP": "a while"}, "MOORAGE.KEEP"),
        ({"CONFIGURATION": {}, "KEEP": -1}, "MOORAGE.KEEP"),
        ({"CONFIGURATION": {}, "KEEP": None}, "MOORAGE.KEEP"),
        ({"CONFIGURATION": {}, "TENANTS": "no"}, "MOORAGE.TENANTS"),
        ({"CONFIGURATION": {}, "PORTS": [1]}, "MOORAGE.PORTS"),
        ({"CONFIGURATION": {}, "PORTS": {"observer": ()}}, "MOORAGE.PORTS.observer"),
    ],
)
def test_invalid_settings_are_refused_when_extension_is_initialised(
    settings: object, path: str
) -> None:
    """Invalid settings are refused when the extension is initialised."""
    with pytest.raises(ConfigurationError) as raised:
        create_app(settings)

    assert path == raised.value.path


def test_settings_show_no_secret(sqlite_url: str) -> None:
    """The representation of the settings shows no secret of the configuration."""
    configuration = {"vendors": {"stripe": {"credentials": "sk_test_of_acme"}}}
    app = create_app({"CONFIGURATION": configuration, "DATABASE": sqlite_url, "KEYS": "1:sealing"})

    text = repr(objects_in(app).settings)
    assert not {"sk_test_of_acme", "sealing"} & set(re.findall(r"\w+", text))


def test_error_for_misspelt_setting_suggests_nearest_name() -> None:
    """The error for a misspelt setting suggests the nearest name."""
    with pytest.raises(ConfigurationError, match="Did you mean DATABASE"):
        create_app({"CONFIGURATION": {}, "DATBASE": "sqlite://"})


def engine_of(url: str) -> sqlalchemy.Engine:
    """Return the application's SQLAlchemy engine."""
    return sqlalchemy.create_engine(url)


def session_of(url: str) -> scoped_session[Any]:
    """Return the application's SQLAlchemy sessions."""
    return scoped_session(sessionmaker(engine_of(url)))


@pytest.mark.parametrize(
    "give, has_session",
    [
        (str, False),
        (sqlalchemy.engine.make_url, False),
        (engine_of, False),
        (session_of, True),
        (lambda url: SimpleNamespace(engine=engine_of(url), session=session_of(url)), True),
    ],
    ids=["a URL as text", "a URL", "an engine", "sessions", "an extension"],
)
def test_host_database_is_recognised(
    give: Callable[[str], object], has_session: bool, sqlite_url: str
) -> None:
    """The host's database is recognised in each form in which the setting may state it."""
    host = host_of(Settings(configuration={}, database=give(sqlite_url)))

    assert host.database is not None
    assert sqlite_url == f"sqlite:///{host.database.file}"
    assert has_session is (host.session is not None)


def test_setting_session_may_name_source_of_sessions(sqlite_url: str) -> None:
    """The setting `SESSION` may name the source of sessions."""
    session = session_of(sqlite_url)

    assert session is host_of(Settings(configuration={}, session=session)).session


@pytest.mark.parametrize("value", [42, "mysql+nothing://host/name", "no url"])
def test_invalid_database_is_refused_with_name_of_setting(value: object) -> None:
    """An invalid database is refused, and the error contains the name of the setting."""
    with pytest.raises(ConfigurationError) as raised:
        host_of(Settings(configuration={}, database=value))

    assert "MOORAGE.DATABASE" == raised.value.path


def test_passwords_are_not_shown() -> None:
    """The description of a database contains no password."""
    database = Database("postgresql://shop:canary@db.example/shop?sslpassword=canary")

    driver = "psycopg" if MODERN else "psycopg2"
    assert f"<Database postgresql+{driver}://shop:***@db.example/shop>" == repr(database)


def test_unreachable_server_counts_as_unavailable() -> None:
    """An unreachable server counts as unavailable, and the driver's error is not shown."""
    database = Database("postgresql://shop:canary@127.0.0.1:1/shop")
    with pytest.raises(StorageUnavailable) as raised, database.begin():
        pass  # pragma: no cover - never got so far

    assert None is raised.value.__cause__
    assert "canary" not in str(raised.value)


def test_one_extension_serves_several_applications(sqlite_url: str) -> None:
    """One extension serves several applications, each with its own state."""
    extension = Moorage()
    apps = [Flask("first"), Flask("second")]
    for app in apps:
        app.config["MOORAGE"] = {"CONFIGURATION": {}}
        extension.init_app(app)
    with apps[0].app_context():
        first = extension.hub
        assert first is current_moorage.hub
    with apps[1].app_context():
        assert first is not extension.hub
    with pytest.raises(ConfigurationError, match="app_context"):
        _ = extension.hub
    for app in apps:
        objects_in(app).close()


def test_application_is_initialised_once() -> None:
    """A second initialisation of one application is refused, and changes nothing."""
    shop = Shop()
    before = shop.objects
    with pytest.raises(ConfigurationError, match="initialised with moorage before"):
        shop.moorage.init_app(shop.app)
    assert before is shop.objects
    shop.close()


def test_application_that_was_not_initialised_raises_error_that_says_so() -> None:
    """An application that was not initialised raises an error with this reason."""
    with Flask("bare").app_context(), pytest.raises(ConfigurationError, match="init_app"):
        _ = current_moorage.hub


def test_closed_extension_reopens(shop: Shop) -> None:
    """A closed extension opens again at its next use."""
    charged_before = charge(shop)
    shop.objects.close()

    assert charged_before == charge(shop)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_process_opens_its_own_connections(shop: Shop) -> None:
    """A forked child process opens its own connections, and does not close the parent's."""
    charge(shop)
    child = os.fork()
    if not child:  # pragma: no cover - the child's side
        try:
            charge(shop, "INV-2")
            shop.objects.close()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the exit code says so
            os._exit(1)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    charge(shop, "INV-3")
    assert 3 == shop.moorage.log.summarise(LogQuery()).count


def test_invalid_page_token_is_refused(shop: Shop) -> None:
    """An invalid page token is refused, and the error contains the name of the field."""
    with pytest.raises(InvalidData) as raised:
        shop.moorage.log.find(LogQuery(after="yesterday"))

    assert "after" == raised.value.field


def test_tables_are_declared_once() -> None:
    """Declaring the tables a second time returns the same table objects."""
    metadata = sqlalchemy.MetaData()

    assert tables(metadata) == tables(metadata)
    assert ["erp.moorage_log", "moorage_log"] == sorted(
        name
        for name in (tables(metadata, schema="erp").log.metadata.tables)
        if name.endswith("moorage_log")
    )
