"""Deployments of ECS services, with scripted responses."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorManager,
    EcsService,
    EcsSettings,
    OutcomeUnknown,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.testing import FakeVendor, ScriptedHttpClient, VirtualClock, VirtualSleeper
from tests.steps.cloud_harness import json_response
from tests.steps.ecs_harness import SETTINGS
from tests.support.moto_server import REGION, MotoServer


def service(vendor: FakeVendor) -> EcsService:
    """Return an ECS service at a scripted vendor."""
    return EcsService(
        EcsSettings(**SETTINGS),
        "web",
        http=ScriptedHttpClient(vendor),
        sleeper=VirtualSleeper(VirtualClock()),
    )


def manager(timeout: float = 60.0) -> ConnectorManager:
    """Return a manager that retries without pauses."""
    retry = RetryPolicy(max_attempts=2, base_delay=0.001)
    return ConnectorManager([Service("ecs", retry=retry, timeout=timeout)])


def deployment(name: str, **fields: Any) -> dict[str, Any]:
    """Return a deployment as ECS describes it."""
    return {
        "id": name,
        "status": "PRIMARY",
        "taskDefinition": "erp:8",
        "runningCount": 1,
        "desiredCount": 2,
        **fields,
    }


def service_answer(*deployments: dict[str, Any]) -> Any:
    """Return the response that describes a service."""
    return json_response({"services": [{"deployments": list(deployments)}]})


def test_deployment_is_waited_for_by_its_id() -> None:
    """A wait for a deployment ends with this deployment, even if other deployments continue."""
    vendor = FakeVendor()
    old_deployment = deployment("d-1", status="ACTIVE", rolloutState="COMPLETED")
    new_deployment = deployment("d-2", rolloutState="IN_PROGRESS")
    vendor.queue(json_response({"service": {"deployments": [old_deployment, new_deployment]}}))
    web, protected = service(vendor), manager()

    service_update = protected.perform("ecs", web.deploy("erp:8", count=2))

    assert ("d-2", "in_progress", "erp:8") == (
        service_update["deployment"],
        service_update["state"],
        service_update["task_definition"],
    )
    sent_json = vendor.requests[0].json()
    assert {"cluster": "reports", "service": "web", "taskDefinition": "erp:8"} | {
        "desiredCount": 2
    } == sent_json
    vendor.queue(
        service_answer(old_deployment, new_deployment),
        service_answer(deployment("d-2", rolloutState="COMPLETED"), old_deployment),
    )
    assert "completed" == protected.perform("ecs", web.wait("d-2"))["state"]
    web.close()


@pytest.mark.parametrize(
    "shown, expected",
    [
        (deployment("d-2", rolloutState="FAILED", rolloutStateReason="circuit"), "failed"),
        (deployment("d-2", rolloutState="A_NEW_WORD"), "in_progress"),
        (deployment("d-2"), "in_progress"),
        (deployment("d-2", runningCount=2), "completed"),
        (deployment("d-3"), "replaced"),
    ],
)
def test_states_are_distinguished(shown: dict[str, Any], expected: str) -> None:
    """A deployment may have failed, been replaced, be in progress, or be complete."""
    vendor = FakeVendor([service_answer(shown)])
    assert expected == manager().perform("ecs", service(vendor).state("d-2"))["state"]


def test_wait_ends_with_the_time_limit() -> None:
    """A wait that exceeds its service's timeout raises an error."""
    vendor = FakeVendor(service_answer(deployment("d-2")))
    with pytest.raises(AttemptTimeout, match="d-2"):
        manager(timeout=4.0).perform("ecs", service(vendor).wait("d-2"))


def test_forced_deployment_is_never_repeated() -> None:
    """A lost deployment request is repeated only if it is not a forced deployment."""
    lost_error = ConnectionFailed("lost", may_have_been_processed=True)
    vendor = FakeVendor(
        [lost_error, json_response({"service": {"deployments": [deployment("d-2")]}}), lost_error]
    )
    manager().perform("ecs", service(vendor).deploy())
    with pytest.raises(OutcomeUnknown):
        manager().perform("ecs", service(vendor).deploy(force=True), idempotency_key="x")
    assert vendor.requests[2].json()["forceNewDeployment"]


def test_missing_service_is_named() -> None:
    """A missing service is named in the error, and malformed responses raise errors."""
    vendor = FakeVendor([json_response({"services": []}), *[json_response({"service": {}})] * 2])
    with pytest.raises(VendorRejected, match="'web'"):
        manager().perform("ecs", service(vendor).state("d-2"))
    with pytest.raises(VendorFailed, match="moorage cannot read"):
        manager().perform("ecs", service(vendor).deploy())
    assert service(vendor).deploy().translate_error(ValueError()) is None


def test_forced_deployment_at_moto_is_found_by_its_id() -> None:
    """A forced deployment at the emulator is found by its id."""
    target = "AmazonEC2ContainerServiceV20141113"
    with MotoServer() as moto:
        moto.act("ecs", f"{target}.CreateCluster", clusterName="reports")
        container = {"name": "erp", "image": "erp:1", "memory": 64}
        moto.act(
            "ecs",
            f"{target}.RegisterTaskDefinition",
            family="erp",
            containerDefinitions=[container],
        )
        moto.act(
            "ecs",
            f"{target}.CreateService",
            cluster="reports",
            serviceName="web",
            taskDefinition="erp",
            desiredCount=1,
        )
        options: dict[str, Any] = {
            "access_key_id": moto.key.id,
            "secret_access_key": moto.key.secret,
            "region": REGION,
            "endpoint": moto.url,
            "task_definition": "erp",
        }
        web = EcsService(EcsSettings(**(SETTINGS | options)), "web")
        deployment = manager().perform("ecs", web.deploy(force=True))
        state = manager().perform("ecs", web.state(deployment["deployment"]))
        web.close()
    assert deployment["deployment"] == state["deployment"]
