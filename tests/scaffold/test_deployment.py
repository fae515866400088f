"""Kubernetes manifests and systemd units that are generated for pipeline workers."""

from __future__ import annotations

import configparser
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from moorage.cli.exit_codes import CUT_OFF, INVALID_USE
from moorage.scaffold.deployment import kubernetes_manifest, worker_deployment
from tests.support.command import command
from tests.support.schema import fits

# The classes ConfigMap and Deployment of Kubernetes 1.37, from the description of its API.
OBJECTS: Final = json.loads(Path(__file__).with_name("kubernetes_objects.json").read_text("utf-8"))
IMAGE: Final = "registry.example/erp@sha256:" + "0" * 64
CONFIGURATION: Final = """\
  # The shop: "quoted", ${NOT_HERE} in a comment, and trailing blanks:  \n
[state]
url = "postgresql://${DB_USER}@db/erp"

[connectors.events]
kind = "rabbitmq"
url = "secret://env/AMQP_URL"

[pipelines.orders]
source = { connector = "events", queues = ["orders"] }
sink = { function = "shop.orders:store" }
drain = 40

[pipelines.returns]
source = { connector = "events", queues = ["returns"] }
sink = { function = "shop.orders:store" }

[secrets.vault]
token = "secret://file/run/secrets/vault"
"""


@pytest.fixture(autouse=True)
def _configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with a configuration whose secrets are not set."""
    monkeypatch.chdir(tmp_path)
    configure(CONFIGURATION)


def configure(text: str) -> None:
    """Write this text as the configuration."""
    Path("moorage.toml").write_text(text, encoding="utf-8")


def manifest(*options: str) -> dict[str, Any]:
    """Return the objects of a newly generated manifest, by their kinds."""
    result = command("scaffold", "kubernetes", "shop", "--image", IMAGE, *options, "--json").result
    [file] = result["files"]
    return {item["kind"]: item for item in yaml.safe_load_all(Path(file).read_text("utf-8"))}


def test_each_object_of_manifest_has_only_fields_that_kubernetes_knows() -> None:
    """Each object of the manifest has only fields that Kubernetes knows, with valid values."""
    objects = manifest()

    assert {"ConfigMap", "Deployment"} == objects.keys()
    for kind, item in objects.items():
        schema = OBJECTS["$defs"][OBJECTS["kinds"][kind]]
        assert fits(OBJECTS, schema, item), kind
        assert not fits(OBJECTS, schema, {**item, "replicsa": 1})
    assert not fits(
        OBJECTS,
        OBJECTS["$defs"][OBJECTS["kinds"]["Deployment"]],
        {**objects["Deployment"], "spec": {**objects["Deployment"]["spec"], "replicas": "one"}},
    )


def test_configuration_is_in_the_manifest() -> None:
    """The ConfigMap contains the configuration file unchanged, and the container reads it."""
    objects = manifest()
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    variables = {item["name"]: item.get("value") for item in container["env"]}

    assert {"moorage.toml": CONFIGURATION} == objects["ConfigMap"]["data"]
    assert "/etc/moorage/moorage.toml" == variables["MOORAGE_CONFIG"]
    assert IMAGE == container["image"]


def test_secrets_are_named() -> None:
    """The variables of the configuration, but not those in its comments, come from a Secret."""
    objects = manifest()
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    names = [
        item["valueFrom"]["secretKeyRef"]["key"] for item in container["env"] if "valueFrom" in item
    ]
    text = Path("shop/shop.yaml").read_text("utf-8")

    assert ["AMQP_URL", "DB_USER"] == names
    assert "kubectl create secret generic shop-secrets --from-literal=AMQP_URL=…" in text
    assert "# Mount this secret, too: run/secrets/vault" in text
    output = command("scaffold", "systemd", "shop").out
    assert "The deployment needs the secrets AMQP_URL, DB_USER, run/secrets/vault." in output


def test_worker_has_time_to_stop() -> None:
    """A worker is killed only after the longest drain time of its pipelines."""
    pod = manifest()["Deployment"]["spec"]["template"]["spec"]
    command("scaffold", "systemd", "shop", "--into", "unit")

    assert 45 == pod["terminationGracePeriodSeconds"]
    assert "45" == unit("unit/shop.service")["Service"]["TimeoutStopSec"]
    configure(CONFIGURATION.replace("drain = 40", "drain = 2"))
    second_template = manifest("--into", "again")["Deployment"]["spec"]["template"]["spec"]
    assert 30 == second_template["terminationGracePeriodSeconds"]


def test_pages_are_probed() -> None:
    """The probes and annotations name the port of the worker's HTTP pages."""
    template = manifest("--port", "9000")["Deployment"]["spec"]["template"]
    [container] = template["spec"]["containers"]

    assert ["--port", "9000"] == container["command"][-2:]
    assert [{"name": "pages", "containerPort": 9000}] == container["ports"]
    assert "9000" == template["metadata"]["annotations"]["prometheus.io/port"]
    assert [("/live", "pages"), ("/ready", "pages")] == [
        (container[probe]["httpGet"]["path"], container[probe]["httpGet"]["port"])
        for probe in ("livenessProbe", "readinessProbe")
    ]


