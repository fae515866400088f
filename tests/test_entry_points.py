"""Entry points of other packages: transports, stores, webhook schemes and functions."""

from __future__ import annotations

import asyncio
import gc
import sys
import tomllib
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, Request, Response, WebhookVerifier
from moorage.testing import FakeVendor, ScriptedHttpClient
from moorage.wiring.built_in_vendors import BUILT_IN
from moorage.wiring.store_urls import aopen_storage, open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = '''
import attrs
from moorage import Service, WebhookScheme
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.contracts.vendor import Vendor
from moorage.domain.auth.methods import Credentials

closed = []

class Queue:
    def __init__(self, options):
        self.options = options
    def push(self, text):
        return f"{self.options.topic}-{text}"
    def close(self):
        closed.append(self.options.topic)

class AsyncQueue:
    def __init__(self, options):
        self.options = options
    async def push(self, text):
        return f"{self.options.topic}-{text}"
    async def aclose(self):
        closed.append(f"async {self.options.topic}")

class Alone:
    def __init__(self, options):
        pass

@attrs.frozen(kw_only=True)
class Post(Vendor):
    """A queue of text messages.

    Attributes:
        topic: where they go.
    """
    name = "post_queue"
    kinds = ("sms",)
    transport = "ours-queue"
    topic: str = "texts"

    def services(self):
        return {"": Service("post_queue", credentials=Credentials.none())}

@attrs.frozen(kw_only=True)
class Half(Post):
    """A queue that only waits."""
    name = "half_queue"
    transport = "ours-alone"

@attrs.frozen(kw_only=True)
class Lost(Post):
    """A queue whose transport nobody provides."""
    name = "lost_queue"
    transport = "nobodys"

def store(url, *, is_async):
    return AsyncMemoryStorage() if is_async else MemoryStorage()

def sign(request):
    return request.with_header("X-Signed", "yes")

def trust(request, response):
    return None

scheme = WebhookScheme(name="ours", signature="{header:X-Ours}", id="{json:id}")
text = "no function"
'''
POINTS = """
[moorage.vendors]
post_queue = ours_points:Post
half_queue = ours_points:Half
lost_queue = ours_points:Lost
[moorage.transports]
ours-queue = ours_points:Queue
ours-alone = ours_points:Alone
[moorage.stores]
ours = ours_points:store
broken = ours_points:nothing
failing = ours_failure:store
[moorage.webhook_schemes]
ours = ours_points:scheme
none = ours_points:text
[moorage.functions]
sign = ours_points:sign
trust = ours_points:trust
text = ours_points:text
"""


@pytest.fixture(autouse=True, name="ours")
def _own_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make a package with entry points appear to be installed."""
    (tmp_path / "ours_points.py").write_text(MODULE)
    (tmp_path / "ours_failure.py").write_text("raise RuntimeError('password=swordfish')")
    metadata_folder = tmp_path / "ours_points-1.0.dist-info"
    metadata_folder.mkdir()
    (metadata_folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: ours-points\nVersion: 1.0\n"
    )
    (metadata_folder / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("ours_points")
    sys.modules.pop("ours_points")


def test_transport_of_another_package_is_found_and_closed(ours: Any) -> None:
    """A transport from another package serves its vendor, and is closed with the hub."""
    source = {"vendors": {"post_queue": {"topic": "t"}}}
    with moorage.open(source) as hub:
        assert [("t", "Queue")] == [
            (transport.options.topic, type(transport).__name__)
            for transport in hub._live.dispatcher.transports.values()  # noqa: SLF001 - no verb leads to it alone
        ]
        hub.reload({"vendors": {"post_queue": {"topic": "u"}}})
        gc.collect()
    assert ["u"] == sorted(ours.closed)

    async def run_async() -> None:
        async with moorage.aopen(source):
            pass

    asyncio.run(run_async())
    assert "async t" in ours.closed


def test_transport_of_the_host_stays_open(ours: Any) -> None:
    """A hub does not close a transport that the host passed."""
    host_transport = ours.Queue(ours.Post(topic="own"))
    with moorage.open({"vendors": {"post_queue": {}}}, transports={"post_queue": host_transport}):
        pass

    assert [] == ours.closed


@pytest.mark.parametrize(
    "vendor, opened, words",
    [
        (
            "lost_queue",
            moorage.open,
            "needs the transport 'nobodys', but no installed package provides it",
        ),
        (
            "half_queue",
            moorage.aopen,
            "does not support asynchronous programs: ours_points has no AsyncAlone",
        ),
    ],
)
def test_missing_transport_or_one_of_the_other_mode_is_refused(
    vendor: str, opened: Any, words: str
) -> None:
    """A missing transport, or one of the wrong mode, is refused; the error names the account."""
    with pytest.raises(ConfigurationError, match=words) as excinfo:
        opened({"vendors": {vendor: {}}})

    assert f"vendors.{vendor}.kind" == excinfo.value.path


def test_store_of_another_package_is_named_by_its_url() -> None:
    """A URL scheme selects an installed package's store; one that cannot be loaded is reported."""
    assert "MemoryStorage" == type(open_storage("ours://here")).__name__
    assert "AsyncMemoryStorage" == type(aopen_storage("ours://here")).__name__
    with moorage.open({"state": {"url": "ours://here"}}):
        pass
    with pytest.raises(ConfigurationError, match="ours_points:nothing, which cannot be imported"):
        open_storage("broken://here")
    with pytest.raises(ConfigurationError, match=r"cannot be imported \(RuntimeError\)") as excinfo:
        open_storage("failing://here")
    assert "swordfish" not in "".join(traceback.format_exception(excinfo.value))


def test_webhook_scheme_of_another_package() -> None:
    """A webhook verifier accepts an installed package's scheme, and refuses unknown ones."""
    WebhookVerifier("ours", "hidden" * 6)
    with pytest.raises(ConfigurationError, match="ours_points:text, which is not a WebhookScheme"):
        WebhookVerifier("none", "hidden" * 6)


def test_functions_of_another_package_by_file() -> None:
    """A configuration file can name request transforms and classifiers of other packages."""
    vendor = FakeVendor()
    vendor.always(Response(200))
    service = {
        "base_url": "https://a.example",
        "request_transforms": "sign",
        "classify": "trust",
        "endpoints": [{"name": "rates", "request_transforms": ["sign"]}],
    }
    with moorage.open({"services": {"a": service}}, http=ScriptedHttpClient(vendor)) as hub:
        hub.manager.call("a", Request.get("/"))

    assert "yes" == vendor.requests[0].headers["X-Signed"]


@pytest.mark.parametrize(
    "name, result",
    [
        ("sing", "The group moorage.functions has no entry point named 'sing'"),
        ("text", "ours_points:text, which is not a function"),
        (7, "The value is a whole number, not the name of an installed function"),
    ],
)
def test_error_has_setting_path_if_named_function_does_not_exist(name: object, result: str) -> None:
    """If a named function does not exist, the error has the setting's path."""
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open({"services": {"a": {"base_url": "https://a.example", "classify": name}}})

    (problem,) = excinfo.value.problems
    assert ("services.a.classify", True) == (problem.path, result in problem.found)


def test_built_in_vendors_are_the_entry_points_of_the_package() -> None:
    """The table of built-in vendors repeats the entry points that the package declares."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
    entry_points = tomllib.loads(text)["project"]["entry-points"]["moorage.vendors"]

    assert entry_points == {name: vendor.value for name, vendor in BUILT_IN.items()}
