"""An application's database: its engine opens connections, and its session writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import scoped_session

from moorage import ConfigurationError
from moorage.domain.values.text import with_article
from moorage_flask.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from moorage_flask.settings import Settings


class Host(NamedTuple):
    """The application's engine, and the function that returns its current session."""

    database: Database | None
    session: Callable[[], Session] | None


def host_of(settings: Settings) -> Host:
    """Return the application's database; Flask-SQLAlchemy needs an application context."""
    database = settings.database
    session = settings.session or _session(database)
    if database is None:
        return Host(None, session)
    if isinstance(database, URL):
        return Host(Database(database.render_as_string(hide_password=False)), session)
    if isinstance(database, str):
        return Host(Database(database), session)
    engine = _engine(database)
    if isinstance(engine, Engine):
        return Host(Database(engine), session)
    raise ConfigurationError(
        f"The database is {with_article(type(database).__name__)}.",
        path="MOORAGE.DATABASE",
        remedy="Give a URL, an engine or a scoped_session of SQLAlchemy, or your SQLAlchemy(app).",
    )


def _engine(database: Any) -> object:
    if isinstance(database, scoped_session):
        return database.get_bind()
    return database if isinstance(database, Engine) else getattr(database, "engine", None)


def _session(database: object) -> Callable[[], Session] | None:
    for candidate in (database, getattr(database, "session", None)):
        if isinstance(candidate, scoped_session):
            return cast("Callable[[], Session]", candidate)
    return None
