"""`moorage call` and `moorage ping`: the requests sent and the responses shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.testing import VendorServer
from moorage.testing.fakes.http_script import Behaviour
from moorage.testing.sandboxes.payments.paypal import PayPalSandbox
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.support.command import command, run_typed
from tests.support.configured import configure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOORAGE = [sys.executable, "-m", "moorage"]


@pytest.fixture(name="vat")
def _vat() -> Iterator[VendorServer]:
    """Return the service `vat`, for calls by the tests."""
    with VendorServer() as vendor:
        configure(
            f'[state]\nurl = "sqlite:///state.db"\n[services.vat]\nbase_url = "{vendor.url}"\n'
            f'retry = {{ preset = "none" }}\n[services.asking]\nbase_url = "{vendor.url}"\n'
            "needs_credentials = true\n"
        )
        yield vendor


def test_call_shows_status_headers_and_masked_json(vat: VendorServer) -> None:
    """`moorage call` shows status, headers and JSON of the response, with secrets masked."""
    vat.respond_json({"country": "DE", "password": "hunter2"})
    vat.respond_json({"country": "DE", "password": "hunter2"})
    people = command("call", "vat", "get", "/rates", "--query", "country=DE")
    result = command("call", "vat", "GET", "/rates", "--json", "--header", "X-One=1")

    assert (0, 0) == (people.code, result.code)
    assert people.out.startswith("HTTP 200")
    assert '"country": "DE"' in people.out
    assert (200, "DE") == (result.result["status"], result.result["body"]["country"])
    assert "hunter2" not in people.out + result.out
    first, second = vat.requests
    assert ("GET", "/rates?country=DE") == (first.method, first.target)
    assert "1" == second.headers.get("x-one")


@pytest.mark.parametrize("value", ["--body", "--json-body"])
def test_call_sends_a_body_from_text_file_or_stdin(
    vat: VendorServer, value: str, tmp_path: Path
) -> None:
    """`moorage call` sends a body from text, a file or stdin, and an idempotency key by --key."""
    (tmp_path / "body.json").write_text('{"a": 1}')
    vat.respond(204)
    text = '{"a": 1}' if value == "--json-body" else "@body.json"
    result = command("call", "vat", "POST", "/things", value, text, "--key", "k1")

    assert 0 == result.code
    assert b'{"a": 1}' == vat.requests[0].body
    second_output = command("call", "vat", "POST", "/things", value, text, "--key", "k1", "--json")
    assert (True, 1) == (second_output.result["replayed"], len(vat.requests))


def test_json_body_has_the_content_type_of_the_caller(vat: VendorServer) -> None:
    """A Content-Type that is given as a header replaces the Content-Type of a JSON body."""
    vat.respond(204)
    arguments = ("vat", "POST", "/x", "--json-body", "{}")
    command("call", *arguments, "--header", "content-type=application/vnd.api+json")
    assert ("application/vnd.api+json",) == vat.requests[0].headers.get_all("content-type")


def test_piped_input_is_sent_as_the_body(vat: VendorServer) -> None:
    """`moorage call` sends piped standard input unchanged as the body."""
    vat.respond(200, {"Content-Type": "text/html"}, b"<p>no json</p>")
    process = subprocess.run(
        [*MOORAGE, "call", "vat", "PUT", "/x", "--body", "@-"],
        input=b"piped",
        capture_output=True,
        check=False,
    )

    assert (0, b"piped") == (process.returncode, vat.requests[0].body)
    assert b"<p>no json</p>" in process.stdout


def test_response_of_a_refusal_is_shown(vat: VendorServer) -> None:
    """If the vendor refuses, its response is printed; the exit code depends on the error's kind."""
    vat.respond_json({"error": "no such rate"}, status=404)
    vat.respond(500, {"Content-Type": "application/json"}, b"{broken")
    people = command("call", "vat", "GET", "/rates/XX")
    result = command("call", "vat", "GET", "/rates/XX", "--json")

    assert (1, 1) == (people.code, result.code)
    assert "HTTP 404" in people.out
    assert "no such rate" in people.out
    assert "moorage: " in people.out
    assert (False, "VendorFailed", 500) == (
        result.document["ok"],
        result.result["error"]["kind"],
        result.result["status"],
    )


def test_unreachable_service_is_an_error() -> None:
    """A refused connection ends `moorage call` with an error and an empty standard output."""
    with VendorServer(port="refusing") as unknown_server:
        configure(
            f'[services.vat]\nbase_url = "{unknown_server.url}"\nretry = {{ preset = "none" }}\n'
        )
        result = command("call", "vat", "GET", "/")

    assert (1, "") == (result.code, result.out)


@pytest.mark.parametrize(
    "more, words",
    [
        (["--query", "x"], "--query"),
        (["--header", "=x"], "--header"),
        (["--json-body", "{"], "--json-body"),
        (["--json-body", '"\udcff"'], "--json-body"),
        (["--json-body", "{}", "--body", "x"], "--body"),
        (["--header", "X-One=a\nb"], "X-One"),
        (["--body", "@nowhere"], "--body"),
        (["--body", "@a\0b"], "--body"),
        (["--body", "@/dev/zero"], "has more than 256000000 bytes"),
        (["--credentials", "nowhere"], "--credentials"),
    ],
)
def test_invalid_requests_are_refused(vat: VendorServer, more: list[str], words: str) -> None:
    """`moorage call` refuses an invalid request before anything is sent."""
    os.environ["MOORAGE_KEYS"] = generate_keys().text().reveal()
    result = command("call", "vat", "POST", "/", *more)

    assert (2, True, ()) == (result.code, words in result.err, vat.requests)


