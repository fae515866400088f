"""Steps that run as Jobs of a Kubernetes cluster.

A Job has the name of its run, so of several callers one succeeds in creating it, and the others
find it. The run's secrets are a separate object, which belongs to the Job and ends with it; the pod
does not begin before it is there. The time limit is set on the pod, not on the Job, so that the
output is kept.
"""

from __future__ import annotations

import base64
import json
from math import ceil
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.steps._git_host_answers import reads_answers
from moorage.adapters.steps._kubernetes_files import CONTAINER, file_in_log, writing_command
from moorage.adapters.steps._kubernetes_status import (
    CANNOT_START,
    NOTE,
    condition_of,
    has_exceeded_limit,
    note_of,
    status_of,
)
from moorage.adapters.steps._kubernetes_wire import Cluster, entries
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options
from moorage.domain.steps.log_times import nanoseconds_of
from moorage.domain.steps.runs import LogChunk, RunPhase
from moorage.domain.steps.step import ConnectorType
from moorage.domain.values.field_checks import in_range
from moorage.errors import ConfigurationError, ConnectionFailed, InvalidData, VendorRejected
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moorage.domain.steps.runs import LogStream, RunSpec, RunStatus
    from moorage.domain.steps.step import Step

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CLUSTER_URL: Final = "https://kubernetes.default.svc"
_USER: Final = 65534
_FILE: Final = "file-{}"
"""The names of files in a Secret, which no name of a step's secret can be."""
_LARGEST_SECRET: Final = 1024 * 1024
_SECRETS: Final = "/run/secrets/moorage"
_WORKSPACE: Final = "/workspace"
_MISSING_STATUSES: Final = frozenset({404})
_NO_LOG: Final = frozenset({400, 404})
_CONFLICT: Final = 409
_PART: Final = 4 * 1024 * 1024
_PAUSE: Final = 0.2
_LONGEST_LOOK: Final = 5.0
_SCHEDULING_SECONDS: Final = 120
"""Seconds for finding a node and an image, which the Job has beyond the time limit of its pod."""

_NEEDED_PERMISSIONS: Final = (
    *(("batch", "jobs", "", verb) for verb in ("create", "get", "list", "patch", "delete")),
    *(("", "pods", "", verb) for verb in ("list", "patch")),
    *(("", "pods", "log", verb) for verb in ("get",)),
    *(("", "secrets", "", verb) for verb in ("create",)),
)


@checked_options
@attrs.frozen(kw_only=True)
class KubernetesSettings:
    """Steps that run as Jobs of a Kubernetes cluster.

    Attributes:
        server: the URL of the API; by default the API of the cluster in which this program runs.
        namespace: the namespace of the Jobs.
        scope: a name for the Jobs of this program; other Jobs are left alone.
        ca_file: the certificates that the API's certificate must come from.
        token_file: the file of a service account's token; it is read anew for each request.
        certificate_file: a file with the client's certificate and its key, instead of a token.
        service_account: the account of the steps; they get no token for it.
        user: the number of the user that the steps run as, which is not 0.
        writable_root: whether steps may write outside of their working directory.
        pull_secrets: the names of the secrets with which images are pulled.
        claims: paths in the container, by the names of the volume claims that are mounted there.
        files_image: the image of a second container, which writes the files that a step leaves to
            its log; it needs `sh`, `wc` and `base64`. By default steps leave no files.
        keep: seconds for which the cluster keeps a Job that has ended.
    """

    server: str = _CLUSTER_URL
    namespace: str = "default"
    scope: str = "default"
    ca_file: str | None = str(_ACCOUNT / "ca.crt")
    token_file: str | None = str(_ACCOUNT / "token")
    certificate_file: str | None = None
    service_account: str | None = None
    user: int = attrs.field(default=_USER, validator=in_range(1, 2**32 - 1))
    writable_root: bool = False
    pull_secrets: tuple[str, ...] = ()
    claims: Mapping[str, str] = attrs.field(factory=dict[str, str])
    files_image: str | None = None
    keep: int = attrs.field(default=86_400, validator=in_range(60, 2**31 - 1))