def test_environment_is_that_of_the_command() -> None:
    """The workers read the configuration for the environment that the command was given."""
    text = f"{CONFIGURATION}\n[environments.live]\n"
    configure(text)
    [container] = manifest("--environment", "live")["Deployment"]["spec"]["template"]["spec"][
        "containers"
    ]
    command("scaffold", "systemd", "shop", "--into", "unit", "--environment", "live")

    assert {"name": "MOORAGE_ENVIRONMENT", "value": "live"} in container["env"]
    lines = Path("unit/shop.service").read_text("utf-8").splitlines()
    assert 'Environment="MOORAGE_ENVIRONMENT=live"' in lines


def test_environment_decides_what_workers_need() -> None:
    """The environment decides the state store, the drain time, the pipelines and the variables."""
    configure(f"""{CONFIGURATION.replace("postgresql://${DB_USER}@db/erp", "sqlite:///state.db")}
[environments.live.state]
url = "redis://${{REDIS_HOST}}/0"
[environments.live.pipelines.orders]
drain = 90
[environments.live.pipelines.third]
drain = 3
[environments.test.state]
url = "redis://${{TEST_HOST}}/0"
""")
    pod = manifest("--environment", "live")["Deployment"]["spec"]["template"]["spec"]

    assert 95 == pod["terminationGracePeriodSeconds"]
    assert {"AMQP_URL": False, "REDIS_HOST": False} == secret_keys(pod)
    text = Path("shop/shop.yaml").read_text("utf-8")
    assert text.startswith("# The workers of the pipelines orders, returns, third.")


def test_variables_with_fallbacks_are_optional() -> None:
    """A variable with a fallback comes from the Secret too, which may lack it."""
    configure(
        CONFIGURATION.replace("${DB_USER}", "${DB_USER:-erp}").replace(
            "secret://env/AMQP_URL", "${BROKER:-secret://env/AMQP_URL}"
        )
    )
    pod = manifest()["Deployment"]["spec"]["template"]["spec"]
    command("scaffold", "systemd", "shop", "--into", "unit")

    assert {"AMQP_URL": True, "BROKER": True, "DB_USER": True} == secret_keys(pod)
    text = Path("unit/shop.service").read_text("utf-8")
    assert "# /etc/shop/secrets.env may set AMQP_URL, BROKER, DB_USER.\n" in text


