"""Steps that run as groups of Azure Container Instances.

A group has the name of its run. A repeated request to create the group changes nothing, so the name
always finds the first group.
"""

from __future__ import annotations

from base64 import b64encode
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage.adapters.secret_managers.azure_key_vault import AzureClient, AzureManagedIdentity
from moorage.adapters.steps._cloud_platform import CloudRuns
from moorage.adapters.steps._cloud_wire import NOT_FOUND, CloudApi
from moorage.adapters.steps._git_host_wire import in_seconds
from moorage.adapters.steps._whole_login import check_whole_login
from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.steps.cloud_runs import CloudRunNote, has_settled, part_of
from moorage.domain.steps.container_groups import END_TAG, SCOPE_TAG, group_run, log_rest
from moorage.domain.steps.runs import LogChunk
from moorage.domain.steps.shell_limits import limited_command, with_shell_limit
from moorage.domain.steps.step import ConnectorType
from moorage.domain.values.field_checks import is_filled
from moorage.errors import InvalidData, VendorFailed
from moorage.ports.platform import PlatformKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.secret_managers.azure_key_vault import AzureIdentity
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.steps.cloud_runs import CloudRun
    from moorage.domain.steps.runs import EndReason, LogStream, RunSpec
    from moorage.domain.steps.step import Step
    from moorage.ports.clock import Clock
    from moorage.ports.http import HttpClient
    from moorage.ports.secret_manager import NetworkAccess

_VERSION: Final = "2023-05-01"
_RESOURCE: Final = "https://management.azure.com"
_SECRETS: Final = "/run/secrets/moorage"
_CONTAINER: Final = "step"
_CPUS: Final = 1.0
_GIGABYTES: Final = 1.5
_CONFLICT: Final = frozenset({409})
_MISSING_STATUSES: Final = frozenset({404})
_NO_LOG: Final = frozenset({400, 404, 409})
_LOG_SETTLE_SECONDS: Final = 5.0
"""Seconds after the end of a container in which Azure still stores its last lines."""


@checked_options
@attrs.frozen(kw_only=True)
class AzureContainersSettings:
    """Steps that run as groups of Azure Container Instances.

    Attributes:
        subscription: the id of the subscription.
        resource_group: the name of the resource group.
        location: the region of the groups, such as "westeurope".
        tenant: the directory of the application, with its client_id and client_secret.
        client_id: the id of the application; by default the managed identity of this machine is
            used.
        client_secret: the secret of the application.
        registry: the server of a private registry, such as "erp.azurecr.io".
        registry_user: the user of the registry.
        registry_password: the password of the registry.
        subnet: the id of the subnet of the groups; by default no subnet of yours.
        scope: a name for the groups of this program; other groups are left alone.
        shell_limit: whether a shell in the container ends a step at its time limit, even if no
            program follows the run. The image needs `sh` and `sleep`.
        endpoint: the URL of Azure's Resource Manager.
        pace: shortest time in seconds between two requests for the state of a run.
    """

    subscription: str = attrs.field(validator=is_filled)
    resource_group: str = attrs.field(validator=is_filled)
    location: str = attrs.field(validator=is_filled)
    tenant: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    registry: str | None = None
    registry_user: str | None = None
    registry_password: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    subnet: str | None = None
    scope: str = "default"
    shell_limit: bool = False
    endpoint: str = attrs.field(default=_RESOURCE, converter=validate_base_url)
    pace: float = attrs.field(default=3.0, validator=in_seconds(0))

    def __attrs_post_init__(self) -> None:
        """Refuse an incomplete login."""
        for names in (
            ("client_secret", "client_id", "tenant"),
            ("registry_password", "registry_user", "registry"),
        ):
            check_whole_login(self, names, "an Azure")

    @property
    def identity(self) -> AzureIdentity:
        """The application's identity, or else this machine's."""
        if self.client_id is None or self.client_secret is None:
            return AzureManagedIdentity()
        return AzureClient(self.client_id, self.client_secret, tenant=self.tenant)


