"""The checks of moorage in `manage.py check`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor

from moorage import ConfigurationError
from moorage.adapters.ciphers.aes_gcm import KEYS_COMMAND
from moorage.config.toml_text import has_password
from moorage.wiring.store_urls import open_storage
from moorage_django import stores
from moorage_django.databases import LABEL, same_database
from moorage_django.log import UNKEPT
from moorage_django.settings import project_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moorage.config import Configured
    from moorage.errors import Problem
    from moorage_django.settings import ProjectSettings

_SQLITE: Final = "django.db.backends.sqlite3"
_KNOWN_ENGINES: Final = frozenset(
    {_SQLITE, "django.db.backends.postgresql", "django.db.backends.mysql"}
)
_LIVE: Final = ("sk_live_", "rk_live_", "live_", "AQE")


def settings_are_right(**_: object) -> list[checks.CheckMessage]:
    """Check Django's settings and moorage's configuration, each alone and both together."""
    try:
        options = project_settings()
    except ConfigurationError as error:
        return [_error(problem, "E001") for problem in error.problems]
    messages = list(_of_databases(options))
    try:
        configured = stores.configured_parts(options)
        url = stores.store_url(options)
        if url is not None:
            open_storage(url)
    except ConfigurationError as error:
        return messages + [
            _error(problem, "E003" if "secret" in problem.found else "E002")
            for problem in error.problems
        ]
    try:
        cipher = stores.cipher_of(options)
        if options.tenants:
            stores.require_cipher(cipher)
    except ConfigurationError as error:
        return messages + [_error(problem, "E004") for problem in error.problems]
    try:
        options.ports_of(is_async=False)
        options.ports_of(is_async=True)
    except ConfigurationError as error:
        return messages + [_error(problem, "E001") for problem in error.problems]
    messages += _of_stores(options, url)
    messages += _of_configuration(configured)
    if UNKEPT:
        messages.append(_missing_log_message(UNKEPT))
    if cipher is None:
        messages.append(
            checks.Warning(
                "MOORAGE_KEYS is not set, so stored data is not encrypted, and tokens are kept in"
                " memory only.",
                hint=f"Set the environment variable to the output of this command: {KEYS_COMMAND}",
                id="moorage.W004",
            )
        )
    return messages


def _missing_log_message(names: Sequence[str]) -> checks.CheckMessage:
    return checks.Warning(
        f"moorage-django does not store {', '.join(names)} in the log, because the installed"
        " moorage is newer.",
        hint="Upgrade moorage-django, and run its migrations.",
        id="moorage.W010",
    )


def tables_are_there(
    databases: Sequence[str] | None = None, **_: object
) -> list[checks.CheckMessage]:
    """Check that moorage's migrations are applied in the checked databases."""
    messages: list[checks.CheckMessage] = []
    for alias in databases or ():
        executor = MigrationExecutor(connections[alias])
        migrations = [node for node in executor.loader.graph.leaf_nodes() if node[0] == LABEL]
        if executor.migration_plan(migrations):
            messages.append(
                # An error would prevent `migrate` from creating them.
                checks.Warning(
                    f"The migrations of moorage are missing in the database {alias!r}.",
                    hint=f"Run manage.py migrate {LABEL} --database {alias}.",
                    id="moorage.W008",
                )
            )
    return messages


def _of_databases(picked: ProjectSettings) -> Iterator[checks.CheckMessage]:
    database = settings.DATABASES[picked.database]
    if database.get("ENGINE") not in _KNOWN_ENGINES:
        yield checks.Error(
            f"moorage cannot store its state in a database of {database.get('ENGINE')}.",
            hint="Use Django's own SQLite, PostgreSQL or MySQL, or a STATE such as redis://….",
            id="moorage.E005",
        )
    if picked.database != DEFAULT_DB_ALIAS and database.get("ATOMIC_REQUESTS"):
        yield checks.Error(
            f"DATABASES[{picked.database!r}] has ATOMIC_REQUESTS, so a request that fails"
            " would undo the records of its calls.",
            hint=f'Set the database to moorage_django.beside(DATABASES["{DEFAULT_DB_ALIAS}"]).',
            id="moorage.E006",
        )


def _of_stores(picked: ProjectSettings, url: str | None) -> Iterator[checks.CheckMessage]:
    host = settings.DATABASES[DEFAULT_DB_ALIAS]
    is_shared = picked.database == DEFAULT_DB_ALIAS or (
        host.get("ENGINE") == _SQLITE and same_database(picked.database)
    )
    if is_shared and host.get("ENGINE") == _SQLITE and host.get("ATOMIC_REQUESTS"):
        yield checks.Warning(
            "Views call vendors inside ATOMIC_REQUESTS, and moorage writes to the same SQLite file,"
            " so each call waits for the lock of its own view.",
            hint='Set DATABASES["moorage"] = moorage_django.beside(DATABASES["default"]).',
            id="moorage.W001",
        )
    if is_shared and url is None:
        yield checks.Warning(
            "moorage stores its state over the project's own connection, so a rollback of the"
            " project undoes the records of calls.",
            hint='Set DATABASES["moorage"] = moorage_django.beside(DATABASES["default"]).',
            id="moorage.W002",
        )
    if isinstance(picked.state, str) and has_password(picked.state):
        yield checks.Warning(
            "MOORAGE['STATE'] contains a password, and Django shows the setting with every error"
            " that it reports.",
            hint='Leave STATE out, and set [state] url = "${STATE_URL}" in the configuration.',
            id="moorage.W009",
        )
    if url == "memory:":
        is_several = _whole_number(os.environ.get("WEB_CONCURRENCY")) > 1
        message = "Each process keeps limits, circuits and idempotency keys for itself." + (
            " Several workers are configured, so a repeated call may take effect twice."
            if is_several
            else ""
        )
        kind = checks.Error if is_several else checks.Warning
        yield kind(
            message,
            hint="Remove MOORAGE['STATE'], or name a store that the processes share.",
            id="moorage.E007" if is_several else "moorage.W003",
        )


def _of_configuration(configured: Configured) -> Iterator[checks.CheckMessage]:
    for account in configured.accounts:
        if account.vendor.webhook is not None and not account.webhook_secrets:
            yield checks.Warning(
                f"All webhooks of {account.name} are refused, because they have no secret.",
                hint=f"Set vendors.{account.name}.webhook_secrets, or silence this if the"
                " vendor sends none.",
                id="moorage.W005",
            )
        if settings.DEBUG and _is_live(account.vendor):
            yield checks.Warning(
                f"DEBUG is on, and {account.name} has live credentials.",
                hint="Use credentials of the vendor's test mode.",
                id="moorage.W006",
            )
    for problem in configured.inline:
        yield checks.Warning(
            f"{problem.path}: {problem.found} Django shows it with every error that it reports.",
            hint="Write secret://env/NAME instead, or wrap the value: moorage.Secret(…).",
            id="moorage.W009",
        )
    for problem in configured.warnings:
        yield checks.Warning(
            f"{problem.path}: {problem.found}", hint=problem.remedy, id="moorage.W007"
        )


def _is_live(vendor: Any) -> bool:
    credentials = getattr(vendor, "credentials", None)
    reveal = getattr(getattr(credentials, "secret", credentials), "reveal", None)
    return reveal is not None and str(reveal()).startswith(_LIVE)


def _error(problem: Problem, number: str) -> checks.CheckMessage:
    message = f"{problem.path}: {problem.found}"
    return checks.Error(message, hint=problem.remedy, id=f"moorage.{number}")


def _whole_number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0
