"""Finds files of stores that could not be created or read, before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from moorage.wiring.store_urls import sqlite_path

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from moorage.config.configured import Configured
    from moorage.config.problems import Report

_FILE: Final = "file:///"


def check_store_files(configured: Configured, passed: Container[str], report: Report) -> None:
    """Report each file of a store that is a directory, or whose directory is missing.

    Args:
        configured: the URLs of the stores.
        passed: the names of the ports that the program passes, so that they are not opened.
        report: collects the problems.
    """
    urls = {"state": configured.state, "log": configured.log, "metrics": configured.metrics}
    for table in ("tenants_from", "credentials_from", "audit"):
        settings = getattr(configured, table)
        urls[table] = None if settings is None else settings.url.reveal()
    for table in ("state", "tenants_from", "credentials_from"):
        _check_alone(table, urls, report)
    for table, url in urls.items():
        port, place = table.removesuffix("_from"), f"{table}.url"
        is_known = report.clear(place) and not report.lacks(place)
        if url is not None and is_known and port not in passed:
            _check_url(url, place, report)


def _check_alone(table: str, urls: Mapping[str, str | None], report: Report) -> None:
    """Report the stores in the file of a store that refuses to share its file."""
    file = _sqlite_file(urls[table])
    for other_table, url in urls.items():
        if other_table != table and file is not None and _sqlite_file(url) == file:
            report.add(
                f"{other_table}.url",
                f"The store of [{table}] has the same file.",
                "Give each of them a file of its own.",
            )


def _sqlite_file(url: str | None) -> Path | None:
    name = None if url is None else sqlite_path(url)
    return None if name is None else Path(name).absolute()


def _check_url(url: str, place: str, report: Report) -> None:
    name = sqlite_path(url)
    if url.startswith(_FILE):
        # The trail's path is absolute; that of credentials is relative to the working directory.
        name = unquote(url.removeprefix("file://" if place == "audit.url" else _FILE))
    if not name or "\0" in name:
        return
    file = Path(name).absolute()
    if file.is_dir():
        report.add(place, f"{file} is a directory.", "Write the path of a file.")
    elif place == "credentials_from.url" and url.startswith(_FILE):
        if not file.exists():
            report.add(
                place,
                f"The file {file} does not exist.",
                "Put the file of credentials there, or correct the path.",
            )
    elif not file.parent.is_dir():
        report.add(
            place,
            f"The directory of {file} does not exist.",
            "Create the directory; moorage creates the file in it.",
        )
