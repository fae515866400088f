"""Writes deployment files for pipeline workers: Kubernetes manifests and systemd units."""

from __future__ import annotations

import json
import math
import re
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.config.overlays import ENVIRONMENTS, for_environment
from moorage.config.problems import Report, key, path_below
from moorage.domain.pipelines.settings import PipelineConfig
from moorage.domain.state.keys import checked_name
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,48}[a-z0-9])?")
_IMAGE: Final = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")
_VARIABLE: Final = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}")
_SECRET: Final = re.compile(r"secret://([A-Za-z0-9_-]+)/([^\s}]+)")
_PLAIN_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_PLAIN: Final = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})
"""Words that YAML does not read as strings."""
_UNBLOCKABLE_CHARACTERS: Final = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""Characters that a YAML block cannot contain, or that end its lines."""
_DEFAULT_DRAIN: Final = PipelineConfig().drain
_MARGIN: Final = 5
"""Seconds between the end of a worker's drain and the kill."""

_USER: Final = 65532


@attrs.frozen(kw_only=True)
class WorkerDeployment:
    """The properties of a deployment of `moorage stream run`.

    Attributes:
        name: the name of the deployment, for Kubernetes objects and folders.
        file: the name of the configuration file.
        text: the content of the configuration file.
        pipelines: the names of the pipelines.
        drain: the seconds in which batches in progress may end when a worker stops.
        variables: the environment variables that must be set.
        optional_variables: the environment variables with a fallback in the configuration.
        secret_files: the files with secrets that the configuration refers to.
        file_store: the setting that keeps shared state in a SQLite file, such as state.url; None
            if no setting does.
        environment: the environment of the configuration to use, if any.
        port: the port of the worker's metrics and health pages.
    """

    name: str
    file: str
    text: str = attrs.field(repr=False)
    pipelines: tuple[str, ...]
    drain: float
    variables: tuple[str, ...]
    optional_variables: tuple[str, ...]
    secret_files: tuple[str, ...]
    file_store: str | None
    environment: str | None = None
    port: int = 9464

    @property
    def patience(self) -> int:
        """The number of seconds after which a worker that was asked to stop is killed."""
        return int(self.drain) + _MARGIN


def worker_deployment(
    name: str,
    tree: Mapping[str, Any],
    text: str,
    *,
    file: str,
    environment: str | None = None,
    port: int = 9464,
) -> WorkerDeployment:
    """Return a deployment's properties, from a configuration with unresolved secrets.

    Args:
        name: the name of the deployment.
        tree: the tables of the configuration, with unresolved references.
        text: the text of the file.
        file: the name of the file.
        environment: the environment of the configuration to use.
        port: the port of the worker's metrics and health pages.

    Raises:
        ConfigurationError: the name is invalid, or the configuration has no pipelines or no such
            environment.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"The name {name[:50]!r} is not valid.",
            path="name",
            remedy="Use up to 50 lowercase letters, digits and hyphens, such as shop-worker.",
        )
    environments = tree.get(ENVIRONMENTS)
    names = [*map(str, environments)] if is_object(environments) else []
    if environment is not None and environment not in names:
        raise ConfigurationError(
            f"There is no environment named {environment[:40]!r}.",
            path="--environment",
            remedy=f"Use one of: {', '.join(names) or 'none is configured'}.",
        )
    report = Report()
    tables = for_environment(dict(tree), environment, report, {})
    pipelines = tables.get("pipelines")
    if not is_object(pipelines) or not pipelines:
        raise ConfigurationError(
            "The configuration has no pipelines.",
            path="pipelines",
            remedy="Add a table [pipelines.NAME] with a source and a sink.",
        )
    for pipeline in pipelines:
        check = partial(checked_name, pipeline, "pipeline")
        report.make_or_report(check, path_below("pipelines", key(pipeline)), exact=True)
    report.raise_problems()
    references = _references(tables)
    return WorkerDeployment(
        name=name,
        file=file,
        text=text,
        pipelines=tuple(pipelines),
        drain=max(_drain(table) for table in pipelines.values()),
        variables=tuple(sorted(references.variables)),
        optional_variables=tuple(sorted(references.optional_variables - references.variables)),
        secret_files=tuple(sorted(references.secret_files)),
        file_store=_file_store(tables.get("state")),
        environment=environment,
        port=port,
    )


def kubernetes_manifest(deployment: WorkerDeployment, image: str) -> str:
    """Return a ConfigMap with the configuration, and a Deployment of its workers.

    Args:
        deployment: the properties of the deployment.
        image: the container image, in which moorage and your functions are installed.

    Raises:
        ConfigurationError: the image's name is invalid, or the state is in a file.
    """
    if _IMAGE.fullmatch(image) is None:
        raise ConfigurationError(
            f"{image[:80]!r} is not the name of an image.",
            path="--image",
            remedy="Pass a name such as registry.example/erp@sha256:… or registry.example/erp:1.4.",
        )
    name, secret = deployment.name, f"{deployment.name}-secrets"
    plain_name = _scalar(name)
    keys = [
        *((variable, "") for variable in deployment.variables),
        *((variable, ", optional: true") for variable in deployment.optional_variables),
    ]
    labels = f'{{app.kubernetes.io/name: "{name}", app.kubernetes.io/component: worker}}'
    if deployment.file_store is not None:
        raise ConfigurationError(
            "The store of state is a file, so each pod would have its own state.",
            path=deployment.file_store,
            remedy=f"Set {deployment.file_store} to a store in Redis, PostgreSQL, MariaDB or"
            " MySQL.",
        )
    variables = "".join(
        f"            - name: {_scalar(variable)}\n"
        "              valueFrom:"
        f" {{secretKeyRef: {{name: {secret}, key: {_scalar(variable)}{optional}}}}}\n"
        for variable, optional in keys
    )
    if deployment.environment is not None:
        variables += (
            "            - name: MOORAGE_ENVIRONMENT\n"
            f"              value: {json.dumps(deployment.environment)}\n"
        )
    return f"""\
