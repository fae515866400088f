"""The tools for the bill of materials, and for the comparison of two builds."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Final

import attrs
import pytest
import yaml

from tools.bill_of_materials import Product, bill, pinned_versions
from tools.distribution import ROOT, product_of, require_equal, wheel_of

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW: Final = ROOT / ".github" / "workflows" / "release.yml"
PRODUCT: Final = Product(
    name="moorage",
    version="0.1.0",
    licence="MIT",
    digest="0" * 64,
    requires=("attrs>=23.1", "Redis_Client[fast]>=4; extra == 'redis'", "gssapi; extra == 'krb'"),
    extras=("redis", "krb"),
)
VERSIONS: Final = {"attrs": "26.1.0", "redis-client": "8.1.0", "hiredis": "3.0"}
REQUIREMENTS: Final = {
    "redis-client": (
        "hiredis>=3; extra == 'fast'",
        "cffi>=1; python_version < '3'",
        "slow; extra == 'slow'",
    ),
    "hiredis": ("redis.client",),
}


def bill_of(product: Product = PRODUCT) -> str:
    """Return the bill of materials of a product."""
    return bill(product, VERSIONS, lambda name: REQUIREMENTS.get(name, ()))


def run_step(name: str, tag: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run one step of the release workflow in a folder, for a tag."""
    steps = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]["build"]["steps"]
    (command,) = [step["run"] for step in steps if step.get("name") == name]
    environment = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
    return subprocess.run(["/bin/bash", "-ec", command], cwd=folder, env=environment, check=False)


def test_bill_lists_what_is_installed() -> None:
    """The bill lists the core as required, extras as optional, and what each of them depends on."""
    document = json.loads(bill_of())

    assert [
        ("attrs", "26.1.0", "required"),
        ("gssapi", None, "optional"),
        ("hiredis", "3.0", "optional"),
        ("redis-client", "8.1.0", "optional"),
    ] == [(part["name"], part.get("version"), part["scope"]) for part in document["components"]]
    edges = {item["ref"]: item["dependsOn"] for item in document["dependencies"]}
    assert ["pkg:pypi/hiredis@3.0"] == edges["pkg:pypi/redis-client@8.1.0"]
    assert ["pkg:pypi/redis-client@8.1.0"] == edges["pkg:pypi/hiredis@3.0"]
    assert ["pkg:pypi/attrs@26.1.0", "pkg:pypi/gssapi", "pkg:pypi/redis-client@8.1.0"] == (
        edges["pkg:pypi/moorage@0.1.0"]
    )


def test_bill_is_the_same_for_the_same_wheel() -> None:
    """The same wheel always gives the same bill of materials; another wheel gives another one."""
    other_bill = json.loads(bill_of(attrs.evolve(PRODUCT, digest="1" * 64)))

    assert bill_of() == bill_of()
    assert json.loads(bill_of())["serialNumber"] != other_bill["serialNumber"]


def test_required_package_needs_a_version() -> None:
    """If a required package is missing from the constraints, an error names the package."""
    with pytest.raises(LookupError, match=r"no version of attrs\. Refresh constraints\.txt"):
        bill(PRODUCT, {}, lambda _: ())


def test_constraints_are_read() -> None:
    """Package names are compared as registries compare them, and comments are ignored."""
    assert {"ast-serialize": "0.13.1"} == pinned_versions("# a==1\nast_serialize==0.13.1\n")


def test_differing_builds_are_named(tmp_path: Path) -> None:
    """The error names each file that differs between two builds or is missing from one."""
    for folder, text in (("1", "a"), ("2", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "moorage.whl").write_text(text)
    first, second = ([tmp_path / folder / "moorage.whl"] for folder in ("1", "2"))

    require_equal(first, first)
    with pytest.raises(SystemExit, match=r"differ in moorage\.whl"):
        require_equal(first, second)
    with pytest.raises(SystemExit, match=r"differ in moorage\.whl"):
        require_equal(first, [])


def test_wheel_has_the_same_bytes_in_each_build(tmp_path: Path) -> None:
    """Two builds of the wheel have the same bytes, and its bill has the core's versions."""
    first, second = (wheel_of(ROOT, tmp_path / name) for name in "12")

    require_equal([first], [second])
    product = product_of(first)
    assert ("moorage", "MIT") == (product.name, product.licence)
    versions = pinned_versions((ROOT / "constraints.txt").read_text("utf-8"))
    parts = json.loads(bill(product, versions, lambda _: ()))["components"]
    assert {"attrs", "cryptography", "python-ulid"} == {
        part["name"] for part in parts if part["scope"] == "required"
    }


def test_only_the_publishing_job_may_publish() -> None:
    """The job that runs the repository's code may not publish to the package index."""
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]

    assert {"contents": "read", "id-token": "write", "attestations": "write"} == jobs["build"][
        "permissions"
    ]
    assert {"id-token": "write"} == jobs["publish"]["permissions"]
    assert "environment" not in jobs["build"]
    assert "pypi" == jobs["publish"]["environment"]
    assert "actions/checkout" not in str(jobs["publish"]["steps"])


@pytest.mark.parametrize("tag, is_accepted", [("v{}", True), ("v{}1", False), ("v1{}", False)])
def test_tag_has_to_be_the_version(tag: str, is_accepted: bool) -> None:
    """The release workflow refuses a tag that is not the version in `pyproject.toml`."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    process = run_step("Require that the tag is the version", tag.format(version), ROOT)

    assert is_accepted == (process.returncode == 0)


@pytest.mark.parametrize(
    "heading, fragment, is_accepted",
    [
        ("## [0.1.0] - 2031-05-06", "", True),
        ("## [0.1.0] - not yet released", "", False),
        ("## [0.2.0] - 2031-05-06", "", False),
        ("## [0.1.0] - 2031-05-06", "+quicker.changed.md", False),
    ],
)
def test_version_needs_its_changelog(
    tmp_path: Path, heading: str, fragment: str, is_accepted: bool
) -> None:
    """The workflow refuses a version without a dated changelog, or with fragments left over."""
    (tmp_path / "changelog.d").mkdir()
    for name in ("README.md", fragment):
        if name:
            (tmp_path / "changelog.d" / name).touch()
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n\nText.\n")

    process = run_step("Refuse a version without its changelog", "v0.1.0", tmp_path)

    assert is_accepted == (process.returncode == 0)


@pytest.mark.parametrize("name", ["moorage-django", "moorage-flask"])
def test_framework_package_accepts_one_minor_version(name: str) -> None:
    """A framework package can be installed only beside the core that it was tested with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "adapters-examples" / name / "pyproject.toml").read_text("utf-8")
    requirements = tomllib.loads(text)["project"]["dependencies"]
    major, minor = map(int, re.findall(r"\d+", project["version"])[:2])

    assert f"moorage>={major}.{minor},<{major}.{minor + 1}" in requirements
