"""Makes a wheel's bill of materials in CycloneDX JSON, from metadata and constraints.

A bill lists what comes with an installation: the packages of the core as required, and those of the
extras as optional, each with the version that the tests ran with. The package of an extra that the
tests did not run with has no version.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

import attrs
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Requirements = Callable[[str], Iterable[str]]

_PINNED: Final = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)$", re.MULTILINE)
_SEPARATORS: Final = re.compile(r"[-_.]+")


@attrs.frozen(kw_only=True)
class Product:
    """The package described by a bill of materials.

    Attributes:
        name: its name.
        version: its version.
        licence: its licence, as an SPDX expression.
        digest: the SHA-256 of the wheel, in hexadecimal digits.
        requires: the requirements in its metadata; the requirements of extras have their markers.
        extras: the names of its extras.
    """

    name: str
    version: str
    licence: str
    digest: str
    requires: tuple[str, ...]
    extras: tuple[str, ...]


def normal(name: str) -> str:
    """Return a package's name normalised like in registries."""
    return _SEPARATORS.sub("-", name).lower()


def pinned_versions(text: str) -> dict[str, str]:
    """Return the pinned versions in a constraints file, by package name."""
    return {normal(name): version for name, version in _PINNED.findall(text)}


def bill(product: Product, versions: Mapping[str, str], requirements: Requirements) -> str:
    """Return the bill of materials; the same wheel and versions give the same text.

    Args:
        product: the package.
        versions: the version of each package, by its name.
        requirements: returns the requirements of a package, by its name.

    Raises:
        LookupError: a required package has no version.
    """
    core, edges = _closure(product.requires, [""], requirements)
    all_packages, further_edges = _closure(product.requires, ["", *product.extras], requirements)
    edges |= further_edges
    missing_packages = sorted(core - versions.keys())
    if missing_packages:
        raise LookupError(
            f"There is no version of {', '.join(missing_packages)}. Refresh constraints.txt."
        )
    refs = {name: _ref(name, versions.get(name)) for name in all_packages}
    root = f"pkg:pypi/{normal(product.name)}@{product.version}"
    direct = sorted({normal(Requirement(text).name) for text in product.requires} & all_packages)
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{root}#{product.digest}')}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": root,
                "name": product.name,
                "version": product.version,
                "purl": root,
                "hashes": [{"alg": "SHA-256", "content": product.digest}],
                "licenses": [{"expression": product.licence}],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": refs[name],
                "name": name,
                **({"version": versions[name]} if name in versions else {}),
                "purl": refs[name],
                "scope": "required" if name in core else "optional",
            }
            for name in sorted(all_packages)
        ],
        "dependencies": [
            {"ref": root, "dependsOn": [refs[name] for name in direct]},
            *(
                {
                    "ref": refs[name],
                    "dependsOn": [refs[needed_name] for needed_name in sorted(edges[name])],
                }
                for name in sorted(all_packages)
            ),
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _ref(name: str, version: str | None) -> str:
    return f"pkg:pypi/{name}" + (f"@{version}" if version else "")


def _closure(
    requires: Iterable[str], extras: Iterable[str], requirements: Requirements
) -> tuple[set[str], dict[str, set[str]]]:
    """Return the names of all required packages, and each package's direct requirements."""
    pending_requirements = [(text, tuple(extras), "") for text in requires]
    edges: dict[str, set[str]] = {}
    seen_names: set[tuple[str, str]] = set()
    while pending_requirements:
        text, active_extras, parent = pending_requirements.pop()
        requirement = Requirement(text)
        if not _applies(requirement, active_extras):
            continue
        name = normal(requirement.name)
        edges.setdefault(name, set())
        if parent:
            edges[parent].add(name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen_names:
                seen_names.add((name, extra))
                pending_requirements += [(child, (extra,), name) for child in requirements(name)]
    return set(edges), edges


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
