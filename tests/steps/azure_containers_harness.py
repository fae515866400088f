"""A strict fake of Azure Container Instances, whose containers are local processes."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

from moorage import AzureContainersPlatform, AzureContainersSettings
from moorage.domain.http.requests import Response
from tests.steps.cloud_harness import AheadClock, FakeCloud, StepHost, json_response
from tests.steps.kubernetes_harness import unknown_fields

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Request
    from moorage.ports.clock import Clock

_NAMES: dict[str, Any] = {"*": str}
_CONTAINER = {
    "image": str,
    "command": [str],
    "environmentVariables": [{"name": str, "value": str}],
    "resources": {"requests": {"cpu": float, "memoryInGB": float}},
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
}
_GROUP = {
    "location": str,
    "tags": _NAMES,
    "properties": {
        "osType": str,
        "restartPolicy": str,
        "containers": [{"name": str, "properties": _CONTAINER}],
        "volumes": [{"name": str, "secret": _NAMES}],
        "imageRegistryCredentials": [{"server": str, "username": str, "password": str}],
        "subnetIds": [{"id": str}],
    },
}
_ROOT = (
    "/subscriptions/sub-1/resourceGroups/reports"
    "/providers/Microsoft.ContainerInstance/containerGroups"
)
SETTINGS: dict[str, Any] = {
    "subscription": "sub-1",
    "resource_group": "reports",
    "location": "westeurope",
    "tenant": "tenant-1",
    "client_id": "client-1",
    "client_secret": "s3cr3t-of-azure",
    "pace": 0.0,
}


class FakeAzure(FakeCloud):
    """The container groups of a fake Azure resource group.

    Attributes:
        groups: the groups by their names.
        views: the states of groups, instead of those of their processes.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.host = StepHost(folder / "host")
        self._files = folder / "secrets"
        self.groups: dict[str, dict[str, Any]] = {}
        self.views: dict[str, dict[str, Any]] = {}

    def platform(self, clock: Clock | None = None, **options: Any) -> AzureContainersPlatform:
        """Return a platform that uses this fake server."""
        settings = AzureContainersSettings(**cast("Any", {**SETTINGS, **options}))
        return AzureContainersPlatform(settings, http=self.http, clock=clock or AheadClock())

    def answer(self, request: Request, url: str) -> Response:
        """Return the response to a request."""
        parts = urlsplit(url)
        if parts.hostname == "login.microsoftonline.com":
            assert isinstance(request.body, bytes)
            form = dict(parse_qsl(request.body.decode()))
            assert "https://management.azure.com/.default" == form["scope"]
            assert "/tenant-1/oauth2/v2.0/token" == parts.path
            return json_response(
                {"access_token": "t0ken", "expires_in": 3600, "token_type": "Bearer"}
            )
        assert "management.azure.com" == parts.hostname
        assert "Bearer t0ken" == request.headers.get("Authorization")
        assert "2023-05-01" == dict(parse_qsl(parts.query))["api-version"]
        assert parts.path.startswith(_ROOT)
        name, _, subpath = parts.path.removeprefix(_ROOT).strip("/").partition("/")
        assert isinstance(request.body, bytes)
        body = json.loads(request.body or b"null")
        if not name:
            return self._list(dict(parse_qsl(parts.query)))
        if request.method == "PUT":
            return self._create(name, body)
        if name not in self.groups:
            return json_response({"error": {"code": "ResourceNotFound", "message": "none"}}, 404)
        if request.method == "DELETE":
            self.host.remove(name)
            return json_response(self.groups.pop(name))
        if request.method == "PATCH":
            self.groups[name]["tags"] = body["tags"]
        if subpath == "stop":
            self.host.stop(name)
            return Response(204)
        if subpath:
            assert "containers/step/logs" == subpath
            return json_response({"content": self.host.text(name)})
        return json_response(self.shown(name))

    def _create(self, name: str, body: Any) -> Response:
        mistakes = unknown_fields(body, _GROUP)
        assert not mistakes, mistakes
        assert len(body["tags"]) <= 50
        if name in self.groups:
            return json_response({"error": {"code": "ContainerGroupTransitioning"}}, 409)
        (container,) = body["properties"]["containers"]
        facts = container["properties"]
        variables = {item["name"]: item["value"] for item in facts["environmentVariables"]}
        for volume in body["properties"].get("volumes", ()):
            folder = self._files / name
            folder.mkdir(parents=True)
            for secret, content in volume["secret"].items():
                (folder / secret).write_bytes(b64decode(content))
                variables[f"{secret}_FILE"] = str(folder / secret)
                volume["secret"][secret] = ""
        self.groups[name] = body
        self.host.start(name, facts["command"], variables)
        return json_response(self.shown(name), 201)

    def _list(self, query: dict[str, str]) -> Response:
        start = int(query.get("skip", 0))
        names = list(self.groups)[start : start + 2]
        document: dict[str, Any] = {
            "value": [{"name": name, "tags": self.groups[name]["tags"]} for name in names]
        }
        if len(self.groups) > start + 2:
            link = f"https://management.azure.com{_ROOT}?api-version=2023-05-01&skip={start + 2}"
            document["nextLink"] = link
        return json_response(document)

    def shown(self, name: str) -> dict[str, Any]:
        """Return a container group as Azure shows it."""
        group = json.loads(json.dumps(self.groups[name]))
        status = self.host.status(name)
        state: dict[str, Any] = {"state": "Terminated" if status.is_over else "Running"}
        if status.started_at is not None:
            state["startTime"] = status.started_at.isoformat()
        if status.is_over and status.ended_at is not None:
            state["finishTime"] = status.ended_at.isoformat()
            state["exitCode"] = status.exit_code
        (container,) = group["properties"]["containers"]
        container["properties"]["instanceView"] = {"currentState": state}
        group["properties"]["instanceView"] = {"state": "Running"}
        return {"id": f"{_ROOT}/{name}", "name": name, **group, **self.views.get(name, {})}
