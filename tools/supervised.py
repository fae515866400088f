"""Ends a server together with the process that started it, even if that is killed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Supervisor:
    """A shell that runs commands when its `with` block or this process ends.

    The shell reads from a pipe whose other end only this process has. The kernel closes that end
    when the process ends, whatever ended it.

    Args:
        script: the commands of the shell; those after `read -r _` run at the end.
        arguments: the values of `$1`, `$2` and so on in the script.
        user: the user that the shell runs as; by default the current one.

    Attributes:
        pid: the process id of the shell.
    """

    def __init__(self, script: str, *arguments: str, user: str | None = None) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", *arguments],
            user=user,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
