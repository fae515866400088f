"""Databases and applications for the tests of the Flask extension."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import sqlalchemy

from moorage_flask.database import MODERN
from tests.embedding.flask.shop import Shop
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


POSTGRESQL = "postgresql+psycopg" if MODERN else "postgresql+psycopg2"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a host's database in a SQLite file."""
    return f"sqlite:///{tmp_path / 'erp.db'}"


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """Yield a PostgreSQL schema for the application."""
    name = f"flask_{uuid4().hex[:12]}"
    url = sqlalchemy.engine.make_url(postgres_url()).set(drivername=POSTGRESQL)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    schema_url = url.update_query_dict({"options": f"-csearch_path={name}"})
    yield schema_url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def mariadb_database_url() -> Iterator[str]:
    """Yield a MariaDB database for the application."""
    name = f"flask_{uuid4().hex[:12]}"
    url = sqlalchemy.engine.make_url(mariadb_url()).set(drivername="mariadb+pymysql")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield url.set(database=name).render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a host's database, for each common kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def sql_url(database_url: str) -> str:
    """Yield a database that can hold moorage's own stores."""
    if not MODERN and not database_url.startswith("sqlite"):
        pytest.skip("moorage's own stores use a server through SQLAlchemy 2 only")
    return database_url


@pytest.fixture(params=["sqlite", "postgresql", "mariadb_database"])
def any_database_url(request: pytest.FixtureRequest) -> str:
    """Yield a database of each kind for the application."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    """Return a Flask application for each kind of database."""
    with closing(Shop(database_url)) as new_shop:
        new_shop.objects.migrate()
        yield new_shop
