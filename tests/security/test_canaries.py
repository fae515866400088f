"""No log, event, error, traceback, pickle, recording or store shows a secret."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs
import pytest

from moorage import ConnectorError, Service, VendorFailed
from moorage.domain.http.headers import Headers
from moorage.domain.secrets.frames import without_frames
from tests.security.canaries import Canaries, file_contents, revealed_texts
from tests.security.day import MODES, observed_calls
from tests.security.simulated_calls import ForeignError
from tests.security.watched import LoggedOutputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.mark.untraced
@pytest.mark.parametrize("mode", MODES)
def test_calls_show_no_secret(mode: str, tmp_path: Path) -> None:
    """No simulated call shows a secret in logs, events, errors or other output."""
    canaries = Canaries()
    folder = tmp_path / "kept"
    folder.mkdir()
    day = asyncio.run(observed_calls(canaries, mode, folder))

    results: list[str] = []
    for name, value in day.seen:
        results += canaries.search(name, value)
    for event in day.events:
        results += canaries.search(type(event).__name__, event)
        results += canaries.search(f"{type(event).__name__} pickled", pickle.dumps(event))
    for record in day.records:
        results += canaries.search(f"log {record.name}", vars(record))
        results += canaries.search(f"log {record.name}", logging.Formatter().format(record))
    for file, content in file_contents(folder):
        results += canaries.search(f"file {file}", content)

    assert [] == results
    # There were enough errors to inspect.
    errors = [value for _, value in day.seen if isinstance(value, Exception)]
    assert _EXPECTED <= {type(error).__name__ for error in errors}
    expected_errors = (ConnectorError, ForeignError, TimeoutError)
    assert [] == [error for error in errors if not isinstance(error, expected_errors)]
    assert {"bound.json", "cache.db", "credentials.db", "state.db", "tape.json"} <= {
        file for file, _ in file_contents(folder)
    }
    assert len(canaries.planted) >= 40


@pytest.mark.untraced
@pytest.mark.parametrize("mode", MODES)
def test_everything_that_watches_shows_no_secret(mode: str, tmp_path: Path) -> None:
    """Spans, metrics, log records and the stored log with its exports contain no credential.

    Contents keep values that neither a name nor a rule gives away; these are no credentials.
    """
    canaries = Canaries()
    stores, watched_folder = tmp_path / "stores", tmp_path / "watched"
    stores.mkdir()
    watched_folder.mkdir()
    watched = LoggedOutputs(watched_folder)
    day = asyncio.run(observed_calls(canaries, mode, stores, watched))

    outputs = list(watched.outputs())
    files = file_contents(watched_folder)
    records = [(f"log {record.name}", vars(record)) for record in day.records]
    results = {
        f"{secret} in {name}"
        for name, value in (*outputs, *files, *records)
        for _, text in revealed_texts(value, name)
        for secret in canaries.heard(text)
        if not secret.startswith(_DATA)
    }

    assert set() == results
    assert {"calls.db", "calls.csv", "calls.jsonl", "calls.parquet", "metrics.db"} == {
        file for file, _ in files
    }
    assert any(canaries.heard(content.decode("latin-1")) for _, content in files)


_DATA = ("answered-body", "body-note", "kept-body", "kept-tag", "n-")
"""Values under the names `note` and `ETag`, which are stored with the content of calls."""

_EXPECTED = {
    "AttemptTimeout",
    "AuthenticationFailed",
    "CircuitBreakerOpen",
    "ConfigurationError",
    "ConnectionFailed",
    "CredentialNotFound",
    "CredentialRefreshFailed",
    "DeadlineExceeded",
    "ForeignError",
    "IdempotencyConflict",
    "InvalidData",
    "InvalidRequest",
    "NotCached",
    "OutcomeUnknown",
    "RateLimitExceeded",
    "StorageUnavailable",
    "VendorFailed",
    "VendorRejected",
    "WebhookRejected",
}


def _planted_outputs(secret: str) -> Iterator[tuple[str, object]]:
    """Yield every kind of output that could reveal a secret, each with the given secret in it."""
    yield "repr", Service(secret)
    yield "nested", {"a": [(1, {"b": secret.encode()})]}
    yield "percent-encoded", f"/?q={quote(secret)}"
    yield "base64", base64.b64encode(f"user:{secret}".encode()).decode()
    yield "message", VendorFailed(secret)
    yield "field", VendorFailed("it failed", vendor_message=secret)
    yield "note", with_note(VendorFailed("it failed"), secret)
    yield "field of attrs", Holder(secret)
    yield "local", raised_error(lambda: frame_of_ours(secret, VendorFailed("it failed")))
    failed_error = VendorFailed("it failed")
    failed_error.__cause__ = raised_error(lambda: frame_of_ours(secret, LookupError("why")))
    yield "local of a cause", failed_error
    failed_error = VendorFailed("it failed")
    failed_error.__context__ = raised_error(lambda: frame_of_ours(secret, LookupError("meanwhile")))
    failed_error.__suppress_context__ = True
    yield "local of a context that is not shown", failed_error
    yield "local of one of a group", ExceptionGroup("", [failed_error])
    yield (
        "headers among the locals",
        raised_error(lambda: frame_of_ours(Headers({"X-Any": secret}), LookupError("why"))),
    )


@attrs.frozen(repr=False)
class Holder:
    """An object whose repr is empty, with a secret in a field."""

    held: str


def with_note(error: Exception, note: str) -> Exception:
    """Return an error with this text as a note."""
    error.add_note(note)
    return error


def raised_error(function: Callable[[], object]) -> Exception:
    """Return the error that a function raises."""
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


_NOT_OF_TESTS = """
def frame_of_ours(held, error):
    raise error
"""
_made: dict[str, Any] = {}
# In another file, because the frames of tests are not inspected.
exec(compile(_NOT_OF_TESTS, "elsewhere.py", "exec"), _made)  # noqa: S102 - four lines up
frame_of_ours: Callable[[object, Exception], None] = _made["frame_of_ours"]


def test_planted_leak_is_found() -> None:
    """The secret search finds each leak that was planted on purpose."""
    canaries = Canaries()
    secret = canaries.plant("secret")

    missed_ways = [
        way for way, value in _planted_outputs(secret) if not canaries.search(way, value)
    ]

    assert [] == missed_ways


def test_frames_are_removed_from_errors() -> None:
    """Frames are removed from moorage's error and its causes, but not from the host's own error."""
    host = raised_error(lambda: frame_of_ours("", LookupError("the host's")))
    cause = raised_error(lambda: frame_of_ours("", KeyError("ours")))
    single_error = raised_error(lambda: frame_of_ours("", ValueError("in a group")))
    error = VendorFailed("it failed")
    error.__cause__ = ExceptionGroup("several", [single_error, error])
    error.__context__ = cause
    cause.__context__ = host
    try:
        raise host
    except LookupError:
        assert error is without_frames(error)

    assert [None, None, None] == [item.__traceback__ for item in (error, cause, single_error)]
    assert host.__traceback__ is not None