@attrs.frozen
class _Access:
    """Access to Azure's Resource Manager; a `Session` renews its token."""

    identity: AzureIdentity
    resource: str

    @property
    def where(self) -> str:
        """The name of the service for error messages."""
        return "Azure"

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """Return an access token."""
        return await self.identity.token(wire, "", self.resource)


@with_careful_constructor
class AzureContainersPlatform(CloudRuns):
    """Runs steps as groups of Azure Container Instances, each with one container.

    Args:
        settings: the resource group, and the login.
        http: the HTTP client; by default one of its own.
        clock: the clock of pauses.

    Raises:
        ConfigurationError: a setting is not valid.
    """

    type = ConnectorType.AZURE_CONTAINERS

    def __init__(
        self,
        settings: AzureContainersSettings,
        *,
        http: HttpClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        cloud = _AzureContainers(settings, http, clock)
        super().__init__(cloud, settings.pace, cloud.api.clock)


class _AzureContainers:
    """The requests to Azure with which `CloudRuns` starts, finds and ends runs."""

    has_limit = False
    has_streams = False

    def __init__(
        self, settings: AzureContainersSettings, http: HttpClient | None, clock: Clock | None
    ) -> None:
        self._settings = settings
        access = _Access(settings.identity, settings.endpoint)
        remedy = "Grant the identity the role Contributor in the resource group."
        self.api = CloudApi("Azure", access, http, clock, remedy=remedy)
        names = [quote(name, safe="") for name in (settings.subscription, settings.resource_group)]
        self._groups = (
            f"/subscriptions/{names[0]}/resourceGroups/{names[1]}"
            "/providers/Microsoft.ContainerInstance/containerGroups"
        )

    def check(self, step: Step, /) -> None:
        """Refuse a step without an image."""
        if step.image is None:
            raise InvalidData(
                f"The step {step.name!r} names no image for its container.",
                field="image",
                remedy="Name one.",
            )

    def begin(self, spec: RunSpec, timeout: float, /) -> CloudRun:
        # While the first group of a name is starting, another request for this name conflicts with
        # it.
        self._ask("PUT", spec.name, timeout, body=self._container_group(spec), allowed=_CONFLICT)
        run = self.find(spec.name, None, timeout)
        if run is None:
            raise VendorFailed(
                f"Azure has a group for the run {spec.name}, but does not list it yet.",
                remedy="Repeat the call with the same key. It finds the group once Azure lists it.",
            )
        return run

    def find(self, name: str, place: str | None, timeout: float, /) -> CloudRun | None:  # noqa: ARG002 - found by name
        answer = self._ask("GET", name, timeout, allowed=_MISSING_STATUSES)
        return None if answer.status == NOT_FOUND else self.api.read(self._run, answer)

    def end(self, run: CloudRun, reason: EndReason, timeout: float, /) -> None:
        if "stopped_for" not in run.status.metadata:
            tags = {**self._tags(run.note), END_TAG: reason.value}
            self._ask(
                "PATCH", run.note.name, timeout, body={"tags": tags}, allowed=_MISSING_STATUSES
            )
        self._ask("POST", f"{run.note.name}/stop", timeout, allowed=_MISSING_STATUSES)

    def log(self, run: CloudRun, stream: LogStream, position: str, timeout: float, /) -> LogChunk:  # noqa: ARG002 - it has one
        """Return a part of the log; `position` is a number of bytes."""
        is_settled = has_settled(run, _LOG_SETTLE_SECONDS)
        path = f"{run.note.name}/containers/{_CONTAINER}/logs"
        answer = self._ask("GET", path, timeout, allowed=_NO_LOG)
        if answer.status in _NO_LOG:
            # The container has not started, or never will.
            return LogChunk(b"", position, is_settled)
        return self.api.read(_log, answer, position, is_last=is_settled)

    def all(self, timeout: float, /) -> Sequence[CloudRun]:
        names: list[str] = []
        path, query = self._groups, {"api-version": _VERSION}
        left = self.api.countdown(timeout)
        while path:
            answer = self.api.ask("GET", self._settings.endpoint, path, left(), query=query)
            page, path = self.api.read(self._listed, answer)
            names += page
            # The link to the next page contains all parameters.
            query = {}
        runs = (self.find(name, None, left()) for name in names)
        return [run for run in runs if run is not None]

    def remove(self, run: CloudRun, timeout: float, /) -> None:
        self._ask("DELETE", run.note.name, timeout, allowed=_MISSING_STATUSES)

    def close(self) -> None:
        self.api.close()

    def _ask(self, method: str, path: str, timeout: float, **options: Any) -> Response:
        query = {"api-version": _VERSION}
        place = f"{self._groups}/{path}"
        return self.api.ask(method, self._settings.endpoint, place, timeout, query=query, **options)

    def _tags(self, note: CloudRunNote) -> dict[str, str]:
        return {**note.tags(), SCOPE_TAG: self._settings.scope}

    def _container_group(self, spec: RunSpec) -> dict[str, Any]:
        step, settings = spec.step, self._settings
        files = {f"{name}_FILE": f"{_SECRETS}/{name}" for name in spec.secrets}
        variables = {**step.environment, **files}
        memory = step.resources.memory
        container: dict[str, Any] = {
            "image": step.image,
            "command": limited_command(step) if settings.shell_limit else list(step.command),
            "environmentVariables": [
                {"name": name, "value": value} for name, value in variables.items()
            ],
            "resources": {
                "requests": {
                    "cpu": step.resources.cpus or _CPUS,
                    "memoryInGB": _GIGABYTES if memory is None else ceil(memory / 1e8) / 10,
                }
            },
        }
        properties: dict[str, Any] = {
            "osType": "Linux",
            "restartPolicy": "Never",
            "containers": [{"name": _CONTAINER, "properties": container}],
        }
        if spec.secrets:
            mount = {"name": "secrets", "mountPath": _SECRETS, "readOnly": True}
            container["volumeMounts"] = [mount]
            contents = {
                name: b64encode(secret.reveal_bytes()).decode()
                for name, secret in spec.secrets.items()
            }
            properties["volumes"] = [{"name": "secrets", "secret": contents}]
        if settings.registry_password is not None:
            login = {
                "server": settings.registry,
                "username": settings.registry_user,
                "password": settings.registry_password.reveal(),
            }
            properties["imageRegistryCredentials"] = [login]
        if settings.subnet is not None:
            properties["subnetIds"] = [{"id": settings.subnet}]
        return {
            "location": settings.location,
            "tags": self._tags(CloudRunNote.of(spec)),
            "properties": properties,
        }

    def _run(self, answer: Response) -> CloudRun | None:
        run = group_run(answer.json(), self.api.now(answer))
        return run if run is None or not self._settings.shell_limit else with_shell_limit(run)

    def _listed(self, answer: Response) -> tuple[list[str], str]:
        """Return the container group names on a page, and the path of the next page."""
        document = answer.json()
        names = [
            group["name"]
            for group in document["value"]
            if part_of(group, "tags").get(SCOPE_TAG) == self._settings.scope
        ]
        link = document.get("nextLink") or ""
        if link and not link.startswith(f"{self._settings.endpoint}/"):
            raise VendorFailed("Azure named a page of another host.")
        return names, link.removeprefix(self._settings.endpoint)


def _log(answer: Response, position: str, *, is_last: bool) -> LogChunk:
    content = str(answer.json().get("content") or "")
    return log_rest(content.encode("utf-8", "surrogatepass"), position, is_last=is_last)


AZURE_CONTAINERS: Final = PlatformKind(
    name="azure-containers", settings=AzureContainersSettings, build=AzureContainersPlatform
)
"""The kind of platforms that run steps as groups of Azure Container Instances."""
