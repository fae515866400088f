"""Finds store files that cannot be created or read, before any store is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.wiring.store_urls import file_path, sqlite_path, urls_of_shards

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from moorage.config.configured import Configured
    from moorage.config.problems import Report


def check_store_files(configured: Configured, passed_ports: Container[str], report: Report) -> None:
    """Report each store file that this user cannot create, read or write.

    Args:
        configured: the URLs of the stores.
        passed_ports: the names of the ports that the program passes; their files are not checked.
        report: collects the problems.
    """
    urls = {"log": configured.log, "metrics": configured.metrics}
    for table in ("tenants_from", "credentials_from", "audit"):
        settings = getattr(configured, table)
        urls[table] = None if settings is None else settings.url.reveal()
    shards = () if configured.state is None else urls_of_shards(configured.state)
    key_shards = () if configured.keys is None else urls_of_shards(configured.keys)
    states: list[tuple[str, str, str | None]] = [
        *(("state", "state.url", shard) for shard in shards),
        *(("claims", "state.keys_url", shard) for shard in key_shards),
    ]
    for _, state_place, state in states or [("state", "state.url", None)]:
        for table in ("state", "tenants_from", "credentials_from"):
            _check_alone(table, {"state": state, **urls}, state_place, report)
    places = [
        *states,
        *((table.removesuffix("_from"), f"{table}.url", url) for table, url in urls.items()),
    ]
    for port, place, url in places:
        is_known = report.has_no_problem(place) and not report.is_unreadable_at(place)
        if url is not None and is_known and port not in passed_ports:
            _check_url(url, place, report)


def _check_alone(
    table: str, urls: Mapping[str, str | None], state_place: str, report: Report
) -> None:
    """Report stores that share one file although one of them must have the file for itself.

    Args:
        table: the table of the store that needs a file of its own.
        urls: the URLs of all stores by their tables.
        state_place: the path of the URL in the table [state].
        report: collects the problems.
    """
    file = _sqlite_file(urls[table])
    for other_table, url in urls.items():
        if other_table != table and file is not None and _sqlite_file(url) == file:
            report.add(
                state_place if other_table == "state" else f"{other_table}.url",
                f"The store of [{table}] uses the same file.",
                "Use a separate file for each store.",
            )


def _sqlite_file(url: str | None) -> Path | None:
    name = None if url is None else sqlite_path(url)
    return None if name is None else Path(name).absolute()


def _check_url(url: str, place: str, report: Report) -> None:
    name = sqlite_path(url) or file_path(url)
    if not name or "\0" in name:
        return
    file = Path(name).absolute()
    is_read_only = place == "credentials_from.url" and file_path(url) is not None
    problem: tuple[str, str] | None
    if file.is_dir():
        problem = f"{file} is a directory.", "Write the path of a file."
    elif is_read_only:
        problem = _problem_of_read_file(file)
    else:
        problem = _problem_of_written_file(file)
    if problem is not None:
        message, remedy = problem
        report.add(place, message, f"{remedy}{_path_advice(url, name)}")


def _path_advice(url: str, name: str) -> str:
    """Return a sentence that advises the spelling of the path that the user may have meant."""
    if url.startswith("sqlite:") and not name.startswith("/"):
        has_folder = "/" in name.removeprefix("./") and Path("/", name).parent.is_dir()
        return " An absolute path begins with four slashes." if has_folder else ""
    if url.startswith("file:/") and Path(name.lstrip("/")).exists():
        return " A path from the working directory is written without slashes after the colon."
    return ""


def _problem_of_read_file(file: Path) -> tuple[str, str] | None:
    """Return why a credentials file is unreadable, and the remedy; otherwise None."""
    if not file.exists():
        remedy = "Create the file of credentials there, or correct the path."
        return f"The file {file} does not exist.", remedy
    if not os.access(file, os.R_OK):
        return f"This user may not read {file}.", "Give this user read permission on the file."
    return None


def _problem_of_written_file(file: Path) -> tuple[str, str] | None:
    """Return why a store cannot write its file, and the remedy; otherwise None."""
    folder = file.parent
    if not folder.is_dir():
        remedy = "Create the directory; moorage creates the file in it."
        return f"The directory of {file} does not exist.", remedy
    if not os.access(folder, os.W_OK | os.X_OK):
        # SQLite creates further files next to the database.
        remedy = "Give this user write permission on the directory, or use another directory."
        return f"This user may not create files in the directory of {file}.", remedy
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        remedy = "Give this user read and write permission on the file."
        return f"This user may not write to {file}.", remedy
    return None
