"""The page about one charge names the functions that a charge runs, in order."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import moorage
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.payments import Charge, Money
from moorage.testing.sandboxes.payments.stripe import StripeSandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from moorage import Request, Response, Timeouts

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src" / "moorage"
ROW: Final = re.compile(
    r"^\| \d+ \| `(?P<module>[^`]+)` \| `(?P<function>[^`]+)` \|.*\|(?P<store>[^|]*)\|$"
)


class LocalStripe:
    """An HTTP client of the standard library that sends Stripe's requests to a local server."""

    def __init__(self, url: str) -> None:
        self._client = StdlibHttpClient()
        self._url = url

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the local server in place of the vendor's."""
        return self._client.send(
            request, url.replace("https://api.stripe.com", self._url), timeouts
        )

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Any:
        """Raise an error, because a charge does not stream."""
        raise AssertionError(url)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class RecordingStorage(MemoryStorage):
    """A store that records the names of its commands."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[str] = []

    def execute(self, command: Any, timeout: float | None = None, /) -> Any:
        """Execute a command, and record its name."""
        self.commands.append(type(command).__name__)
        return super().execute(command, timeout)


def called_by(action: Callable[[], object]) -> list[tuple[str, str]]:
    """Return the moorage functions that an action calls, in order, with their modules."""
    calls: list[tuple[str, str]] = []

    def record(frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(SOURCE):
            calls.append((str(file.relative_to(SOURCE)), frame.f_code.co_qualname))

    previous_profile = sys.getprofile()
    sys.setprofile(record)
    try:
        action()
    finally:
        sys.setprofile(previous_profile)
    return calls


def test_page_names_functions_and_store_commands_of_real_charge() -> None:
    """The page names the functions and store commands of a real charge, in order."""
    page = (ROOT / "docs" / "explanation" / "one-charge.md").read_text("utf-8")
    rows = [match for line in page.splitlines() if (match := ROW.match(line))]
    commands = [name for row in rows for name in re.findall(r"`(\w+)`", row["store"])]
    stripe, store = StripeSandbox(), RecordingStorage()
    configuration = {
        "payments": {"vendor": "stripe"},
        "vendors": {"stripe": {"credentials": stripe.api_key, "volatile_keys": True}},
    }
    with (
        stripe.serving() as server,
        closing(LocalStripe(server.url)) as http,
        moorage.open(configuration, http=http, state=store) as hub,
    ):

        def charge(number: str) -> object:
            order = Charge(Money("20.00", "EUR"), "tok_visa", reference=number)
            return hub.payments().charge(order, idempotency_key=number)

        charge("first")
        store.commands.clear()
        calls = iter(called_by(lambda: charge("second")))

    assert 20 == len(rows)
    for row in rows:
        assert (row["module"], row["function"]) in calls, f"{row['function']} runs elsewhere"
    assert commands == store.commands