@with_careful_constructor
@reads_answers("The Kubernetes API")
class KubernetesPlatform:
    """Runs steps as Kubernetes Jobs, each with one Pod that is never restarted.

    The API's certificate is always checked. The cluster keeps both outputs of a container as one,
    which is read as standard output. Files that a step leaves are collected after a success, if
    the settings name an image for that.

    Args:
        settings: the cluster, and the permissions of the steps there.

    Raises:
        ConfigurationError: the server is not a URL with https, or a certificate cannot be read.
    """

    type = ConnectorType.KUBERNETES

    def __init__(self, settings: KubernetesSettings | None = None) -> None:
        self._settings = platform_settings = settings or KubernetesSettings()
        token = (
            None if platform_settings.certificate_file is not None else platform_settings.token_file
        )
        self._cluster = Cluster(
            platform_settings.server,
            platform_settings.ca_file,
            token,
            platform_settings.certificate_file,
        )
        self._jobs = f"/apis/batch/v1/namespaces/{platform_settings.namespace}/jobs"
        self._core = f"/api/v1/namespaces/{platform_settings.namespace}"

    def validate(self, step: Step, /) -> None:
        """Refuse a step that a Job cannot run.

        Raises:
            InvalidData: the step names no image, limits its processes, or leaves files that no
                container reads.
        """
        problem = None
        if step.image is None:
            problem = ("image", "names no image for its pod", "Name an image.")
        elif step.workspace.takes_files and self._settings.files_image is None:
            remedy = "Set `files_image`, or let the step upload its files to a signed URL."
            problem = ("workspace", "has output files, but `files_image` is not set", remedy)
        elif step.resources.processes is not None:
            remedy = "Leave the limit out, and set it in the cluster."
            problem = (
                "resources.processes",
                "limits its processes, but Kubernetes cannot limit them",
                remedy,
            )
        if problem is not None:
            field, text, remedy = problem
            raise InvalidData(f"The step {step.name!r} {text}.", field=field, remedy=remedy)

    def check_access(self, timeout: float) -> None:
        """Check that the account has all permissions that steps need.

        Raises:
            ConfigurationError: the account lacks a right, which the message names.
        """
        for group, resource, part, verb in _NEEDED_PERMISSIONS:
            attributes = {
                "namespace": self._settings.namespace,
                "group": group,
                "resource": resource,
            }
            body = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {**attributes, "subresource": part, "verb": verb}},
            }
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            _, content = self._cluster.ask("POST", path, timeout, body=body)
            if not json.loads(content)["status"]["allowed"]:
                resource_path = f"{resource}/{part}" if part else resource
                raise ConfigurationError(
                    f"The service account may not {verb} {resource_path} in"
                    f" {self._settings.namespace!r}.",
                    path="namespace",
                    remedy="Bind a role with this permission to the service account.",
                )

    def manifest(self, spec: RunSpec) -> dict[str, Any]:
        """Return the description of a run's Job as it is sent to the API, without any secret."""
        self.validate(spec.step)
        step, settings = spec.step, self._settings
        limits: dict[str, str] = {}
        if step.resources.cpus is not None:
            limits["cpu"] = f"{ceil(step.resources.cpus * 1000)}m"
        if step.resources.memory is not None:
            limits["memory"] = str(step.resources.memory)
        variables = {**step.environment, **{f"{n}_FILE": f"{_SECRETS}/{n}" for n in spec.secrets}}
        volumes: list[dict[str, Any]] = [{"name": "workspace", "emptyDir": {}}]
        mounts: list[dict[str, Any]] = [{"name": "workspace", "mountPath": _WORKSPACE}]
        if spec.secrets:
            items = [{"key": name, "path": name} for name in spec.secrets]
            secret = {"secretName": spec.name, "items": items}
            volumes.append({"name": "secrets", "secret": secret})
            mounts.append({"name": "secrets", "mountPath": _SECRETS, "readOnly": True})
        if spec.files:
            volumes.append({"name": "files", "secret": {"secretName": spec.name}})
        for number, path in enumerate(spec.files):
            mounts.append(
                {
                    "name": "files",
                    "mountPath": f"{_WORKSPACE}/{path}",
                    "subPath": _FILE.format(number),
                    "readOnly": True,
                }
            )
        for number, (claim, path) in enumerate(settings.claims.items()):
            volume = {"claimName": claim}
            volumes.append({"name": f"claim-{number}", "persistentVolumeClaim": volume})
            mounts.append({"name": f"claim-{number}", "mountPath": path})
        container = {
            "name": "step",
            "image": step.image,
            "command": _literal(step.command),
            "env": [
                {"name": name, "value": value}
                for name, value in zip(variables, _literal(variables.values()), strict=True)
            ],
            "workingDir": _WORKSPACE,
            "volumeMounts": mounts,
            "resources": {"limits": limits},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": not settings.writable_root,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        pod: dict[str, Any] = {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": max(1, ceil(step.timeout)),
            "terminationGracePeriodSeconds": ceil(step.grace),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # Otherwise the program would be process 1, which ignores signals that it does not
            # handle.
            "shareProcessNamespace": True,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": settings.user,
                "fsGroup": settings.user,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "imagePullSecrets": [{"name": name} for name in settings.pull_secrets],
            "volumes": volumes,
            "containers": [container],
        }
        paths = _left_paths(step)
        if paths:
            reader = {
                **container,
                "name": CONTAINER,
                "image": settings.files_image,
                "command": _literal(writing_command(paths)),
                "env": [],
                "volumeMounts": [
                    {**mount, "readOnly": True}
                    for mount in mounts
                    if mount["name"] in {"workspace", "files"}
                ],
            }
            pod.update(initContainers=[container], containers=[reader])
        if settings.service_account is not None:
            pod["serviceAccountName"] = settings.service_account
        labels = {"moorage.scope": settings.scope}
        note = {
            "step": step.name,
            "fingerprint": step.fingerprint,
            "labels": dict(spec.labels),
            **({"files": paths} if paths else {}),
        }
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": spec.name,
                "labels": labels,
                "annotations": {NOTE: json.dumps(note)},
            },
            "spec": {
                "completions": 1,
                "parallelism": 1,
                "backoffLimit": 0,
                "activeDeadlineSeconds": ceil(step.timeout + step.grace) + _SCHEDULING_SECONDS,
                "ttlSecondsAfterFinished": settings.keep,
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find an existing run with its name.

        The call waits for some seconds, so that an image that cannot be pulled is reported as an
        error.

        Raises:
            InvalidData: a Job cannot run the step.
            AuthenticationFailed: the account lacks a right.
            VendorRejected: the cluster refuses the Job, or has no such image.
            ConnectionFailed: the cluster cannot be reached.
        """
        deadline = monotonic() + min(timeout / 2, _LONGEST_LOOK)
        data = _secret_data(spec)
        body, conflict = self.manifest(spec), frozenset({_CONFLICT})
        code, content = self._cluster.ask("POST", self._jobs, timeout, body=body, allowed=conflict)
        is_new = code != _CONFLICT
        if not is_new:
            code, content = self._cluster.ask(
                "GET", f"{self._jobs}/{spec.name}", timeout, allowed=_MISSING_STATUSES
            )
        job = json.loads(content)
        if data and code not in _MISSING_STATUSES and not condition_of(job):
            # The process that created the Job may have died before this step.
            secret = self._secret(spec.name, data, job["metadata"]["uid"])
            path = f"{self._core}/secrets"
            self._cluster.ask("POST", path, timeout, body=secret, allowed=conflict)
        while True:
            status = self.status(spec.name, timeout)
            if status is None:
                raise ConnectionFailed(f"The Job {spec.name} was removed while it started.")
            if is_new and "problem" in status.metadata and status.exit_code == CANNOT_START:
                self._delete(spec.name, timeout)
                raise VendorRejected(
                    f"The image of the step is not available: {status.metadata['problem']}",
                    remedy="Check the name of the image, and the secrets with which it is pulled.",
                )
            if status.phase is not RunPhase.STARTING or monotonic() >= deadline:
                return status
            sleep(_PAUSE)

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; None if no run has this name."""
        path = f"{self._jobs}/{name}"
        code, content = self._cluster.ask("GET", path, timeout, allowed=_MISSING_STATUSES)
        if code in _MISSING_STATUSES:
            return None
        return status_of(json.loads(content), self._pod(name, timeout))

    def logs(self, name: str, stream: LogStream, position: str, timeout: float, /) -> LogChunk:
        """Return the output of a run after `position`.

        A position is the time of the last entry, and the number of entries then.
        """
        status = self.status(name, timeout)
        pod = self._pod(name, timeout)
        is_over = status is None or status.is_over
        if pod is None or stream == "stderr":
            return LogChunk(b"", position, is_over)
        since, _, number = position.partition("#")
        first = nanoseconds_of(since) if since else 0
        skipped = count = int(number or 0)
        query = {"container": "step", "timestamps": "true"}
        if since:
            query["sinceTime"] = since
        path = f"{self._core}/pods/{pod['metadata']['name']}/log"
        code, content = self._cluster.ask(
            "GET", path, timeout, query=query, allowed=_NO_LOG, cuts_answer=True
        )
        if code in _NO_LOG:
            # The container has not started, or never will.
            return LogChunk(b"", position, is_over)
        parts: list[bytes] = []
        size = 0
        for entry in entries(content, is_complete=is_over):
            # The cluster returns log lines from the whole second of this time on.
            if nanoseconds_of(entry.time) < first:
                continue
            if entry.time == since and skipped:
                skipped -= 1
                continue
            if size >= _PART:
                return LogChunk(b"".join(parts), f"{since}#{count}", is_last=False)
            count = count + 1 if entry.time == since else 1
            since, skipped = entry.time, 0
            parts.append(entry.data)
            size += len(entry.data)
        return LogChunk(b"".join(parts), f"{since}#{count}" if since else "", is_over)

    def stop(self, name: str, grace: float, timeout: float, /) -> None:  # noqa: ARG002 - a pod has its own
        """Ask a run to end; it is killed after its step's grace period.

        Nothing happens if its time limit has passed, because it is ending already.
        """
        code, content = self._cluster.ask(
            "GET", f"{self._jobs}/{name}", timeout, allowed=_MISSING_STATUSES
        )
        if code in _MISSING_STATUSES:
            return
        current, pod = json.loads(content), self._pod(name, timeout)
        if has_exceeded_limit(current, pod) or status_of(current, pod).is_over:
            return
        notes = {"metadata": {"annotations": {"moorage.stopped": "true"}}}
        end = {"spec": {"activeDeadlineSeconds": 1}}
        has_begun = pod is not None and "startTime" in pod["status"]
        job = notes if has_begun else {**notes, **end}
        self._cluster.ask(
            "PATCH", f"{self._jobs}/{name}", timeout, body=job, allowed=_MISSING_STATUSES
        )
        if pod is not None and has_begun:
            path = f"{self._core}/pods/{pod['metadata']['name']}"
            self._cluster.ask("PATCH", path, timeout, body=end, allowed=_MISSING_STATUSES)

    def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs of this scope, by name."""
        query = {"labelSelector": f"moorage.scope={self._settings.scope}"}
        _, content = self._cluster.ask("GET", self._jobs, timeout, query=query)
        _, other_pods = self._cluster.ask("GET", f"{self._core}/pods", timeout, query=query)
        pods = {
            pod["metadata"]["labels"].get("job-name"): pod
            for pod in json.loads(other_pods)["items"]
        }
        jobs = sorted(json.loads(content)["items"], key=lambda job: job["metadata"]["name"])
        return [status_of(job, pods.get(job["metadata"]["name"])) for job in jobs]

    def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a regular file that a successful step left; None if it does not exist.

        Raises:
            VendorFailed: the files did not arrive completely.
        """
        code, content = self._cluster.ask(
            "GET", f"{self._jobs}/{name}", timeout, allowed=_MISSING_STATUSES
        )
        paths: list[str] = (
            [] if code in _MISSING_STATUSES else note_of(json.loads(content)).get("files", [])
        )
        pod = self._pod(name, timeout)
        if path not in paths or pod is None:
            return None
        place = f"{self._core}/pods/{pod['metadata']['name']}/log"
        query = {"container": CONTAINER}
        code, log = self._cluster.ask("GET", place, timeout, query=query, allowed=_NO_LOG)
        file = None if code in _NO_LOG else file_in_log(log, paths.index(path))
        return None if file is None or len(file) > limit else file

    def remove(self, name: str, timeout: float, /) -> None:
        """Remove a finished run, with its output."""
        status = self.status(name, timeout)
        if status is not None and status.is_over:
            self._delete(name, timeout)

    def close(self) -> None:
        """Do nothing, because no connection stays open; the runs continue."""

    def _delete(self, name: str, timeout: float) -> None:
        query = {"propagationPolicy": "Background"}
        path = f"{self._jobs}/{name}"
        self._cluster.ask("DELETE", path, timeout, query=query, allowed=_MISSING_STATUSES)

    def _pod(self, name: str, timeout: float) -> dict[str, Any] | None:
        query = {"labelSelector": f"job-name={name}"}
        _, content = self._cluster.ask("GET", f"{self._core}/pods", timeout, query=query)
        pods: list[dict[str, Any]] = json.loads(content)["items"]
        return min(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)

    def _secret(self, name: str, data: dict[str, str], owner: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "labels": {"moorage.scope": self._settings.scope},
                "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": owner}
                ],
            },
            "data": data,
        }


