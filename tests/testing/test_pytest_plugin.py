"""The pytest fixtures that moorage offers to its users' tests."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage import CircuitBreakerConfig, Request, RetryPolicy, Service
from moorage.domain.observation.call_events import CallFinished
from moorage.errors import CircuitBreakerOpen, VendorFailed
from moorage.testing import SequentialIds

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import AsyncConnectorManager, ConnectorManager
    from moorage.testing import (
        AsyncVirtualSleeper,
        Cassette,
        FakeVendor,
        RecordingObserver,
        VendorServer,
        VirtualClock,
        VirtualSleeper,
    )

pytest_plugins = ["pytester"]

VAT = Service(
    "vat",
    base_url="https://vat.example",
    retry=RetryPolicy(max_attempts=3, base_delay=10.0),
    circuit=CircuitBreakerConfig(failures=4),
)


def test_a_manager_reaches_the_fake_vendor_only(
    moorage_manager: Callable[..., ConnectorManager],
    moorage_vendor: FakeVendor,
    moorage_clock: VirtualClock,
    moorage_sleeper: VirtualSleeper,
    moorage_observer: RecordingObserver,
) -> None:
    """The manager fixture uses the fake vendor, virtual time and the recording observer."""
    moorage_vendor.respond(503)
    moorage_vendor.respond(503)
    moorage_vendor.respond_json({"rate": "0.19"})

    answer = moorage_manager([VAT]).call("vat", Request.get("/rates"))

    assert {"rate": "0.19"} == answer.json()
    assert [5.0, 10.0] == moorage_sleeper.sleeps
    assert 15_000_000_000 == moorage_clock.nanoseconds()
    assert [3] == [event.attempts for event in moorage_observer.of(CallFinished)]


def test_an_async_manager_reaches_the_fake_vendor_only(
    moorage_async_manager: Callable[..., AsyncConnectorManager],
    moorage_vendor: FakeVendor,
    moorage_clock: VirtualClock,
    moorage_async_sleeper: AsyncVirtualSleeper,
    moorage_observer: RecordingObserver,
) -> None:
    """The asynchronous manager fixture uses the fake vendor, virtual time and test observer."""
    moorage_vendor.respond(503)
    moorage_vendor.respond(503)
    moorage_vendor.respond_json({"rate": "0.19"})

    answer = asyncio.run(moorage_async_manager([VAT]).call("vat", Request.get("/rates")))

    assert {"rate": "0.19"} == answer.json()
    assert [5.0, 10.0] == moorage_async_sleeper.sleeps
    assert 15_000_000_000 == moorage_clock.nanoseconds()
    assert [3] == [event.attempts for event in moorage_observer.of(CallFinished)]


def test_circuits_use_the_virtual_clock(
    moorage_manager: Callable[..., ConnectorManager],
    moorage_vendor: FakeVendor,
    moorage_clock: VirtualClock,
) -> None:
    """With the manager fixture, an open circuit allows a probe once the test moves the clock."""
    manager = moorage_manager([VAT])
    moorage_vendor.respond(500)
    moorage_vendor.respond(500)
    moorage_vendor.respond(500)
    moorage_vendor.respond(500)
    for refusal in (VendorFailed, CircuitBreakerOpen):
        with pytest.raises(refusal):
            manager.call("vat", Request.get("/rates"))
    moorage_vendor.respond(200)

    moorage_clock.advance(3_600)

    assert 200 == manager.call("vat", Request.get("/rates")).status


def test_ports_can_be_replaced(
    moorage_manager: Callable[..., ConnectorManager],
    moorage_vendor: FakeVendor,
    moorage_observer: RecordingObserver,
) -> None:
    """An adapter that a test passes to the manager fixture replaces the default adapter."""
    moorage_vendor.respond(200)

    moorage_manager([VAT], ids=SequentialIds("mine-")).call("vat", Request.get("/"))

    assert ["mine-000001"] == [event.request_id for event in moorage_observer.of(CallFinished)]


def test_server_fixture_provides_a_local_server_during_the_test(
    vendor_server: VendorServer,
) -> None:
    """The server fixture provides a local server that runs during the test."""
    vendor_server.respond(204)

    assert vendor_server.url.startswith("http://127.0.0.1:")


def test_a_cassette_is_only_replayed_by_default(moorage_cassette: Cassette) -> None:
    """By default, the cassette fixture replays a recording and records nothing."""
    assert not moorage_cassette.recording
    name = "test_a_cassette_is_only_replayed_by_default.json"
    assert (
        Path(__file__).parent / "cassettes" / "test_pytest_plugin" / name == moorage_cassette.path
    )


CASSETTE_TESTS = """
    import pytest
    from moorage import Request, Secret
    from moorage.domain.http.requests import Response, Timeouts
    from moorage.domain.http.redaction import Redaction
    from moorage.testing import FakeVendor, ScriptedHttpClient

    @pytest.fixture(scope="session")
    def moorage_secrets():
        return [Secret("swordfish")]

    @pytest.fixture(scope="session")
    def moorage_redaction():
        return Redaction(header_names={"X-Ours"})

    def ask(cassette, path="/rates"):
        vendor = FakeVendor(Response(200, {"X-Ours": "hidden-1"}, b"a swordfish"))
        client = cassette.client(ScriptedHttpClient(vendor))
        url = f"https://vat.example{path}"
        return client.send(Request.get(path), url, Timeouts()), len(vendor.requests)

    def test_one(moorage_cassette):
        answer, asked = ask(moorage_cassette)
        assert 200 == answer.status
        print("asked", asked, answer.text)

    class TestMany:
        @pytest.mark.parametrize("path", ["/a/b", "/a b", "/" + "x" * 200])
        def test_two(self, moorage_cassette, path):
            ask(moorage_cassette, path.replace(" ", "_"))
