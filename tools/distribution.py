"""Builds and checks the published packages: `python -m tools.distribution [FOLDER]`.

1. The wheel and the sdist are built twice, and must have the same bytes.
2. The wheel that is built from the unpacked sdist must be the same wheel.
3. The wheel is installed in fresh environments, with the core alone and with all extras. There
   every entry point loads, every module that has its packages can be imported, and a call succeeds.
4. A bill of materials is written beside them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import venv
from email import message_from_string
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from zipfile import ZipFile

from tools.bill_of_materials import Product, bill, pinned_versions
from tools.command_line import tool_parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).parent.parent
PYTHON: Final = Path(sys.executable)
"""The interpreter with the tools that build; fresh environments have its version."""
NATIVE: Final = frozenset({"kerberos"})
"""The extras that are built with a library of the system, which a fresh environment lacks."""
CHECK: Final = """
from importlib import metadata, resources

import moorage
from moorage import ConnectorManager, Request, Service
from moorage.testing import Behaviour, VendorServer

distribution = metadata.distribution("moorage")
assert distribution.version == {version!r}, distribution.version
assert resources.files(moorage).joinpath("py.typed").is_file()
assert any(path.name == "LICENSE" for path in distribution.files)
groups = set(distribution.entry_points.groups) - {{"pytest11"}}
names = [point for group in groups for point in distribution.entry_points.select(group=group)]
for point in names:
    point.load()
with VendorServer() as vendor:
    vendor.always(Behaviour.of_json({{"rate": "0.19"}}))
    with ConnectorManager([Service("vat", vendor.url)]) as manager:
        assert manager.call("vat", Request.get("/rates")).json() == {{"rate": "0.19"}}
print(len(names))
"""
"""The program that checks an installation."""
PROBE: Final = Path(__file__).with_name("extras_probe.py")
"""The program that imports all modules of an installation."""


def build(source: Path, folder: Path) -> list[Path]:
    """Build a source folder's wheel and sdist, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    _run([PYTHON, "-m", "hatchling", "build", "-d", folder], cwd=source)
    return sorted(folder.glob("moorage-*"))


def wheel_of(source: Path, folder: Path) -> Path:
    """Build a source folder's wheel, and return its path."""
    _run([PYTHON, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def require_equal(first: Iterable[Path], second: Iterable[Path]) -> None:
    """Exit with an error if two builds differ.

    Raises:
        SystemExit: a file differs, or is in one build only.
    """
    digests = [{path.name: digest(path) for path in paths} for paths in (first, second)]
    different = sorted(name for name, _ in digests[0].items() ^ digests[1].items())
    if different:
        raise SystemExit(f"Two builds differ in {', '.join(dict.fromkeys(different))}.")


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def product_of(wheel: Path) -> Product:
    """Return the facts about the package in a wheel that a bill of materials needs."""
    with ZipFile(wheel) as archive:
        (name,) = (path for path in archive.namelist() if path.endswith(".dist-info/METADATA"))
        fields = message_from_string(archive.read(name).decode())
    return Product(
        name=fields["Name"],
        version=fields["Version"],
        licence=fields["License"],
        digest=digest(wheel),
        requires=tuple(fields.get_all("Requires-Dist", ())),
        extras=tuple(fields.get_all("Provides-Extra", ())),
    )


def installed_requirements(name: str) -> Sequence[str]:
    """Return the requirements of an installed package; empty if it is not installed."""
    try:
        return metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return ()


def check_installation(wheel: Path, version: str, extras: Iterable[str]) -> dict[str, Any]:
    """Install a wheel in a new environment and import its modules; return the import report.

    Raises:
        SystemExit: the installation or the check failed.
    """
    names = ",".join(extras)
    with TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        pip = [python, "-m", "pip", "-qq", "--disable-pip-version-check", "install"]
        _run([*pip, "-c", ROOT / "constraints.txt", f"{wheel}[{names}]" if names else wheel])
        _run([python, "-I", "-W", "error", "-c", CHECK.format(version=version)], cwd=Path(folder))
        if "cli" in extras:
            _run([python, "-I", "-m", "moorage", "--version"], cwd=Path(folder))
        probe = _run([python, "-I", "-W", "error", PROBE], cwd=Path(folder))
    report: dict[str, Any] = json.loads(probe)
    return report


def main(target: Path) -> int:
    """Build, compare, check, and write the bill of materials; return the exit code."""
    with TemporaryDirectory() as folder:
        first, second = build(ROOT, Path(folder, "1")), build(ROOT, Path(folder, "2"))
        require_equal(first, second)
        wheel, sdist = sorted(first, key=lambda path: path.suffix, reverse=True)
        with tarfile.open(sdist) as archive:
            archive.extractall(Path(folder, "source"), filter="data")
        (source,) = Path(folder, "source").iterdir()
        require_equal([wheel], [wheel_of(source, Path(folder, "3"))])
        product = product_of(wheel)
        text = bill(
            product,
            pinned_versions((ROOT / "constraints.txt").read_text("utf-8")),
            installed_requirements,
        )
        for extras in ((), tuple(extra for extra in product.extras if extra not in NATIVE)):
            report = check_installation(wheel, product.version, extras)
            if report["problems"]:
                raise SystemExit("\n".join(report["problems"]))
        target.mkdir(parents=True, exist_ok=True)
        for path in first:
            shutil.copyfile(path, target / path.name)
        (target / f"{product.name}-{product.version}.cdx.json").write_text(text, "utf-8")
    print(*sorted(path.name for path in target.iterdir()), sep="\n")
    return 0


def _run(command: Sequence[object], cwd: Path | None = None) -> str:
    finished = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise SystemExit(f"{command[0]} failed:\n{finished.stdout}{finished.stderr}")
    return finished.stdout


if __name__ == "__main__":
    PARSER = tool_parser("distribution", __doc__)
    PARSER.add_argument(
        "folder", nargs="?", type=Path, default=ROOT / "dist", help="dist by default"
    )
    sys.exit(main(PARSER.parse_args().folder))
