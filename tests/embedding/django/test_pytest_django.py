"""Test databases that pytest-django creates for a project whose moorage has its own alias."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

import moorage_django
from moorage_django import databases
from moorage_django.databases import remember, same_database
from tests.support.servers import postgres_url

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
import json
import moorage_django

SECRET_KEY = "for tests only"
USE_TZ = True
ROOT_URLCONF = "shop"
INSTALLED_APPS = ["shop", "moorage_django"]
DATABASES = {"default": json.loads(%r)}
DATABASES["moorage"] = moorage_django.beside(DATABASES["default"])
DATABASE_ROUTERS = ["moorage_django.Router"]
MOORAGE = {"CONFIGURATION": {}}
"""
MIGRATION = """
from pathlib import Path
from django.db import migrations
from django.db.migrations.operations.base import Operation


class Told(Operation):
    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        with Path("told").open("a") as told:
            told.write(schema_editor.connection.alias + "\\n")


class Migration(migrations.Migration):
    operations = [Told()]
"""
CONFTEST = """
import pytest
from django.db import connections


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup):
    yield
    connections["moorage"].close()
"""
TESTS = """
import pytest
from moorage_django.models import Call, Credential, Deferred, State, Webhook


@pytest.mark.django_db(databases=["default", "moorage"])
def test_every_table_is_there():
    for model in (Call, Credential, Deferred, State, Webhook):
        assert not model.objects.exists()
"""


def _postgresql_settings() -> dict[str, Any]:
    with psycopg.connect(postgres_url()) as link:
        info = link.info
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": info.dbname,
            "USER": info.user,
            "PASSWORD": info.password,
            "HOST": info.host,
            "PORT": info.port,
            "TEST": {"NAME": f"test_{uuid4().hex[:12]}"},
        }


@pytest.mark.parametrize("kind", ["sqlite", "file", "postgresql"])
def test_test_databases_have_only_their_tables(tmp_path: Path, kind: str) -> None:
    """The host's migrations run only in the host's database; all test databases are removed."""
    host: dict[str, Any] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(tmp_path / "erp.sqlite3"),
    }
    if kind == "file":
        host["TEST"] = {"NAME": str(tmp_path / "tested.sqlite3")}
    elif kind == "postgresql":
        host = _postgresql_settings()
    (tmp_path / "shop" / "migrations").mkdir(parents=True)
    for name, text in {
        "shop/__init__.py": "urlpatterns = []\n",
        "shop/migrations/__init__.py": "",
        "shop/migrations/0001_initial.py": MIGRATION,
        "shop_settings.py": SETTINGS % json.dumps(host),
        "conftest.py": CONFTEST,
        "test_shop.py": TESTS,
        "pytest.ini": "[pytest]\n",
    }.items():
        (tmp_path / name).write_text(text)
    ended_process = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--ds=shop_settings"),
            *("-p", "no:randomly", "-p", "no:cacheprovider", "-W", "error::pytest.PytestWarning"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (0, "") == (ended_process.returncode, ended_process.stderr), ended_process.stdout
    assert "1 passed" in ended_process.stdout
    assert "warning" not in ended_process.stdout
    assert ["default"] == (tmp_path / "told").read_text().split()
    if kind == "postgresql":
        with psycopg.connect(postgres_url()) as link:
            count_query = sql.SQL("SELECT count(*) FROM pg_database WHERE datname = {}")
            matches = link.execute(count_query.format(host["TEST"]["NAME"])).fetchone()
        assert (0,) == matches


def _use_databases(
    monkeypatch: pytest.MonkeyPatch, host: dict[str, Any], own_database: dict[str, Any]
) -> None:
    fake_settings = SimpleNamespace(DATABASES={"default": host, "moorage": own_database})
    monkeypatch.setattr(databases, "settings", fake_settings)


def test_alias_follows_renamed_test_databases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Aliases of one database still share it while Django renames the test databases."""
    monkeypatch.setattr(databases, "_shared", set())
    host = {"ENGINE": "django.db.backends.postgresql", "NAME": "erp"}
    own_alias = moorage_django.beside(host)
    _use_databases(monkeypatch, host, own_alias)
    remember()
    _use_databases(monkeypatch, {**host, "NAME": "test_erp"}, own_alias)
    assert same_database("moorage")


@pytest.mark.parametrize(
    "own_database",
    [{"TEST": {"NAME": "another"}}, {"NAME": "other"}, {"ENGINE": "sqlite3", "NAME": "a"}],
)
def test_alias_with_its_own_database_has_its_own_tables(
    monkeypatch: pytest.MonkeyPatch, own_database: dict[str, Any]
) -> None:
    """An alias with its own database, or its own test database, has its own tables."""
    monkeypatch.setattr(databases, "_shared", set())
    host = {"ENGINE": "django.db.backends.postgresql", "NAME": "erp"}
    _use_databases(monkeypatch, host, {**host, **own_database})
    remember()
    _use_databases(monkeypatch, {**host, "NAME": "test_erp"}, {**host, **own_database})
    assert not same_database("moorage")
