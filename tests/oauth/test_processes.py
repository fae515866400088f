"""Four processes that share one single-use refresh token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import OAuthCredentials
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import SqliteCredentialProvider
from tests.support import authorization_faults as faults
from tests.support.authorization_server import AuthorizationServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROCESSES = 4
_CALLERS = 20
_PATIENT = 60.0
"""Request timeout in seconds for tests in which no process is killed."""


class ProcessScene:
    """A server, a store with an expired token, and child processes that need the token.

    If the refresh token is configured, the store is empty, and each process knows the token.
    """

    def __init__(
        self,
        folder: Path,
        server: AuthorizationServer,
        stack: ExitStack,
        *,
        is_configured: bool = False,
    ) -> None:
        self.server = server
        self._folder = folder
        self._stack = stack
        self._keys = generate_keys()
        self._vault = SqliteCredentialProvider(folder / "tokens.db", AesGcmCipher(self._keys))
        access, refresh = server.seed()
        self._configured_token = refresh if is_configured else None
        if not is_configured:
            self._vault.rotate(
                "crm",
                None,
                OAuthCredentials(
                    access_token=access,
                    refresh_token=refresh,
                    expires_at=datetime.now(UTC) - timedelta(hours=1),
                ),
            )
        server.expire_access_tokens()

    def process(
        self,
        *,
        is_async: bool = False,
        dies: str = "",
        callers: int = _CALLERS,
        request_timeout: float = 2.0,
    ) -> Any:
        """Start a child process that is ready to call."""
        process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tests.oauth.caller"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={name: value for name, value in os.environ.items() if "COV" not in name},
            )
        )
        self._stack.callback(process.kill)
        job = {
            "token_url": self.server.token_url,
            "refresh_token": self._configured_token,
            "url": self.server.url,
            "folder": str(self._folder),
            "keys": self._keys.text().reveal(),
            "async": is_async,
            "dies": dies,
            "callers": callers,
            "request_timeout": request_timeout,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        return process


@pytest.fixture(name="scene")
def _process_scene(tmp_path: Path) -> Iterator[ProcessScene]:
    with AuthorizationServer() as server, ExitStack() as stack:
        yield ProcessScene(tmp_path, server, stack)


def start_calls(process: Any) -> None:
    """Tell a child process to start its calls."""
    process.stdin.write("\n")
    process.stdin.flush()


def count_results(processes: list[Any]) -> Counter[str]:
    """Return the number of calls with each result in these child processes."""
    total: Counter[str] = Counter()
    for process in processes:
        total.update(json.loads(process.stdout.readline()))
    return total


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
def test_one_refresh_serves_all(scene: ProcessScene, is_async: bool) -> None:
    """Eighty callers in four processes that share an expired token cause one token refresh."""
    processes = [
        scene.process(is_async=is_async, request_timeout=_PATIENT) for _ in range(_PROCESSES)
    ]
    for process in processes:
        start_calls(process)

    assert Counter({"200": _PROCESSES * _CALLERS}) == count_results(processes)
    assert (1, 1, 0) == (
        len(scene.server.requests),
        scene.server.rotations,
        scene.server.reused_token_count,
    )
    assert _PROCESSES * _CALLERS == scene.server.accepted


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_renewing_process_is_replaced_by_another(scene: ProcessScene, when: str) -> None:
    """If a process is killed before its token request or after storing, another gets a token."""
    victim = scene.process(dies=when, callers=1)
    processes = [scene.process() for _ in range(_PROCESSES)]
    start_calls(victim)
    assert f"{when}\n" == victim.stdout.readline()
    for process in processes:
        start_calls(process)

    assert Counter({"200": _PROCESSES * _CALLERS}) == count_results(processes)
    assert (1, 0) == (scene.server.rotations, scene.server.reused_token_count)


def test_refresh_is_repeated_once_if_the_process_dies_before_storing_it(tmp_path: Path) -> None:
    """If a process dies before it stores a renewed token, one other process repeats the request."""
    with AuthorizationServer(grace=1) as server, ExitStack() as stack:
        scene = ProcessScene(tmp_path, server, stack)
        victim = scene.process(dies="between", callers=1)
        processes = [scene.process() for _ in range(_PROCESSES)]
        start_calls(victim)
        assert "between\n" == victim.stdout.readline()
        for process in processes:
            start_calls(process)

        assert Counter({"200": _PROCESSES * _CALLERS}) == count_results(processes)
        assert 2 == len(server.requests)


def test_server_that_allows_no_replay_ends_the_grant(scene: ProcessScene) -> None:
    """If the server treats a repeated refresh token as theft, every caller must authorise again."""
    victim = scene.process(dies="between", callers=1)
    processes = [scene.process() for _ in range(_PROCESSES)]
    start_calls(victim)
    assert "between\n" == victim.stdout.readline()
    for process in processes:
        start_calls(process)

    result = count_results(processes)
    assert Counter({"AuthorizationRequired": _PROCESSES * _CALLERS}) == result
    assert 2 == len(scene.server.requests)


def test_lost_rotation_is_repeated_once(scene: ProcessScene) -> None:
    """If the response to a token refresh is lost, the refresh token is sent exactly once more."""
    scene.server.order(faults.lost_answer())
    processes = [scene.process(request_timeout=_PATIENT) for _ in range(_PROCESSES)]
    for process in processes:
        start_calls(process)

    result = count_results(processes)
    assert Counter({"AuthorizationRequired": _PROCESSES * _CALLERS}) == result
    assert 2 == len(scene.server.requests)


def test_grant_survives_server_errors(scene: ProcessScene) -> None:
    """If the token endpoint answers 503 or 429, one process retries, and all calls succeed."""
    scene.server.order(faults.failing_answer(503), faults.failing_answer(429, retry_after=1))
    processes = [scene.process(request_timeout=_PATIENT) for _ in range(_PROCESSES)]
    for process in processes:
        start_calls(process)

    assert Counter({"200": _PROCESSES * _CALLERS}) == count_results(processes)
    assert (3, 1, 0) == (
        len(scene.server.requests),
        scene.server.rotations,
        scene.server.reused_token_count,
    )


def test_dead_holder_of_a_lasting_token_is_followed_before_its_request_must_end(
    tmp_path: Path,
) -> None:
    """A killed process that renews a non-rotating token is replaced when its lease ends.

    Its request might take two minutes, and the others wait for no more than thirty seconds.
    """
    with AuthorizationServer(rotating=False) as server, ExitStack() as stack:
        scene = ProcessScene(tmp_path, server, stack)
        victim = scene.process(dies="second", callers=1, request_timeout=120.0)
        processes = [scene.process(request_timeout=120.0) for _ in range(_PROCESSES)]
        start_calls(victim)
        assert "renewed\n" == victim.stdout.readline()
        server.expire_access_tokens()
        start_calls(victim)
        assert "second\n" == victim.stdout.readline()
        server.expire_access_tokens()
        for process in processes:
            start_calls(process)

        assert Counter({"200": _PROCESSES * _CALLERS}) == count_results(processes)
        assert (3, 0) == (len(server.requests), server.rotations)


def test_configured_refresh_token_may_be_replaced(tmp_path: Path) -> None:
    """Processes started one after another send the newest refresh token, each token once."""
    with AuthorizationServer() as server, ExitStack() as stack:
        scene = ProcessScene(tmp_path, server, stack, is_configured=True)
        for renewals in (1, 2, 3):
            processes = [scene.process(request_timeout=_PATIENT) for _ in range(2)]
            for process in processes:
                start_calls(process)

            assert Counter({"200": 2 * _CALLERS}) == count_results(processes)
            assert (renewals, 0) == (server.rotations, server.reused_token_count)
            server.expire_access_tokens()


def test_dead_holder_of_a_replaced_refresh_token_costs_one_replay(tmp_path: Path) -> None:
    """If a process dies before storing a second replacement, one other process repeats it."""
    with AuthorizationServer(grace=1) as server, ExitStack() as stack:
        scene = ProcessScene(tmp_path, server, stack, is_configured=True)
        victim = scene.process(dies="second", callers=1)
        processes = [scene.process() for _ in range(_PROCESSES)]
        start_calls(victim)
        assert "renewed\n" == victim.stdout.readline()
        server.expire_access_tokens()
        start_calls(victim)
        assert "second\n" == victim.stdout.readline()
        server.expire_access_tokens()
        for process in processes:
            start_calls(process)

        assert Counter({"200": _PROCESSES * _CALLERS}) == count_results(processes)
        assert 3 == len(server.requests)
