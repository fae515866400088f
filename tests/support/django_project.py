"""The Django project of the tests; a process can configure it only once."""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import django
import psycopg
import pymysql  # type: ignore[import-untyped]  # PyMySQL has no types
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test.utils import override_settings
from psycopg import sql

import moorage_django
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Mapping

SQLITE = "moorage"
POSTGRES = "postgres"
MARIADB = "mariadb"
BARE_NAME = "bare"
SMTP_ALONE: Mapping[str, Any] = {
    "version": 1,
    "email": {"vendor": "smtp"},
    "vendors": {"smtp": {"host": "mail.example"}},
}


@cache
def configure() -> None:
    """Configure Django for this process."""
    pymysql.install_as_MySQLdb()
    folder = Path(mkdtemp(prefix="moorage-django-"))
    atexit.register(_remove, folder)
    host = {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "erp.sqlite3"}
    settings.configure(
        SECRET_KEY="of no use",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.support.django_urls",
        LOGGING_CONFIG=None,
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.admin",
            "moorage_django",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        DATABASES={
            "default": host,
            SQLITE: moorage_django.beside(host),
            POSTGRES: {"ENGINE": "django.db.backends.postgresql", "NAME": ""},
            MARIADB: {"ENGINE": "django.db.backends.mysql", "NAME": ""},
            BARE_NAME: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        },
        DATABASE_ROUTERS=["moorage_django.Router"],
        MOORAGE={"CONFIGURATION": SMTP_ALONE},
    )
    django.setup()


@cache
def migrate(alias: str) -> str:
    """Create a database's tables, and return its alias."""
    configure()
    if alias in {POSTGRES, MARIADB}:
        create_database = _created_postgres if alias == POSTGRES else _created_mariadb
        connections[alias].settings_dict.update(create_database())
        with override_settings(DATABASE_ROUTERS=[]):
            call_command("migrate", database=alias, verbosity=0)
    else:
        call_command("migrate", database=alias, verbosity=0)
    return alias


def _created_postgres() -> dict[str, Any]:
    """Create a PostgreSQL database, and return its settings."""
    name = _name()
    with psycopg.connect(postgres_url(), autocommit=True) as link:
        link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    atexit.register(_drop_postgres, name)
    # No data of a test must survive a crash.
    return _database_settings(postgres_url(), name) | {
        "OPTIONS": {"options": "-c synchronous_commit=off"}
    }


def _drop_postgres(name: str) -> None:
    connections.close_all()
    with psycopg.connect(postgres_url(), autocommit=True) as link:
        link.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _created_mariadb() -> dict[str, Any]:
    """Create a MariaDB database, and return its settings."""
    name = _name()
    _tell_mariadb(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    atexit.register(_drop_mariadb, name)
    return _database_settings(mariadb_url(), name)


def _drop_mariadb(name: str) -> None:
    connections.close_all()
    _tell_mariadb(f"DROP DATABASE {name}")


def _tell_mariadb(statement: str) -> None:
    place = _database_settings(mariadb_url(), "")
    with (
        pymysql.connect(
            host=place["HOST"], port=place["PORT"], user=place["USER"], password=place["PASSWORD"]
        ) as link,
        link.cursor() as cursor,
    ):
        cursor.execute(statement)


def _name() -> str:
    return f"moorage_django_{uuid4().hex[:12]}"


def _database_settings(url: str, name: str) -> dict[str, Any]:
    place = urlsplit(url)
    return {
        "NAME": name,
        "HOST": place.hostname,
        "PORT": place.port,
        "USER": place.username,
        "PASSWORD": place.password or "",
    }


def _remove(folder: Path) -> None:
    connections.close_all()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