# The workers of the pipelines {", ".join(deployment.pipelines)}.
{_secrets_hint(deployment, secret)}apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}-config
  labels: {labels}
data:
  {json.dumps(deployment.file)}: {_file_content(deployment.text)}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {plain_name}
  labels: {labels}
spec:
  # Workers share the partitions of a broker; more workers than partitions wait.
  replicas: 1
  selector:
    matchLabels: {labels}
  template:
    metadata:
      labels: {labels}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "{deployment.port}"
        prometheus.io/path: /metrics
    spec:
      # The longest drain of the pipelines is {deployment.drain:g} s.
      terminationGracePeriodSeconds: {deployment.patience}
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext:
        runAsNonRoot: true
        runAsUser: {_USER}
        runAsGroup: {_USER}
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: worker
          image: {json.dumps(image)}
          command: ["moorage", "stream", "run", "--host", "0.0.0.0", "--port", "{deployment.port}"]
          env:
            - name: MOORAGE_CONFIG
              value: {json.dumps(f"/etc/moorage/{deployment.file}")}
{variables}          ports:
            - {{name: pages, containerPort: {deployment.port}}}
          # A stuck event loop is started anew; a broker that is away is not the worker's fault.
          livenessProbe:
            httpGet: {{path: /live, port: pages}}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: {{path: /ready, port: pages}}
            periodSeconds: 5
            timeoutSeconds: 5
          resources:
            requests: {{cpu: 100m, memory: 128Mi}}
            limits: {{memory: 512Mi}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          volumeMounts:
            - {{name: config, mountPath: /etc/moorage, readOnly: true}}
            - {{name: tmp, mountPath: /tmp}}
      volumes:
        - name: config
          configMap: {{name: {name}-config}}
        - name: tmp
          emptyDir: {{sizeLimit: 64Mi}}
"""


def _scalar(text: str) -> str:
    """Return a string as YAML, in quotes only if they are needed."""
    is_plain = _PLAIN_WORD.fullmatch(text) is not None and text.lower() not in _NOT_PLAIN
    return text if is_plain else _quoted(text)


def _quoted(text: str) -> str:
    return _UNBLOCKABLE_CHARACTERS.sub(
        lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False)
    )


def _file_content(text: str) -> str:
    """Return a file's text as a YAML block, or in quotes if a block cannot contain it."""
    if _UNBLOCKABLE_CHARACTERS.search(text.replace("\r\n", "\n")) is not None:
        return _quoted(text)
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return "\n".join(["|2", *(f"    {line}" if line else "" for line in lines)])


def systemd_unit(deployment: WorkerDeployment) -> str:
    """Return a systemd unit for workers whose configuration is in `/etc`."""
    name = deployment.name
    environment = (
        ""
        if deployment.environment is None
        else f"Environment={_quoted_word(f'MOORAGE_ENVIRONMENT={deployment.environment}')}\n"
    )
    return f"""\
# The workers of the pipelines {", ".join(deployment.pipelines)}.
# The configuration is /etc/{name}/{deployment.file}, and moorage is installed in /opt/{name}.
{_variables_hint(deployment)}[Unit]
Description=Pipelines of {name}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
DynamicUser=yes
StateDirectory={name}
WorkingDirectory=/var/lib/{name}
Environment=MOORAGE_CONFIG=/etc/{name}/{deployment.file}
{environment}EnvironmentFile=-/etc/{name}/secrets.env
ExecStart=/opt/{name}/bin/moorage stream run --port {deployment.port}
# Reads the configuration again; one with a mistake changes nothing.
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
KillSignal=SIGTERM
# The longest drain of the pipelines is {deployment.drain:g} s.
TimeoutStopSec={deployment.patience}
Restart=on-failure
RestartSec=2
# A configuration with a mistake does not mend itself.
RestartPreventExitStatus=2

NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def _secrets_hint(deployment: WorkerDeployment, secret: str) -> str:
    """Return the comment that lists the secrets required in the cluster."""
    lines: list[str] = []
    if deployment.variables:
        pairs = " ".join(f"--from-literal={name}=…" for name in deployment.variables)
        lines.append(f"# Its secrets: kubectl create secret generic {secret} {pairs}")
    if deployment.optional_variables:
        lines.append(f"# It may have these, too: {', '.join(deployment.optional_variables)}")
    lines += [f"# Mount this secret, too: {path}" for path in deployment.secret_files]
    return "".join(f"{line}\n" for line in lines)


def _variables_hint(deployment: WorkerDeployment) -> str:
    """Return the comment that lists the unit's environment variables."""
    path = f"/etc/{deployment.name}/secrets.env"
    lines: list[str] = []
    if deployment.variables:
        lines.append(f"# {path} sets {', '.join(deployment.variables)}; let only root read it.\n")
    if deployment.optional_variables:
        lines.append(f"# {path} may set {', '.join(deployment.optional_variables)}.\n")
    return "".join(lines)


def _quoted_word(text: str) -> str:
    """Return a string as one word of a systemd unit."""
    escaped_text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped_text}"'


