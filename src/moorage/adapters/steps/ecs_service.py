"""Deployments of Amazon ECS services, as operations that a manager protects."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.clocks.system import ThreadSleeper
from moorage.adapters.steps.ecs import ecs_api
from moorage.adapters.steps.platform_operation import PlatformOperation
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.steps.ecs_deployments import deployment_of, primary_of
from moorage.errors import AttemptTimeout, VendorRejected

if TYPE_CHECKING:
    from moorage.adapters.steps.ecs import EcsSettings
    from moorage.domain.http.requests import Response
    from moorage.ports.clock import Clock, Sleeper
    from moorage.ports.http import HttpClient

_PAUSE: Final = 5.0


@with_careful_constructor
class EcsService:
    """Deployments of one Amazon ECS service.

    Args:
        settings: the cluster and its keys.
        name: the name of the service.
        http: the HTTP client; by default one of its own.
        clock: the clock for the times in signatures.
        sleeper: waits between two requests for the state of a deployment.
    """

    def __init__(
        self,
        settings: EcsSettings,
        name: str,
        *,
        http: HttpClient | None = None,
        clock: Clock | None = None,
        sleeper: Sleeper | None = None,
    ) -> None:
        self._service = {"cluster": settings.cluster, "service": name}
        self._task_definition = settings.task_definition
        self._ecs = ecs_api(settings, http, clock)
        self._sleeper: Sleeper = sleeper or ThreadSleeper()

    def deploy(
        self, task_definition: str | None = None, *, count: int | None = None, force: bool = False
    ) -> PlatformOperation:
        """Return the operation that deploys a task definition.

        The operation's result has the id of the deployment. If nothing changes, it is the id of the
        current deployment.

        Args:
            task_definition: the task definition; by default the one in the settings.
            count: the number of tasks; by default the current number.
            force: whether tasks are replaced even if nothing changes. A forced deployment is never
                repeated.
        """
        fields: dict[str, Any] = {
            **self._service,
            "taskDefinition": task_definition or self._task_definition,
        }
        if count is not None:
            fields["desiredCount"] = count
        if force:
            fields["forceNewDeployment"] = True
        send_authorised = partial(self._deploy, fields)
        return PlatformOperation(
            name="ecs.deploy", system="ecs", act=send_authorised, repeatable=not force
        )

    def state(self, deployment: str) -> PlatformOperation:
        """Return the operation that reads the state of a deployment.

        The operation's result has the `state`: "in_progress", "completed", "failed", or "replaced"
        if ECS does not have the deployment any more.

        Args:
            deployment: the id of the deployment.
        """
        send_authorised = partial(self._state, deployment)
        return PlatformOperation(name="ecs.state", system="ecs", act=send_authorised, safe=True)

    def wait(self, deployment: str) -> PlatformOperation:
        """Return the operation that waits until a deployment completes, fails or is replaced.

        The operation waits at most for the timeout of the service.

        Args:
            deployment: the id of the deployment.
        """
        send_authorised = partial(self._wait, deployment)
        return PlatformOperation(name="ecs.wait", system="ecs", act=send_authorised, safe=True)

    def close(self) -> None:
        """Close the connections."""
        self._ecs.api.close()

    def _deploy(self, fields: dict[str, Any], timeout: float) -> dict[str, Any]:
        answer = self._ecs.act("UpdateService", fields, timeout)
        return self._ecs.api.read(_primary_deployment, answer)

    def _state(self, deployment: str, timeout: float) -> dict[str, Any]:
        fields = {"cluster": self._service["cluster"], "services": [self._service["service"]]}
        answer = self._ecs.act("DescribeServices", fields, timeout)
        return self._ecs.api.read(self._read, answer, deployment)

    def _read(self, answer: Response, deployment: str) -> dict[str, Any]:
        services = answer.json()["services"]
        if not services:
            raise VendorRejected(
                f"The cluster has no service named {self._service['service']!r}.",
                remedy="Check the names of the cluster and of the service.",
            )
        return deployment_of(services[0], deployment)

    def _wait(self, deployment: str, timeout: float) -> dict[str, Any]:
        until = monotonic() + timeout
        while True:
            time_left = until - monotonic()
            state = self._state(deployment, max(0.1, time_left))
            if state["state"] != "in_progress":
                return state
            if time_left <= _PAUSE:
                raise AttemptTimeout(
                    f"The deployment {deployment} did not end in time.",
                    may_have_been_processed=False,
                    remedy="Wait for it again, or give the service a longer timeout.",
                )
            self._sleeper.sleep(_PAUSE)


def _primary_deployment(answer: Response) -> dict[str, Any]:
    return primary_of(answer.json()["service"])
