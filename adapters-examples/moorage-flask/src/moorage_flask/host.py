"""The host's database: the engine to connect with, and the session to write with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import scoped_session

from moorage import ConfigurationError
from moorage_flask.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from moorage_flask.settings import Settings


class Host(NamedTuple):
    """The host's engine, and the function that returns its current session."""

    database: Database | None
    session: Callable[[], Session] | None


def host_of(settings: Settings) -> Host:
    """Return the host's database; Flask-SQLAlchemy needs an application context."""
    given_value = settings.database
    session = settings.session or _session(given_value)
    if given_value is None:
        return Host(None, session)
    if isinstance(given_value, URL):
        return Host(Database(given_value.render_as_string(hide_password=False)), session)
    if isinstance(given_value, str):
        return Host(Database(given_value), session)
    engine = _engine(given_value)
    if isinstance(engine, Engine):
        return Host(Database(engine), session)
    raise ConfigurationError(
        f"a {type(given_value).__name__} is no database.",
        path="MOORAGE.DATABASE",
        remedy="Give a URL, an engine or a scoped_session of SQLAlchemy, or your SQLAlchemy(app).",
    )


def _engine(given: Any) -> object:
    if isinstance(given, scoped_session):
        return given.get_bind()
    return given if isinstance(given, Engine) else getattr(given, "engine", None)


def _session(given: object) -> Callable[[], Session] | None:
    for found_value in (given, getattr(given, "session", None)):
        if isinstance(found_value, scoped_session):
            return cast("Callable[[], Session]", found_value)
    return None
