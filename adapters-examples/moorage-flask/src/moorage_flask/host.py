"""What a host gives as its database: an engine to connect like, and a session to write with."""

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
    """The host's database, and what gives the session it is using, as far as they are known."""

    database: Database | None
    session: Callable[[], Session] | None


def host_of(settings: Settings) -> Host:
    """What these settings give; a Flask-SQLAlchemy wants the context of its application."""
    given = settings.database
    session = settings.session or _session(given)
    if given is None:
        return Host(None, session)
    if isinstance(given, URL):
        return Host(Database(given.render_as_string(hide_password=False)), session)
    if isinstance(given, str):
        return Host(Database(given), session)
    engine = _engine(given)
    if isinstance(engine, Engine):
        return Host(Database(engine), session)
    raise ConfigurationError(
        f"a {type(given).__name__} is no database.",
        path="MOORAGE.DATABASE",
        remedy="Give a URL, an engine or a scoped_session of SQLAlchemy, or your SQLAlchemy(app).",
    )


def _engine(given: Any) -> object:
    if isinstance(given, scoped_session):
        return given.get_bind()
    return given if isinstance(given, Engine) else getattr(given, "engine", None)


def _session(given: object) -> Callable[[], Session] | None:
    for found in (given, getattr(given, "session", None)):
        if isinstance(found, scoped_session):
            return cast("Callable[[], Session]", found)
    return None
