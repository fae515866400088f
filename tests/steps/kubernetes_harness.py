"""A strict fake of the Kubernetes API, whose pods behave as a test says.

It speaks HTTP over TLS, demands a token, and refuses each field of a Job, a Secret or an access
review that the API does not have, or that has another type there.
"""

from __future__ import annotations

import json
import re
import ssl
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from moorage.adapters.steps.kubernetes import KubernetesPlatform, KubernetesSettings
from moorage.testing.fakes.http_tls import certificate_files

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

TOKEN = "a-token-of-an-account"
_BEGUN = "2030-01-02T03:04:05Z"
_ENDED = "2030-01-02T03:04:09Z"
_NAMES: dict[str, Any] = {"*": str}
_META = {
    "name": str,
    "labels": _NAMES,
    "annotations": _NAMES,
    "ownerReferences": [{"apiVersion": str, "kind": str, "name": str, "uid": str}],
}
_CONTAINER = {
    "name": str,
    "image": str,
    "command": [str],
    "env": [{"name": str, "value": str}],
    "workingDir": str,
    "volumeMounts": [{"name": str, "mountPath": str, "subPath": str, "readOnly": bool}],
    "resources": {"limits": _NAMES},
    "securityContext": {
        "allowPrivilegeEscalation": bool,
        "readOnlyRootFilesystem": bool,
        "capabilities": {"drop": [str]},
    },
}
_VOLUME = {
    "name": str,
    "emptyDir": {},
    "secret": {"secretName": str, "items": [{"key": str, "path": str}]},
    "persistentVolumeClaim": {"claimName": str},
}
_POD = {
    "restartPolicy": str,
    "activeDeadlineSeconds": int,
    "terminationGracePeriodSeconds": int,
    "automountServiceAccountToken": bool,
    "enableServiceLinks": bool,
    "shareProcessNamespace": bool,
    "serviceAccountName": str,
    "securityContext": {
        "runAsNonRoot": bool,
        "runAsUser": int,
        "fsGroup": int,
        "seccompProfile": {"type": str},
    },
    "imagePullSecrets": [{"name": str}],
    "volumes": [_VOLUME],
    "initContainers": [_CONTAINER],
    "containers": [_CONTAINER],
}
_SHAPES: dict[str, Any] = {
    "Job": {
        "apiVersion": str,
        "kind": str,
        "metadata": _META,
        "spec": {
            "completions": int,
            "parallelism": int,
            "backoffLimit": int,
            "activeDeadlineSeconds": int,
            "ttlSecondsAfterFinished": int,
            "template": {"metadata": _META, "spec": _POD},
        },
    },
    "Secret": {"apiVersion": str, "kind": str, "metadata": _META, "data": _NAMES},
    "SelfSubjectAccessReview": {
        "apiVersion": str,
        "kind": str,
        "spec": {"resourceAttributes": _NAMES},
    },
}


def unknown_fields(value: Any, shape: Any, path: str = "") -> list[str]:
    """Return the paths of fields that the API does not have, or that have a wrong type."""
    if isinstance(shape, type):
        return [] if type(value) is shape else [path]
    if isinstance(shape, list):
        return [p for item in value for p in unknown_fields(item, shape[0], f"{path}[]")]
    paths: list[str] = []
    for name, item in value.items():
        inner = shape.get(name, shape.get("*"))
        paths += (
            [f"{path}.{name}"] if inner is None else unknown_fields(item, inner, f"{path}.{name}")
        )
    return paths


def expand_variables(text: str) -> str:
    """Return a text in which variables are expanded as Kubernetes does it for a container.

    `$$` becomes `$`, and a reference to a variable its value, for which `?` stands here.
    """
    return re.sub(r"\$(?:\$|\([^)]*\))", lambda match: "$" if match.group() == "$$" else "?", text)