def _secret_data(spec: RunSpec) -> dict[str, str]:
    """Return the data of a run's Secret object: the step's secrets and files."""
    contents = {name: secret.reveal_bytes() for name, secret in spec.secrets.items()}
    for number, content in enumerate(spec.files.values()):
        contents[_FILE.format(number)] = content
    if sum(map(len, contents.values())) > _LARGEST_SECRET:
        raise InvalidData(
            f"The files of the step {spec.step.name!r} have more than {_LARGEST_SECRET:,} bytes,"
            " the maximum size of a Kubernetes Secret.",
            field="workspace",
            remedy="Mount a volume with `claims`, or let the step download them from a signed URL.",
        )
    return {name: base64.b64encode(content).decode() for name, content in contents.items()}


def _literal(texts: Iterable[str]) -> list[str]:
    """Escape $ in strings, because Kubernetes replaces $(NAME) and $$."""
    return [text.replace("$", "$$") for text in texts]


def _left_paths(step: Step) -> list[str]:
    return list(dict.fromkeys([*step.workspace.collect, *step.workspace.outputs]))


KUBERNETES: Final = PlatformKind(
    name="kubernetes", settings=KubernetesSettings, build=KubernetesPlatform
)
"""The kind of platforms that run steps as Jobs of a Kubernetes cluster."""