def test_secrets_of_configured_providers_are_named() -> None:
    """Variables and files that the configuration's own providers read are listed."""
    configure(
        CONFIGURATION.replace("secret://env/AMQP_URL", "secret://ours/AMQP_URL").replace(
            "secret://file/run/secrets/vault", "secret://mounted/vault"
        )
        + '[secrets.ours]\nkind = "env"\nprefix = "SHOP_"\n'
        + '[secrets.mounted]\nkind = "file"\nfolder = "/run/secrets"\n'
    )
    output = command("scaffold", "systemd", "shop").out

    assert "The deployment needs the secrets DB_USER, SHOP_AMQP_URL, /run/secrets/vault." in output


def test_odd_names_stay_in_their_lines() -> None:
    """Names of environments and pipelines cannot break out of their place in the unit file."""
    name = 'a "live" \\100% one'
    configure(f"{CONFIGURATION}\n[environments.{json.dumps(name)}]\n")
    command("scaffold", "systemd", "shop", "--environment", name)
    lines = Path("shop/shop.service").read_text("utf-8").splitlines()

    assert r'Environment="MOORAGE_ENVIRONMENT=a \"live\" \\100%% one"' in lines
    configure(CONFIGURATION.replace("pipelines.orders", r'pipelines."a\nkind: Pod"'))
    ending = command("scaffold", "systemd", "shop", "--into", "other")
    assert 2 == ending.code
    assert not Path("other").exists()


def secret_keys(pod: dict[str, Any]) -> dict[str, bool]:
    """Return the keys that a pod reads from the Secret, and whether each may be missing."""
    [container] = pod["containers"]
    references = [
        item["valueFrom"]["secretKeyRef"] for item in container["env"] if "valueFrom" in item
    ]
    return {reference["key"]: reference.get("optional", False) for reference in references}


def unit(path: str) -> configparser.RawConfigParser:
    """Return a unit file's sections; if a setting is repeated, its last value counts."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation does
    parser.read(path)
    return parser


def test_unit_reloads_and_does_not_repeat_mistakes() -> None:
    """The unit reloads on SIGHUP, and is not restarted after a configuration error."""
    command("scaffold", "systemd", "shop", "--into", "unit")
    service = unit("unit/shop.service")["Service"]

    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert str(INVALID_USE) == service["RestartPreventExitStatus"]
    assert str(CUT_OFF) not in service.get("SuccessExitStatus", "")


_ANALYZE: Final = shutil.which("systemd-analyze")


@pytest.mark.skipif(
    _ANALYZE is None,
    reason="systemd-analyze is missing: apt-get install systemd",
)
def test_systemd_itself_finds_no_mistake_in_unit(tmp_path: Path) -> None:
    """Systemd's own check finds no mistake in the unit, apart from the files missing in /opt."""
    command("scaffold", "systemd", "shop", "--into", "unit")
    path = tmp_path / "unit" / "shop.service"
    path.write_text(path.read_text("utf-8").replace("/opt/shop/bin/moorage", "/bin/true"))

    verified = subprocess.run(
        [str(_ANALYZE), "verify", str(path)], capture_output=True, text=True, check=False
    )

    assert (0, "") == (verified.returncode, verified.stderr)


@pytest.mark.parametrize(
    "text, arguments, message",
    [
        (CONFIGURATION, ["Shop"], "The name 'Shop' is not valid."),
        (CONFIGURATION, ["shop", "--image", "Bad Image"], "not the name of an image"),
        (CONFIGURATION, ["shop", "--environment", "live\n[Service]"], "no environment named"),
        ("version = 1\n", ["shop"], "has no pipelines"),
        ("pipelines = 3\n", ["shop"], "has no pipelines"),
        (
            CONFIGURATION.replace("secret://env/AMQP_URL", "amqp://erp:hush@broker"),
            ["shop"],
            "written in plain text",
        ),
        (
            CONFIGURATION.replace("postgresql://${DB_USER}@db/erp", "sqlite:///state.db"),
            ["shop"],
            "state.url: The store of state is a file, so each pod would have its own state",
        ),
        (
            CONFIGURATION.replace(
                '"postgresql://${DB_USER}@db/erp"', '["sqlite:///1.db", "sqlite:///2.db"]'
            ),
            ["shop"],
            "each pod would have its own state",
        ),
        (
            CONFIGURATION.replace("[connectors", 'keys_url = "sqlite:///keys.db"\n[connectors'),
            ["shop"],
            "state.keys_url: The store of state is a file",
        ),
    ],
)
def test_mistakes_are_named(text: str, arguments: list[str], message: str) -> None:
    """After a mistake no file is written; the error describes the mistake without a secret."""
    configure(text)
    options = [] if "--image" in arguments else ["--image", IMAGE]

    ending = command("scaffold", "kubernetes", *arguments, *options)

    assert 2 == ending.code
    assert message in ending.err
    assert "hush" not in ending.err
    assert not Path("shop").exists()