def _file_store(state: Any) -> str | None:
    """Return the setting that keeps shared state in a SQLite file; None if there is none."""
    if not is_object(state):
        return None
    for name in ("url", "keys_url"):
        value = state.get(name)
        urls = value if is_list(value) else [value]
        if any(isinstance(url, str) and url.startswith("sqlite:") for url in urls):
            return f"state.{name}"
    return None


def _drain(table: Any) -> float:
    drain = table.get("drain") if is_object(table) else None
    if isinstance(drain, (int, float)) and math.isfinite(drain):
        return drain
    return _DEFAULT_DRAIN


class _References(NamedTuple):
    """The environment variables and the files that tables of a configuration refer to."""

    variables: set[str]
    optional_variables: set[str]
    secret_files: set[str]


def _references(tables: Mapping[str, Any]) -> _References:
    """Return the variables and files that a configuration refers to, also by its [secrets]."""
    configured_providers = tables.get("secrets")
    providers: dict[str, Any] = {"env": {"kind": "env"}, "file": {"kind": "file"}}
    if is_object(configured_providers):
        providers |= configured_providers
    references = _References(set(), set(), set())
    for text in _texts(tables):
        for variable, fallback in _VARIABLE.findall(text):
            (references.optional_variables if fallback else references.variables).add(variable)
        secret = _SECRET.search(text)
        provider = None if secret is None else providers.get(secret[1])
        if secret is None or not is_object(provider):
            continue
        if provider.get("kind") == "env":
            is_fallback = secret.start() > 0
            names = references.optional_variables if is_fallback else references.variables
            names.add(f"{provider.get('prefix', '')}{secret[2]}")
        elif provider.get("kind") == "file":
            path = PurePosixPath(str(provider.get("folder", "")), secret[2])
            references.secret_files.add(str(path))
    return references


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_object(value):
        for entry in value.values():
            yield from _texts(entry)
    elif is_list(value):
        for entry in value:
            yield from _texts(entry)