"""


@pytest.mark.untraced
def test_option_once_records_missing_cassettes(pytester: pytest.Pytester) -> None:
    """The option `once` records missing cassettes, and `all` records all of them."""
    pytester.makepyfile(test_rates=CASSETTE_TESTS)

    def run(*options: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess("-p", "no:randomly", "-s", *options)

    refused_result = run()
    refused_result.assert_outcomes(failed=4)
    refused_result.stdout.fnmatch_lines(
        ["*GET /rates is not recorded in test_one.json*--moorage-record*"]
    )

    for options, request in (
        (["--moorage-record=once"], "asked 1 a swordfish"),
        (["--moorage-record=once"], "asked 0 a [*][*][*]"),
        ([], "asked 0 a [*][*][*]"),
        (["--moorage-record=none"], "asked 0 a [*][*][*]"),
        (["--moorage-record=all"], "asked 1 a swordfish"),
    ):
        result = run(*options)
        result.assert_outcomes(passed=4)
        result.stdout.fnmatch_lines([f"*{request}*"])


def test_cassette_file_is_stored_beside_its_test(pytester: pytest.Pytester) -> None:
    """A cassette file is stored beside its test, with a readable name and without secrets."""
    pytester.makepyfile(test_rates=CASSETTE_TESTS)

    pytester.runpytest_inprocess("--moorage-record=once").assert_outcomes(passed=4)

    folder = pytester.path / "cassettes" / "test_rates"
    cassettes = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    names = sorted(cassettes)
    assert 4 == len(names)
    assert "test_one.json" == names[-1]
    assert all(name.startswith("TestMany-test_two-") for name in names[:-1])
    assert all(len(name) < 100 for name in names)
    assert "swordfish" not in "".join(cassettes.values())
    assert "hidden-1" not in "".join(cassettes.values())


def test_option_for_cassettes_accepts_only_its_three_values(pytester: pytest.Pytester) -> None:
    """The option for cassettes accepts only its three values."""
    result = pytester.runpytest_inprocess("--moorage-record=always")

    assert pytest.ExitCode.USAGE_ERROR == result.ret


def test_the_fixtures_are_shown(pytester: pytest.Pytester) -> None:
    """`pytest --fixtures` lists each fixture with its docstring."""
    result = pytester.runpytest_inprocess("--fixtures")

    fixture_list = result.stdout.str()
    for name in (
        "moorage_clock",
        "moorage_sleeper",
        "moorage_async_sleeper",
        "moorage_vendor",
        "moorage_observer",
        "moorage_manager",
        "moorage_async_manager",
        "moorage_redaction",
        "moorage_secrets",
        "moorage_cassette",
        "vendor_server",
    ):
        assert name in fixture_list


def test_a_manager_is_closed_after_its_test(pytester: pytest.Pytester) -> None:
    """Resources that a fixture's manager opened are closed after the test."""
    pytester.makepyfile(
        """
        from moorage import Request, Service

        def test_real(moorage_manager, vendor_server):
            vendor_server.respond(200)
            manager = moorage_manager([Service("vat", base_url=vendor_server.url)], http=None)
            assert 200 == manager.call("vat", Request.get("/")).status
        """
    )

    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


PROBE = """
import json, sys
import pytest, _pytest.pytester
before = set(sys.modules)
import moorage.testing.pytest_plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_test_suite_without_moorage_fixtures_imports_only_three_small_modules() -> None:
    """A test suite without moorage's fixtures imports only three small modules."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, check=True, text=True
    )

    loaded_modules = json.loads(answer.stdout)
    assert ["moorage", "moorage.testing", "moorage.testing.pytest_plugin"] == loaded_modules