class FakeCluster:
    """The objects of a fake cluster, and the states through which its pods go.

    Attributes:
        pods: the status of the pod of each Job, by its name; None if there is no pod.
        logs: the log of the step in each Job's pod.
        files: the log of the container that reads the files, likewise.
        failures: answers that the next requests get instead: status, headers, body.
        denied: the resource that the account may not use.
        requests: all requests: method, path with query, body.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any] | None] = {}
        self.logs: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.failures: list[tuple[int, dict[str, str], bytes]] = []
        self.denied = ""
        self.requests: list[tuple[str, str, Any]] = []
        self.lock = Lock()

    def answer(  # noqa: C901 - one branch a request
        self, method: str, target: str, body: Any
    ) -> tuple[int, Any]:
        """Return the status and body of the response to a request."""
        self.requests.append((method, target, body))
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        kind, _, name = url.path.split("/namespaces/default/")[-1].partition("/")
        if method == "POST":
            mistakes = unknown_fields(body, _SHAPES[body["kind"]])
            if mistakes:
                return 400, {"message": f"unknown or mistyped: {mistakes}"}
        if url.path.endswith("selfsubjectaccessreviews"):
            attributes = body["spec"]["resourceAttributes"]
            return 201, {"status": {"allowed": attributes["resource"] != self.denied}}
        if kind == "pods":
            return self._pods(method, name, query, body)
        objects = self.jobs if kind == "jobs" else self.secrets
        if method == "POST":
            name = body["metadata"]["name"]
            if name in objects:
                return 409, {"message": "already exists", "reason": "AlreadyExists"}
            server = {"uid": f"uid-{name}", "creationTimestamp": _BEGUN, "namespace": "default"}
            objects[name] = {**body, "metadata": {**body["metadata"], **server}, "status": {}}
            if kind == "jobs":
                self.pods.setdefault(name, pod_state("Running", running={"startedAt": _BEGUN}))
            return 201, objects[name]
        if not name:
            return 200, {"items": list(objects.values())}
        if name not in objects:
            return 404, {"message": "not found"}
        if method == "DELETE":
            return 200, objects.pop(name)
        if method == "PATCH":
            objects[name]["metadata"]["annotations"].update(body["metadata"]["annotations"])
            objects[name]["spec"].update(body.get("spec", {}))
        return 200, objects[name]

    def _pods(self, method: str, name: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        name, _, part = name.partition("/")
        if part == "log":
            logs = self.files if query["container"] == "files" else self.logs
            log = logs.get(name.removeprefix("pod-"))
            return (400, {"message": "waiting to start"}) if log is None else (200, log)
        if method == "PATCH":
            return 200, body
        job_name = query["labelSelector"].removeprefix("job-name=")
        items = [
            {
                "metadata": {
                    "name": f"pod-{job}",
                    "creationTimestamp": _BEGUN,
                    "labels": {"job-name": job},
                },
                "spec": {"nodeName": "node-1"},
                "status": state,
            }
            for job, state in self.pods.items()
            if state is not None and (job_name == job or "scope" in job_name)
        ]
        return 200, {"items": items}


def pod_state(phase: str, reason: str | None = None, **state: Any) -> dict[str, Any]:
    """Return the status of a pod: its phase, its reason, and the state of its container."""
    status: dict[str, Any] = {"phase": phase, "startTime": _BEGUN}
    if reason is not None:
        status["reason"] = reason
    if state:
        status["containerStatuses"] = [{"state": state}]
    return status


def ended_pod(
    code: int, reason: str = "Completed", pod_reason: str | None = None
) -> dict[str, Any]:
    """Return the status of a pod whose container has ended."""
    terminated = {
        "exitCode": code,
        "reason": reason,
        "startedAt": _BEGUN,
        "finishedAt": _ENDED,
    }
    return pod_state("Failed" if code else "Succeeded", pod_reason, terminated=terminated)


def reading_pod(code: int, *, reason: str | None = None, **reader: Any) -> dict[str, Any]:
    """Return the status of a pod whose step has ended while a second container reads its files."""
    pod = ended_pod(code)
    return {
        **pod_state("Failed" if code else "Pending", reason),
        "initContainerStatuses": pod["containerStatuses"],
        "containerStatuses": [{"state": reader or {"waiting": {"reason": "PodInitializing"}}}],
    }


@contextmanager
def cluster(folder: Path) -> Generator[tuple[FakeCluster, KubernetesPlatform]]:
    """Yield a fake cluster and a platform that uses it."""
    certificate, key = certificate_files(folder)
    (folder / "token").write_text(f"{TOKEN}\n")
    fake = FakeCluster()

    class Handler(BaseHTTPRequestHandler):
        def handle_all(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else {}
            headers: dict[str, str] = {}
            content: Any
            with fake.lock:
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    code, content = 401, {"message": "Unauthorized"}
                elif fake.failures:
                    code, headers, content = fake.failures.pop(0)
                else:
                    code, content = fake.answer(self.command, self.path, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_all  # noqa: N815 - their names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield (
            fake,
            KubernetesPlatform(
                KubernetesSettings(
                    server=f"https://127.0.0.1:{server.server_address[1]}",
                    ca_file=str(certificate),
                    token_file=str(folder / "token"),
                    claims={"data": "/data"},
                    pull_secrets=("registry",),
                    service_account="steps",
                    files_image="busybox:1",
                )
            ),
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