def test_byte_order_mark_of_the_configuration_is_left_out() -> None:
    """A manifest has no byte order mark, which a YAML document may not contain."""
    text = Path("moorage.toml").read_text("utf-8")
    Path("moorage.toml").write_text(text, "utf-8-sig")

    assert text == manifest()["ConfigMap"]["data"]["moorage.toml"]
    assert "\ufeff" not in Path("shop/shop.yaml").read_text("utf-8")


def test_file_has_a_plain_name() -> None:
    """Whatever the configuration file is called, the worker reads `/etc/NAME/moorage.toml`."""
    Path("moorage.toml").rename("our shop%.toml")
    command("--config", "our shop%.toml", "scaffold", "systemd", "shop")
    lines = Path("shop/shop.service").read_text("utf-8").splitlines()

    assert "Environment=MOORAGE_CONFIG=/etc/shop/moorage.toml" in lines


@pytest.mark.parametrize("drain", ['"long"', "inf", "nan"])
def test_units_may_keep_their_state_in_a_file(drain: str) -> None:
    """Workers on one machine may keep their state in a file."""
    configure(
        CONFIGURATION.replace("postgresql://${DB_USER}@db/erp", "sqlite:///state.db").replace(
            "drain = 40", f"drain = {drain}"
        )
    )

    assert 0 == command("scaffold", "systemd", "shop").code
    assert "30" == unit("shop/shop.service")["Service"]["TimeoutStopSec"]


@pytest.mark.parametrize("name", ["no", "on", "yes", "true", "null", "y", "shop"])
def test_names_are_strings_in_yaml(name: str) -> None:
    """A name or variable that YAML would read as a bool or null stays a string."""
    tree = {"pipelines": {"a": {}}, "url": f"${{{name.upper()}}} secret://env/A,b:#"}
    deployment = worker_deployment(name, tree, "x = 1", file="moorage.toml")
    _, workers = yaml.safe_load_all(kubernetes_manifest(deployment, "erp:1"))
    assert name == workers["metadata"]["name"]
    [container] = workers["spec"]["template"]["spec"]["containers"]
    variables = {entry["name"]: entry.get("valueFrom") for entry in container["env"]}
    for variable in (name.upper(), "A,b:#"):
        reference = {"name": f"{name}-secrets", "key": variable}
        assert reference == {
            part: value
            for part, value in variables[variable]["secretKeyRef"].items()
            if part != "optional"
        }


@pytest.mark.parametrize("text", ["# a\x85b\n", "# a\u2028b\n", "# a\x7fb\n", "# \ufeffä€😀\x85\n"])
def test_odd_characters_of_a_configuration_are_kept(text: str) -> None:
    """A character that YAML refuses or takes for a line's end reaches the file unchanged."""
    deployment = worker_deployment("shop", {"pipelines": {"a": {}}}, text, file="moorage.toml")
    configuration, _ = yaml.safe_load_all(kubernetes_manifest(deployment, "erp:1"))
    assert {"moorage.toml": text} == configuration["data"]
