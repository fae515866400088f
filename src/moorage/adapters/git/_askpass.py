"""Answers git's questions for a user name and password, over a socket.

`git` starts a small shell script for each question. The script asks this process through a socket
in a folder that only this user can open, so a credential is in no argument, no environment and no
file. A question about another host gets no answer.
"""

from __future__ import annotations

import shlex
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from moorage.adapters.concurrency.thread_start import start_thread
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.adapters.git.remote import GitRemote

_QUESTION: Final = late_pattern(r"(Username|Password) for '([^']+)': ?")
_MAX_LENGTH: Final = 4096
_QUESTION_TIMEOUT: Final = 30.0
_PROGRAM: Final = """\
import socket, sys
with socket.socket(socket.AF_UNIX) as channel:
    channel.connect(sys.argv[1])
    channel.sendall(sys.argv[2].encode() + b"\\n")
    answer = b"".join(iter(lambda: channel.recv(4096), b""))
sys.stdout.buffer.write(answer)
sys.exit(0 if answer else 1)
"""


@contextmanager
def askpass(remote: GitRemote) -> Generator[str]:
    """Yield the path of a program that answers git's questions for a remote's credentials."""
    with (
        TemporaryDirectory(prefix="git-", ignore_cleanup_errors=True) as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        path = f"{folder}/s"
        listener.bind(path)
        listener.listen(4)
        program = Path(folder, "ask")
        parts = [sys.executable, "-I", "-S", "-c", _PROGRAM, path]
        program.write_text(f'#!/bin/sh\nexec {shlex.join(parts)} "$1"\n')
        program.chmod(0o700)
        thread = Thread(target=_serve, args=(listener, remote), daemon=True)
        start_thread(thread)
        try:
            yield str(program)
        finally:
            # `shutdown` wakes the waiting thread; `close` alone would not.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, remote: GitRemote) -> None:
    while True:
        try:
            channel, _ = listener.accept()
        except OSError:
            return
        with channel:
            channel.settimeout(_QUESTION_TIMEOUT)
            try:
                question = channel.recv(_MAX_LENGTH).decode("utf-8", "replace").strip("\n")
                channel.sendall(answer_to(question, remote))
            except OSError:
                continue


def answer_to(question: str, remote: GitRemote) -> bytes:
    """Return the answer to git's prompt; empty if the prompt is about another host."""
    match = _QUESTION.fullmatch(question)
    if match is None or remote.token is None:
        return b""
    url = urlsplit(remote.url)
    try:
        place = urlsplit(match[2])
        is_same = (place.scheme, place.hostname, place.port) == (url.scheme, url.hostname, url.port)
    except ValueError:
        is_same = False
    if not is_same:
        return b""
    answer = remote.user.encode() if match[1] == "Username" else remote.token.reveal_bytes()
    return answer + b"\n"
