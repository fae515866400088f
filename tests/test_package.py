"""The package as a whole: its files, its exports, and the cost of importing it."""

import json
import subprocess
import sys
from importlib import metadata, resources

import pytest

import moorage

# Clients, drivers, event loops and thread pools, which a process that only imports moorage must not
# load.
HEAVY = {
    "aiohttp",
    "asyncio",
    "attr",
    "concurrent.futures",
    "cryptography",
    "http.client",
    "httpx",
    "httpx2",
    "logging",
    "multiprocessing",
    "pyreqwest",
    "queue",
    "redis",
    "requests",
    "selectors",
    "smtplib",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "threading",
    "ulid",
    "urllib.request",
    "urllib3",
}

# The child starts without `site` (-I -S), which would load modules that hide what moorage loads,
# and no coverage hook runs.
PROBE = """
import sys
sys.path[:] = sys.argv[1:]
import _thread
import json
before = set(sys.modules)
import moorage
loaded = sorted(set(sys.modules) - before)
print(json.dumps({"loaded": loaded, "threads": _thread._count()}))
"""


@pytest.fixture(scope="module", name="fresh")
def _fresh_import() -> dict[str, object]:
    """Run `import moorage` in a new interpreter, and return a report about the import."""
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROBE, *filter(None, sys.path)],
        capture_output=True,
        check=True,
        text=True,
    )
    report: dict[str, object] = json.loads(answer.stdout)
    return report


def test_package_contains_py_typed() -> None:
    """The package contains the marker file `py.typed`."""
    assert resources.files(moorage).joinpath("py.typed").is_file()


def test_installed_package_names_its_version_and_python() -> None:
    """The metadata of an installed moorage state its name, version and required Python."""
    result = metadata.metadata("moorage")

    assert "moorage" == result["Name"]
    assert metadata.version("moorage") == result["Version"]
    assert ">=3.11" == result["Requires-Python"]


def test_core_dependencies_have_no_caps() -> None:
    """The core has exactly three dependencies, and each has only a lower version bound."""
    core = [line for line in metadata.requires("moorage") or () if "extra" not in line]

    assert ["attrs>=23.1", "cryptography>=41", "python-ulid>=1.0"] == sorted(core)


def test_import_is_light(fresh: dict[str, object]) -> None:
    """Importing moorage loads no client, driver, event loop, thread pool or cipher."""
    loaded_modules = fresh["loaded"]
    assert isinstance(loaded_modules, list)

    assert set() == HEAVY & set(loaded_modules)
    assert "moorage" in loaded_modules


def test_import_starts_no_thread(fresh: dict[str, object]) -> None:
    """Importing moorage starts no thread."""
    assert 0 == fresh["threads"]


@pytest.mark.parametrize("name", sorted({"open", *moorage.__all__}))
def test_every_export_resolves(name: str) -> None:
    """Each name in `__all__` exists, and `dir` lists it."""
    assert getattr(moorage, name) is not None
    assert name in dir(moorage)


def test_exports_are_listed_once() -> None:
    """No name is listed twice in `__all__`."""
    assert len(set(moorage.__all__)) == len(moorage.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    """An unknown export raises an AttributeError, as in any module."""
    name = "no_such_name"

    with pytest.raises(AttributeError, match=name):
        getattr(moorage, name)


def test_every_export_resolves_under_eventlet() -> None:
    """Each export can be imported even after eventlet removed parts of the module `select`."""
    program = (
        "import select\n"
        "for name in ('poll', 'epoll', 'devpoll', 'kqueue', 'kevent'):\n"
        "    vars(select).pop(name, None)\n"
        "from moorage import *\n"
        "print(SshPlatform.__name__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ("SshPlatform\n", "") == (run.stdout, run.stderr)


def test_text_is_never_compared_with_bytes() -> None:
    """Under `python -bb`, sources and webhooks load, and headers may be named in bytes."""
    code = (
        "import moorage.adapters.sql.outbox_table\n"
        "from moorage.domain.webhooks.delivery import Delivery\n"
        "headers = [(b'X-Signature', b'a'), ('Host', 'b')]\n"
        "print(Delivery(headers, b'', names=frozenset({'x-signature'})).header('x-signature'))\n"
    )
    command = [sys.executable, "-bb", "-c", code]
    assert "a\n" == subprocess.run(command, capture_output=True, text=True, check=True).stdout
