"""Steps on a real Kubernetes cluster: `make test-kubernetes CLUSTER=settings.json`.

The file has an object with the arguments of `KubernetesSettings` and an `image`, which the nodes
have or can pull, with the programs of busybox. The role of the account is that of
`docs/how-to/steps-on-kubernetes.md`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import attrs
import pytest

from moorage import (
    ConnectionFailed,
    EndReason,
    KubernetesPlatform,
    KubernetesSettings,
    Resources,
    RunPhase,
    RunSpec,
    Step,
    VendorRejected,
)
from moorage.domain.steps.step import run_name
from moorage.testing import TcpProxy, name_of
from moorage.testing.kits import platform_conformance
from moorage.testing.kits.platform_conformance import PlatformLimit

_FILE: Final = Path(os.environ["MOORAGE_TEST_KUBERNETES"])
_SETTINGS: Final[dict[str, Any]] = json.loads(_FILE.read_text("utf-8"))
_IMAGE: Final[str] = _SETTINGS.pop("image")
_CLUSTER: Final = KubernetesSettings(**_SETTINGS)
_LIMITS: Final = frozenset(
    {PlatformLimit.ONE_OUTPUT, PlatformLimit.OTHER_VARIABLES, PlatformLimit.NO_CODE_AFTER_STOP}
)
_TIMEOUT: Final = 30.0
_PATIENCE: Final = 120.0

_STARTER: Final = """
import json, sys
from moorage import *
from moorage.adapters.state.sqlite import SqliteStorage
settings, image, state, key, script = json.loads(sys.argv[1])
manager = ConnectorManager([Service("steps")], state=SqliteStorage(state))
connector = StepConnector(KubernetesPlatform(KubernetesSettings(**settings)), manager)
step = Step("job", ["sh", "-c", script], image=image, timeout=120.0, grace=1.0)
result = connector.execute_step(step, idempotency_key=key)
print(json.dumps([result.exit_code, result.stdout, result.metadata["pod"]]))
"""
"""A program that runs one step with a shared store, and prints its result."""


def spec(script: str, **options: Any) -> RunSpec:
    """Return the specification of a new run of a shell script."""
    step = Step("real", ["sh", "-c", script], image=_IMAGE, **options)
    return RunSpec(name=f"real-{uuid4().hex[:12]}", step=step)


def wait_for_end(platform: KubernetesPlatform, name: str) -> Any:
    """Wait for the end of a run, and return its status."""
    deadline = monotonic() + _PATIENCE
    while monotonic() < deadline:
        status = platform.status(name, _TIMEOUT)
        if status is None or status.is_over:
            return status
        sleep(0.2)
    raise AssertionError(f"{name} has not ended within {_PATIENCE:g} seconds.")


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_real_cluster_passes_conformance_kit(check: platform_conformance.Check) -> None:
    """A real cluster passes the conformance kit."""
    check(
        platform_conformance.PlatformSubject(
            make=lambda: KubernetesPlatform(_CLUSTER), image=_IMAGE, limits=_LIMITS
        )
    )


def test_cut_connections_lose_no_line() -> None:
    """Numbered lines arrive once and in order, although connections are cut repeatedly."""
    server = urlsplit(_CLUSTER.server)
    assert server.hostname is not None
    with TcpProxy(server.hostname, server.port or 443) as proxy:
        address = f"https://{server.hostname}:{proxy.address[1]}"
        platform = KubernetesPlatform(attrs.evolve(_CLUSTER, server=address))
        run = spec("i=0; while [ $i -lt 10000 ]; do i=$((i+1)); echo line $i; done")
        platform.start(run, _TIMEOUT)
        wait_for_end(platform, run.name)
        data, position, is_last, cuts = b"", "", False, 0
        while not is_last:
            proxy.cut_after(cuts % 7)
            cuts += 1
            try:
                chunk = platform.logs(run.name, "stdout", position, _TIMEOUT)
            except ConnectionFailed:
                proxy.restore()
                chunk = platform.logs(run.name, "stdout", position, _TIMEOUT)
            data, position, is_last = data + chunk.data, chunk.position, chunk.is_last
    lines = data.decode().splitlines()
    assert [f"line {number}" for number in range(1, 10_001)] == lines


def start_worker(folder: Path, key: str, script: str) -> subprocess.Popen[str]:
    """Start a process that runs a step, and prints its result."""
    arguments = json.dumps([_SETTINGS, _IMAGE, f"{folder}/state.db", key, script])
    return subprocess.Popen(
        [sys.executable, "-c", _STARTER, arguments], stdout=subprocess.PIPE, text=True
    )


def test_same_key_leads_to_same_pod_and_its_real_result_after_kill_during_step(
    tmp_path: Path,
) -> None:
    """After kill -9 during a step, the same key leads to the same pod and its real result."""
    key = uuid4().hex
    script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; sleep 0.2; done; exit 7"
    platform = KubernetesPlatform(_CLUSTER)
    first = start_worker(tmp_path, key, script)
    name = run_name("steps", None, key)
    deadline = monotonic() + _PATIENCE
    while (before := platform.status(name, _TIMEOUT)) is None or before.phase is RunPhase.STARTING:
        assert monotonic() < deadline, "The step did not begin."
        sleep(0.1)
    first.kill()
    first.communicate()

    output, _ = start_worker(tmp_path, key, script).communicate(timeout=_PATIENCE)
    code, stdout, pod = json.loads(output)
    assert (7, before.metadata["pod"]) == (code, pod)
    assert [f"line {number}" for number in range(1, 41)] == stdout.splitlines()


def test_missing_image_is_refused() -> None:
    """An image that no registry has is refused soon, and leaves no Job behind."""
    platform = KubernetesPlatform(_CLUSTER)
    run = spec("true")
    run = attrs.evolve(run, step=attrs.evolve(run.step, image="localhost:1/missing:1"))
    with pytest.raises(VendorRejected, match="image"):
        platform.start(run, _TIMEOUT)
    assert platform.status(run.name, _TIMEOUT) is None


def test_result_of_step_that_exceeds_its_memory_limit_says_so() -> None:
    """The result of a step that exceeds its memory limit says so."""
    platform = KubernetesPlatform(_CLUSTER)
    run = spec("head -c 200000000 /dev/zero | tail -c 100000000 > /dev/null; exit $?")
    step = attrs.evolve(run.step, resources=Resources(memory=32 * 1024 * 1024))
    platform.start(attrs.evolve(run, step=step), _TIMEOUT)
    assert wait_for_end(platform, run.name).reason is EndReason.OUT_OF_MEMORY


def test_removed_job_is_unknown() -> None:
    """A run whose Job was deleted is no longer found."""
    platform = KubernetesPlatform(_CLUSTER)
    run = spec("sleep 600")
    platform.start(run, _TIMEOUT)
    platform._delete(run.name, _TIMEOUT)  # noqa: SLF001 - as somebody with another client
    assert wait_for_end(platform, run.name) is None


def test_account_has_all_permissions_that_the_platform_needs() -> None:
    """The account has all permissions that the platform needs."""
    KubernetesPlatform(_CLUSTER).check_access(_TIMEOUT)
