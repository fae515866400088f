"""Steps as Jobs of a real Kubernetes cluster that an environment variable names.

`MOORAGE_TEST_KUBERNETES` is a file with an object: the arguments of `KubernetesSettings`, and an
`image` that the nodes have or can pull, with the programs of busybox. Its account may do everything
in the namespace, and create volumes of the cluster.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorManager,
    EndReason,
    KubernetesPlatform,
    KubernetesSettings,
    OutcomeUnknown,
    Resources,
    RunPhase,
    RunSpec,
    Secret,
    Service,
    Step,
    StepConnector,
    StepOutcome,
    VendorRejected,
    Workspace,
)
from moorage.adapters.steps._kubernetes_wire import Cluster
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from moorage.domain.steps.runs import RunStatus

_VARIABLE: Final = "MOORAGE_TEST_KUBERNETES"
_ALLOWED: Final = frozenset({404, 409})

pytestmark = pytest.mark.skipif(
    _VARIABLE not in os.environ,
    reason=f"needs the settings of a Kubernetes in the file that {_VARIABLE} names; the docstring"
    " tells its form, and `kind create cluster` or `minikube start` makes a cluster",
)


def cluster_object() -> dict[str, Any]:
    """Return the description of the cluster from the settings file."""
    return dict(json.loads(Path(os.environ[_VARIABLE]).read_text("utf-8")))


def settings(**options: Any) -> KubernetesSettings:
    """Return the settings of the cluster."""
    arguments = {**cluster_object(), **options}
    del arguments["image"]
    return KubernetesSettings(**arguments)


def platform(**options: Any) -> KubernetesPlatform:
    """Return a platform of the cluster."""
    return KubernetesPlatform(settings(**options))


def administrator() -> Cluster:
    """Return a client with all permissions in the cluster."""
    chosen = settings()
    return Cluster(chosen.server, chosen.ca_file, chosen.token_file, chosen.certificate_file)


def apply(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create an object in the cluster, unless one with its name exists."""
    _, content = administrator().ask("POST", path, 30.0, body=body, allowed=_ALLOWED)
    created: dict[str, Any] = json.loads(content)
    return created


def spec(script: str, **options: Any) -> RunSpec:
    """Return the specification of a new run of a shell script."""
    values = options.pop("values", {})
    step = Step("check", ["sh", "-c", script], **{"image": cluster_object()["image"], **options})
    return RunSpec(name=f"cluster-{time_ns():x}", step=step, secrets=values)


def wait_for_end(platform: KubernetesPlatform, name: str) -> RunStatus:
    """Wait for a run to end, and return its status."""

    def status() -> RunStatus | None:
        run_status = platform.status(name, 30.0)
        return run_status if run_status is not None and run_status.is_over else None

    wait_until(status, f"The end of {name}")
    end = status()
    assert end is not None
    return end


def running_pod(platform: KubernetesPlatform, name: str) -> str:
    """Return the name of a run's pod, once the pod is running."""

    def pod() -> str | None:
        status = platform.status(name, 30.0)
        is_running = status is not None and status.phase is RunPhase.RUNNING
        return status.metadata["pod"] if status is not None and is_running else None

    wait_until(pod, f"The start of {name}")
    return str(pod())