def test_an_unknown_service_is_refused() -> None:
    """An unknown service is refused, and the error lists the configured services."""
    configure("")

    assert 2 == command("call", "nobody", "GET", "/").code


def test_credentials_come_from_a_store(vat: VendorServer) -> None:
    """`moorage call` uses credentials from the named store for a service that needs them."""
    os.environ["MOORAGE_KEYS"] = generate_keys().text().reveal()
    store = "sqlite:///credentials.db"
    subprocess.run(
        [*MOORAGE, "credentials", "set", "asking", "--credentials", store],
        input=b"hunter2\n",
        check=True,
    )
    vat.respond_json({})
    assert 1 == command("call", "asking", "GET", "/").code
    result = command("call", "asking", "GET", "/", "--credentials", store)

    assert 0 == result.code
    assert "Bearer hunter2" == vat.requests[-1].headers.get("authorization")
    assert "hunter2" not in result.out


def test_ping_tells_accepted_keys_from_untried_ones() -> None:
    """`moorage ping` distinguishes accepted keys, requested tokens and untestable accounts."""
    stripe, paypal = StripeSandbox(), PayPalSandbox()
    with stripe.serving() as cards, paypal.serving() as wallet, VendorServer() as vat:
        configure(
            f"""
            [state]
            url = "sqlite:///state.db"
            [vendors.stripe]
            credentials = "{stripe.api_key}"
            base_url = "{cards.url}"
            [vendors.paypal]
            client_id = "{paypal.client_id}"
            client_secret = "{paypal.client_secret}"
            base_url = "{wallet.url}"
            return_url = "https://shop.example/back"
            [vendors.local_files]
            root = "files"
            [payments]
            vendor = ["stripe", "paypal"]
            [services.vat]
            base_url = "{vat.url}"
            """
        )
        people, match = command("ping"), command("ping", "--json")
        ping_command = command("ping", "vat", "--json")
        nobody = command("ping", "nobody")
        assert () == vat.requests

    result = {ping["service"]: ping["answer"] for ping in match.result["pings"]}
    assert {
        "stripe": "accepted",
        "paypal": "token",
        "vat": "reachable",
        "local_files": "untried",
    } == result
    assert (0, 0) == (people.code, match.code)
    assert "the credentials are accepted" in people.out
    assert ["vat"] == [ping["service"] for ping in ping_command.result["pings"]]
    assert (2, True) == (nobody.code, "vat" in nobody.err)
    assert [] == list(stripe.charges)


def test_ping_reports_failures() -> None:
    """`moorage ping` reports a refused key and an unreachable service, also in its exit code."""
    stripe = StripeSandbox()
    with stripe.serving() as cards, VendorServer(port="refusing") as unknown_server:
        configure(
            f"""
            [state]
            url = "sqlite:///state.db"
            [vendors.stripe]
            credentials = "sk_test_hunter2"
            base_url = "{cards.url}"
            [services.vat]
            base_url = "{unknown_server.url}"
            [services.secure]
            base_url = "https{cards.url.removeprefix("http")}"
            """
        )
        ended_ended = command("ping", "--json")
        people = command("ping")

    result = {ping["service"]: (ping["ok"], ping["answer"]) for ping in ended_ended.result["pings"]}
    assert (1, 1) == (ended_ended.code, people.code)
    assert {
        "stripe": (False, "refused"),
        "vat": (False, "failed"),
        "secure": (False, "failed"),
    } == result
    assert "hunter2" not in ended_ended.out + people.out
    assert json.loads(ended_ended.out)["ok"] is False


@pytest.mark.parametrize(
    "body",
    [
        '{"rate": NaN}',
        '{"rate": 1e999}',
        '{"rate": 1e-99999999999999999999}',
        '{"amount": 12345678901234567.89}',
        "[" * 100_000 + "]" * 100_000,
    ],
    ids=["nan", "infinite", "tiny", "precise", "deep"],
)
def test_body_that_json_would_change_is_shown_as_text(vat: VendorServer, body: str) -> None:
    """`moorage call` shows a response as text if its numbers or its depth exceed those of JSON."""
    answer = Behaviour(200, {"Content-Type": "application/json"}, body.encode())
    vat.queue(answer, answer)

    result, people = (
        command("call", "vat", "GET", "/x", "--json"),
        command("call", "vat", "GET", "/"),
    )

    assert (0, body) == (result.code, result.result["body"])
    assert people.out.endswith(f"\n\n{body}\n")


def test_ping_reaches_every_region() -> None:
    """`moorage ping` checks the server of each region, and `check` shows all hosts."""
    with VendorServer() as server, VendorServer(port="refusing") as unknown_server:
        configure(
            f"""
            [state]
            url = "sqlite:///state.db"
            [[services.vat.regions]]
            name = "eu"
            base_url = "{server.url}"
            [[services.vat.regions]]
            name = "us"
            base_url = "{unknown_server.url}"
            """
        )
        result, people = command("ping", "--json"), command("ping", "vat")
        hosts = f"{urlsplit(server.url).netloc}, {urlsplit(unknown_server.url).netloc}"

        assert hosts in command("check").out
    rows = [(row["service"], row["region"], row["answer"]) for row in result.result["pings"]]
    assert [("vat", "eu", "reachable"), ("vat", "us", "failed")] == rows
    assert (1, True) == (people.code, "vat (us)" in people.out)


def test_typed_input_is_sent_as_the_body(vat: VendorServer) -> None:
    """`moorage call` sends typed standard input unchanged as the body."""
    vat.respond(204)
    result = run_typed("some text", "call", "vat", "PUT", "/x", "--body", "@-")

    assert (0, b"some text") == (result.code, vat.requests[0].body)
