"""Deployments of services of Amazon ECS, as operations that a manager protects."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.clocks.system import ThreadSleeper
from moorage.adapters.steps.ecs import ecs_api
from moorage.domain.secrets.frames import careful
from moorage.domain.steps.ecs_deployments import deployment_of, primary_of
from moorage.errors import AttemptTimeout, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.steps.ecs import EcsSettings
    from moorage.domain.http.requests import Response
    from moorage.domain.service.operation import OperationAttempt
    from moorage.errors import ConnectorError
    from moorage.ports.clock import Clock, Sleeper
    from moorage.ports.http import HttpClient

_PAUSE: Final = 5.0


@attrs.frozen(kw_only=True)
class EcsOperation:
    """One operation of an ECS service, for `ConnectorManager.perform`.

    Its result is a dictionary of plain values.

    Attributes:
        name: the name in events and errors, such as "ecs.deploy".
        act: performs it within the given number of seconds.
        safe: whether it only reads.
        repeatable: whether a repeat has the same effect.
        system: the kind of the foreign system.
    """

    name: str
    act: Callable[[float], dict[str, Any]] = attrs.field(repr=False)
    safe: bool = False
    repeatable: bool = True
    system: str = "ecs"

    def perform(self, attempt: OperationAttempt) -> dict[str, Any]:
        """Perform it once."""
        return self.act(attempt.timeout)

    def judge(self, error: Exception) -> ConnectorError | None:  # noqa: ARG002 - there are no others
        """Return None, because only errors of moorage are raised."""
        return None


@careful
class EcsService:
    """Deployments of one service of Amazon ECS.

    Args:
        settings: the cluster and its keys.
        name: the name of the service.
        http: the HTTP client; by default one of its own.
        clock: the clock of signatures.
        sleeper: waits between two looks at a deployment.
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
    ) -> EcsOperation:
        """Return the operation that deploys a task definition.

        Its result has the id of the deployment. If nothing changes, it is the id of the current
        deployment.

        Args:
            task_definition: the task definition; by default that of the settings.
            count: the number of tasks; by default as many as now.
            force: whether tasks are replaced even if nothing changes. Such a deployment is never
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
        act = partial(self._deploy, fields)
        return EcsOperation(name="ecs.deploy", act=act, repeatable=not force)

    def state(self, deployment: str) -> EcsOperation:
        """Return the operation that reads the state of a deployment.

        Its result has the `state`: "in_progress", "completed", "failed", or "replaced" if ECS does
        not have the deployment any more.

        Args:
            deployment: the id of the deployment.
        """
        act = partial(self._state, deployment)
        return EcsOperation(name="ecs.state", act=act, safe=True)

    def wait(self, deployment: str) -> EcsOperation:
        """Return the operation that waits until a deployment has completed, failed or was replaced.

        It waits at most for the timeout of the service.

        Args:
            deployment: the id of the deployment.
        """
        act = partial(self._wait, deployment)
        return EcsOperation(name="ecs.wait", act=act, safe=True)

    def close(self) -> None:
        """Close the connections."""
        self._ecs.api.close()

    def _deploy(self, fields: dict[str, Any], timeout: float) -> dict[str, Any]:
        answer = self._ecs.act("UpdateService", fields, timeout)
        return self._ecs.api.read(_primary, answer)

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
            left = until - monotonic()
            state = self._state(deployment, max(0.1, left))
            if state["state"] != "in_progress":
                return state
            if left <= _PAUSE:
                raise AttemptTimeout(
                    f"The deployment {deployment} did not end in time.",
                    may_have_been_processed=False,
                    remedy="Wait for it again, or give the service a longer timeout.",
                )
            self._sleeper.sleep(_PAUSE)


def _primary(answer: Response) -> dict[str, Any]:
    return primary_of(answer.json()["service"])
