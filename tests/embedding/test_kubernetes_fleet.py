"""The Kubernetes example: its manifests are consistent with each other and with moorage."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from small_programs import fastapi_service

from moorage import RateLimitConfig, RateLimiter
from moorage.adapters.state.sql import SqlStorage
from moorage.config import read_configuration
from moorage.wiring.store_urls import open_storage
from tests.support.command import command
from tests.support.redis_servers import PrivateRedis
from tests.support.schema import fits
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(fastapi_service.__file__).parents[1] / "kubernetes_fleet"
DESCRIPTION: Final = json.loads(
    (Path(__file__).parents[1] / "scaffold" / "kubernetes_objects.json").read_text("utf-8")
)
NODES: Final = "redis-0.redis:6379,redis-1.redis:6379,redis-2.redis:6379"
SECRET: Final = {
    "REDIS_URL": f"redis+cluster://:secret@{NODES}",
    "KEYS_URL": "postgresql://shop:secret@keys.databases/keys",
    "MOORAGE_OUTBOX": "postgresql://shop:secret@orders.databases/orders",
    "STRIPE_KEY": "sk_test_1",
}
"""The variables of the Secret `shop`, as the page of the example names them."""
FREE_NAMES: Final = {"annotations", "data", "labels", "limits", "matchLabels", "requests"}
"""Fields whose objects have names of the manifest's own."""


def objects() -> list[dict[str, Any]]:
    """Return the objects of the two manifests."""
    return [
        item
        for name in ("redis.yaml", "shop.yaml")
        for item in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
    ]


def find_object(kind: str, name: str) -> dict[str, Any]:
    """Return an object by its kind and name."""
    (item,) = (
        item for item in objects() if (kind, name) == (item["kind"], item["metadata"]["name"])
    )
    return item


def pods() -> dict[str, dict[str, Any]]:
    """Return all pod templates by the names of the objects that contain them."""
    templates: dict[str, dict[str, Any]] = {}
    for item in objects():
        spec = item.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            templates[item["metadata"]["name"]] = spec["template"]
    return templates


@pytest.mark.parametrize(
    "item", objects(), ids=lambda item: f"{item['kind']} {item['metadata']['name']}"
)
def test_object_has_only_fields_of_its_object_schema(item: dict[str, Any]) -> None:
    """Each object has only fields that Kubernetes defines, with valid values."""
    schema = DESCRIPTION["$defs"][DESCRIPTION["kinds"][item["kind"]]]

    assert fits(DESCRIPTION, schema, item)
    for place in kubernetes_objects(item):
        place["replicsa"] = 1
        assert not fits(DESCRIPTION, schema, item)
        del place["replicsa"]


def kubernetes_objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the nested objects whose fields have names that Kubernetes defines."""
    if isinstance(value, dict):
        yield value
        for name, child in value.items():
            if name not in FREE_NAMES:
                yield from kubernetes_objects(child)
    if isinstance(value, list):
        for child in value:
            yield from kubernetes_objects(child)


def test_selectors_choose_pods() -> None:
    """The selector of each Service, disruption budget and workload matches existing pods."""
    labels = [template.get("metadata", {}).get("labels", {}) for template in pods().values()]
    for item in objects():
        if item["kind"] in {"Service", "PodDisruptionBudget", "Deployment", "StatefulSet"}:
            selector = item["spec"]["selector"]
            assert selector.get("matchLabels", selector) in labels, item["metadata"]["name"]
    assert {"redis", "shop", "shop-outbox"} == {
        item["metadata"]["name"] for item in objects() if item["kind"] == "PodDisruptionBudget"
    }


@pytest.mark.parametrize("name", sorted(pods()))
def test_pod_has_what_it_uses(name: str) -> None:
    """A pod's volumes, ports and configurations exist, and its grace period is long enough."""
    spec = pods()[name]["spec"]
    claims = (
        find_object("StatefulSet", "redis")["spec"]["volumeClaimTemplates"]
        if name == "redis"
        else []
    )
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in claims}
    for volume in spec.get("volumes", []):
        assert find_object("ConfigMap", volume["configMap"]["name"])
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("livenessProbe", "readinessProbe"):
            page = container.get(probe, {}).get("httpGet")
            assert page is None or page["port"] in ports
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        limits = re.findall(r"graceful-shutdown=(\d+)", " ".join(container["command"]))
        needed = pause + sum(map(int, limits))
        assert needed < spec.get("terminationGracePeriodSeconds", 30)


def configuration() -> str:
    """Return the configuration in the manifest."""
    return str(find_object("ConfigMap", "shop")["data"]["moorage.toml"])


def test_configuration_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest's configuration keeps limits in a Redis cluster, and keys in PostgreSQL."""
    for name, value in SECRET.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "moorage.toml"
    path.write_text(configuration(), "utf-8")
    configured = read_configuration(path)

    assert configured.state == SECRET["REDIS_URL"]
    assert configured.keys
    with open_storage(configured.keys) as keys:
        assert isinstance(keys, SqlStorage)
        assert keys.durable
    (account,) = configured.accounts
    (limit,) = account.settings["limits"]
    processes = sum(
        find_object("Deployment", name)["spec"]["replicas"] for name in ("shop", "shop-outbox")
    )
    assert limit.share
    assert limit.share * processes <= 1
    assert 0 == limit.parts % find_object("StatefulSet", "redis")["spec"]["replicas"]
    assert set(re.findall(r"\$\{(\w+)\}", configuration())) < SECRET.keys()


def test_commands_of_the_workers_exist() -> None:
    """The containers' commands and options are valid moorage commands and options."""
    for name in ("shop-outbox", "shop-housekeep"):
        (container,) = pods()[name]["spec"]["containers"]
        _, *words = container["command"]
        page = command(*(word for word in words if word.islower() and word[0] != "-"), "--help").out
        assert all(word in page for word in words if word.startswith("--")), name


def test_nodes_become_a_cluster() -> None:
    """The Job's script builds one cluster of three nodes; a second run announces new addresses."""
    settings = find_object("ConfigMap", "redis")["data"]["redis.conf"].splitlines()
    options = [
        word
        for line in settings
        if line.startswith(("cluster-enabled", "cluster-node", "cluster-require", "maxmemory"))
        for word in f"--{line}".split()
    ]
    (container,) = pods()["redis-cluster"]["spec"]["containers"]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(PrivateRedis(*options)) for _ in range(3)]
        ports = [str(server.port) for server in servers]
        script = str(container["command"][-1])
        for written_text, replacement in (
            ("for number in 0 1 2", f"for number in {' '.join(ports)}"),
            ("getent hosts redis-$number.redis", "echo 127.0.0.1 redis-0"),
            ("}:6379", "}:$number"),
            ("-h redis-0.redis", f"-p {ports[0]}"),
        ):
            assert written_text in script
            script = script.replace(written_text, replacement)

        def is_ready() -> bool:
            return all(
                "cluster_state:ok" in _output("redis-cli", "-p", port, "cluster", "info")
                for port in ports
            )

        assert "All 16384 slots covered" in _output("bash", "-ec", script)
        wait_until(is_ready, "a cluster")
        assert ["OK"] * 3 == _output("bash", "-ec", script).split()
        nodes = ",".join(f"127.0.0.1:{port}" for port in ports)
        with open_storage(f"redis+cluster://{nodes}", timeout=60) as store:
            limiter = RateLimiter(RateLimitConfig.per_hour(60, parts=6), storage=store)
            assert 60 == sum(limiter.try_acquire() for _ in range(90))


def _output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