def account(name: str, rules: list[dict[str, Any]], folder: Path) -> KubernetesPlatform:
    """Return a platform whose account has these permissions in the namespace."""
    namespace, group = f"/api/v1/namespaces/{settings().namespace}", "rbac.authorization.k8s.io"
    roles = f"/apis/{group}/v1/namespaces/{settings().namespace}"
    apply(f"{namespace}/serviceaccounts", {"metadata": {"name": name}})
    apply(f"{roles}/roles", {"metadata": {"name": name}, "rules": rules})
    apply(
        f"{roles}/rolebindings",
        {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [
                {"kind": "ServiceAccount", "name": name, "namespace": settings().namespace}
            ],
        },
    )
    token = apply(
        f"{namespace}/serviceaccounts/{name}/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    file = folder / "token"
    file.write_text(token["status"]["token"])
    return platform(token_file=str(file), service_account=name)


ROLE: list[dict[str, Any]] = [
    {
        "apiGroups": ["batch"],
        "resources": ["jobs"],
        "verbs": ["create", "get", "list", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
]
"""The role that the how-to tells its readers to bind."""


def test_documented_role_suffices(tmp_path: Path) -> None:
    """An account with the documented role can run a step with a secret and files."""
    runner = account(f"runner-{time_ns():x}", ROLE, tmp_path)
    runner.check_access(30.0)
    started = spec(
        'cat "$TOKEN_FILE" > out.txt; ls /var/run/secrets/kubernetes.io 2>&1; true',
        secrets={"TOKEN": "secret://env/T"},
        values={"TOKEN": Secret("tok-16180339")},
        workspace=Workspace(collect=("out.txt",)),
    )

    runner.start(started, 60.0)

    assert 0 == wait_for_end(runner, started.name).exit_code
    assert b"tok-16180339" == runner.collect(started.name, "out.txt", 100, 30.0)
    description = administrator().ask(
        "GET", f"/apis/batch/v1/namespaces/{settings().namespace}/jobs/{started.name}", 30.0
    )[1]
    assert b"tok-16180339" not in description
    assert started.name in {status.name for status in runner.runs(30.0)}
    runner.remove(started.name, 30.0)
    assert runner.status(started.name, 30.0) is None


@pytest.mark.parametrize("missing", range(len(ROLE)))
def test_missing_right_is_named(missing: int, tmp_path: Path) -> None:
    """If a permission is missing, `check_access` names it, and the cluster refuses the step."""
    rules = [rule for number, rule in enumerate(ROLE) if number != missing]
    runner = account(f"lacking-{missing}-{time_ns():x}", rules, tmp_path)

    with pytest.raises(ConfigurationError, match=ROLE[missing]["resources"][0]):
        runner.check_access(30.0)
    if missing == 0:
        with pytest.raises(AuthenticationFailed, match="jobs"):
            runner.start(spec("true"), 30.0)


def test_claims_outlive_their_steps(tmp_path: Path) -> None:
    """If steps share a volume claim, a step finds the files that an earlier step wrote."""
    name = f"data-{time_ns():x}"
    claim_fields = {"storageClassName": name, "accessModes": ["ReadWriteOnce"]}
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o011)
    apply(
        "/api/v1/persistentvolumes",
        {
            "metadata": {"name": name},
            "spec": {
                **claim_fields,
                "capacity": {"storage": "1Gi"},
                "hostPath": {"path": str(folder)},
            },
        },
    )
    apply(
        f"/api/v1/namespaces/{settings().namespace}/persistentvolumeclaims",
        {
            "metadata": {"name": name},
            "spec": {**claim_fields, "resources": {"requests": {"storage": "1Gi"}}},
        },
    )
    mounted = platform(claims={name: "/data"})
    writer, reader = spec("echo kept > /data/file"), spec("cat /data/file")
    for started in (writer, reader):
        mounted.start(started, 60.0)
        assert 0 == wait_for_end(mounted, started.name).exit_code

    assert b"kept\n" == mounted.logs(reader.name, "stdout", "", 30.0).data


def test_run_that_waits_for_a_node_can_be_stopped() -> None:
    """A run that waits for a node can be stopped, and then never begins."""
    waiting_spec = spec("true", resources=Resources(cpus=4000.0))
    status = platform().start(waiting_spec, 4.0)
    assert RunPhase.STARTING is status.phase

    platform().stop(waiting_spec.name, 1.0, 30.0)

    status = wait_for_end(platform(), waiting_spec.name)
    assert (EndReason.STOPPED, 137) == (status.reason, status.exit_code)


def evict(pod: str) -> None:
    """Evict a pod, as the cluster does when a node is drained."""
    body = {
        "apiVersion": "policy/v1beta1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": settings().namespace},
    }
    path = f"/api/v1/namespaces/{settings().namespace}/pods/{pod}/eviction"
    try:
        administrator().ask("POST", path, 30.0, body=body)
    except VendorRejected:  # Clusters since 1.25 support only the newer version.
        administrator().ask("POST", path, 30.0, body={**body, "apiVersion": "policy/v1"})


def delete_job(name: str) -> None:
    """Delete a Job and its pod, as an administrator would."""
    path = f"/apis/batch/v1/namespaces/{settings().namespace}/jobs/{name}"
    administrator().ask("DELETE", path, 30.0, query={"propagationPolicy": "Foreground"})


def steps_on(platform: KubernetesPlatform) -> StepConnector:
    """Return a connector for a platform."""
    return StepConnector(platform, ConnectorManager([Service("steps")]))


def test_deleted_job_is_no_success() -> None:
    """A running step whose Job is deleted is reported as killed or unknown."""
    shared_platform, name = platform(), f"deleted-{time_ns():x}"

    def delete(_: object) -> None:
        for status in shared_platform.runs(30.0):
            if status.step == name and not status.is_over:
                delete_job(status.name)

    script = ["sh", "-c", "echo begun; sleep 600"]
    step = Step(name, script, image=cluster_object()["image"], grace=1.0)
    result = None
    with suppress(OutcomeUnknown):
        result = steps_on(shared_platform).execute_step(step, log=delete)
    assert result is None or result.exit_code in {137, 143}


def test_evicted_pod_ends_its_run_with_failure_or_unknown_outcome() -> None:
    """An evicted pod ends its run with a failure or an unknown outcome, never as a success."""
    shared_platform = platform()
    evicted = spec("trap 'exit 9' TERM; sleep 600 & wait", grace=5.0)
    shared_platform.start(evicted, 60.0)

    evict(running_pod(shared_platform, evicted.name))

    status = wait_for_end(shared_platform, evicted.name)
    assert 0 != status.exit_code


def test_deadline_keeps_the_output() -> None:
    """The cluster ends a step at its time limit, and its output is still readable."""
    step = Step(
        "slow",
        ["sh", "-c", "echo begun; sleep 600"],
        image=cluster_object()["image"],
        timeout=10.0,
        grace=1.0,
    )

    result = steps_on(platform()).execute_step(step)

    assert (StepOutcome.DEADLINE, "begun\n") == (result.outcome, result.stdout)


def test_labels_select_the_pods_of_steps() -> None:
    """A network policy can select the pods of steps by their scope label."""
    scoped = platform(scope=f"scope-{time_ns():x}")
    started = spec("true")
    scoped.start(started, 60.0)
    wait_for_end(scoped, started.name)
    scope = attrs.asdict(scoped._settings)["scope"]  # noqa: SLF001 - given above

    apply(
        f"/apis/networking.k8s.io/v1/namespaces/{settings().namespace}/networkpolicies",
        {
            "metadata": {"name": scope},
            "spec": {
                "podSelector": {"matchLabels": {"moorage.scope": scope}},
                "policyTypes": ["Egress"],
            },
        },
    )

    query = {"labelSelector": f"moorage.scope={scope}"}
    pods = administrator().ask(
        "GET", f"/api/v1/namespaces/{settings().namespace}/pods", 30.0, query=query
    )[1]
    assert 1 == len(json.loads(pods)["items"])
