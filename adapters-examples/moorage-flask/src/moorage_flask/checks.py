"""Checks of an application's settings.

Each finding has a name and a remedy.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from moorage import ConnectorError
from moorage.adapters.ciphers.aes_gcm import KEYS_COMMAND
from moorage.config.toml_text import has_password

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moorage import Account
    from moorage_flask.objects import MoorageObjects

_URLS: Final = {
    "database": "Give an engine or a session of SQLAlchemy, or a URL object from its make_url(…).",
    "state": "Wrap it: moorage.Secret(…).",
    "aside": "Give the path of a SQLite file.",
}
"""The settings that may be URLs, with what to use instead of a URL with a password."""

_OPTION: Final = re.compile(r"(?:^|\s)(?:-w|--workers)[=\s]?(\d+)")


@attrs.frozen
class Finding:
    """A problem that a check found.

    Attributes:
        name: the finding's name.
        problem: the problem.
        remedy: the remedy.
        severe: True if the application should not start.
    """

    name: str
    problem: str
    remedy: str = ""
    severe: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.problem} {self.remedy}".rstrip()


def findings(
    objects: MoorageObjects, environment: Mapping[str, str] = os.environ
) -> tuple[Finding, ...]:
    """Return all problems; an unreadable configuration is reported alone."""
    try:
        accounts = objects.accounts
    except ConnectorError as error:
        return (Finding("configuration", str(error), severe=True),)
    try:
        objects.stores.ready()
    except ConnectorError as error:
        return (Finding("settings", str(error), severe=True), *_inline_findings(objects))
    return (
        *_stores(objects, environment),
        *_inline_findings(objects),
        *_webhooks(accounts),
        *_keys(objects),
    )


def _stores(objects: MoorageObjects, environment: Mapping[str, str]) -> Iterator[Finding]:
    state, database = objects.places.state, objects.host.database
    is_several = _workers(environment) > 1
    if state == "memory:" and objects.settings.state in {None, "memory:"}:
        yield Finding(
            "store-not-shared",
            "Each process keeps limits, circuits and idempotency keys for itself."
            + (
                " Several workers are configured, so a repeated payment may charge twice."
                if is_several
                else ""
            ),
            "Give MOORAGE a DATABASE, or a STATE such as redis://….",
            severe=is_several,
        )
    if database is None or database.file is None:
        return
    host = Path(database.file).absolute()
    for setting, url in (("STATE", state), ("ASIDE", objects.places.aside)):
        if url is not None and Path(url.removeprefix("sqlite:///")).absolute() == host:
            yield Finding(
                "store-in-the-host's-file",
                f"{setting} is the application's own SQLite file, so a call to a vendor inside a"
                " transaction would wait for this transaction.",
                f"Remove {setting}, or name another file.",
                severe=True,
            )


def _inline_findings(objects: MoorageObjects) -> Iterator[Finding]:
    settings = objects.settings
    for name, remedy in _URLS.items():
        value = getattr(settings, name)
        if isinstance(value, str) and has_password(value):
            yield Finding(
                "secret-in-settings",
                f"MOORAGE.{name.upper()} contains a password. Debuggers and error trackers show"
                " app.config.",
                remedy,
            )
    if isinstance(settings.keys, str):
        yield Finding(
            "secret-in-settings",
            "MOORAGE.KEYS is plain text. Debuggers and error trackers show app.config.",
            "Set MOORAGE_KEYS in the environment instead, or wrap it: moorage.Secret(…).",
        )
    for problem in objects.inline:
        yield Finding(
            "secret-in-settings",
            f"{problem.path}: {problem.found} Debuggers and error trackers show app.config.",
            "Write secret://env/NAME instead, or wrap it: moorage.Secret(…).",
        )


def _webhooks(accounts: Iterable[Account]) -> Iterator[Finding]:
    for account in accounts:
        if account.vendor.webhook is not None and not account.webhook_secrets:
            yield Finding(
                "webhook-without-secret",
                f"All webhooks of {account.name} are refused, because there is no secret to verify"
                " them with.",
                f"Set vendors.{account.name}.webhook_secrets, or ignore this if the vendor sends"
                " none.",
            )


def _keys(objects: MoorageObjects) -> Iterator[Finding]:
    if objects.stores.forgets_credentials:
        yield Finding(
            "credentials-in-memory",
            "Stored credentials and OAuth tokens are lost when a process ends, because storing them"
            " in a database server requires SQLAlchemy 2.",
            "Set ASIDE to a SQLite file, or install SQLAlchemy 2.",
        )
    if objects.stores.cipher is not None:
        return
    yield Finding(
        "no-keys",
        "Webhooks and waiting calls are not encrypted, and access tokens are kept in memory only.",
        f"Set the environment variable MOORAGE_KEYS to the output of this command: {KEYS_COMMAND}",
    )


def _workers(environment: Mapping[str, str]) -> int:
    """Return the number of workers that gunicorn or another server starts."""
    option = _OPTION.search(environment.get("GUNICORN_CMD_ARGS", ""))
    text = environment.get("WEB_CONCURRENCY", "") if option is None else option[1]
    return int(text) if text.isascii() and text.isdigit() else 1
