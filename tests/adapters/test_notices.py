"""Notices about problems that must not fail a call, as warnings or log records."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest

from moorage.adapters.notices import give_notice


def test_notice_is_a_warning_that_names_its_caller(caplog: pytest.LogCaptureFixture) -> None:
    """If the program shows warnings, a notice is a warning at the caller's line."""

    def notice() -> None:
        give_notice("Something.", stacklevel=2)

    with pytest.warns(RuntimeWarning, match="Something") as caught_warnings:
        notice()
    assert [__file__] == [report.filename for report in caught_warnings]
    assert [] == caplog.records


def test_notice_is_logged_where_warnings_are_errors(caplog: pytest.LogCaptureFixture) -> None:
    """If warnings are errors, a notice is logged with its text unchanged."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        give_notice("80 % of it.")
    assert [("moorage", "80 % of it.")] == [
        (record.name, record.message) for record in caplog.records
    ]


def test_notice_is_logged_where_showing_a_warning_fails(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the host's own `showwarning` function raises an error, the call still succeeds."""

    def show(*_: Any, **__: Any) -> None:
        raise OSError

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        give_notice("Something.")
    assert ["Something."] == caplog.messages


def test_program_that_is_run_with_errors_for_warnings_reads_the_notice() -> None:
    """Under `python -W error` without a logging handler, a notice is written to standard error."""
    program = (
        "import asyncio\n"
        "from moorage import ConnectorManager, Service\n"
        "manager = ConnectorManager([Service('a')])\n"
        "async def inside():\n"
        "    tries = []\n"
        "    def once_broken():\n"
        "        tries.append(1)\n"
        "        if len(tries) == 1:\n"
        "            raise ConnectionError\n"
        "        return 7\n"
        "    return manager.run('a', once_broken)\n"
        "assert 7 == asyncio.run(inside())\n"
    )
    ended_process = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=False, capture_output=True, text=True
    )
    assert (0, True) == (
        ended_process.returncode,
        "blocks a running event loop" in ended_process.stderr,
    )
