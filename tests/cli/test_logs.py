"""`moorage logs`, run as an operator runs it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from pyarrow import parquet

from moorage import IntegrationLog, IntegrationStatus, LogPage, StorageUnavailable
from moorage.adapters.logs.export import export, write_parquet
from moorage.cli import main
from moorage.cli.commands.logs import follow_calls, list_of
from moorage.cli.context import Context
from moorage.testing.kits.integration_log_conformance import entry
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "sqlite:///calls.db"


@pytest.fixture
def log() -> Iterator[Any]:
    """Write a log of two calls, and a configuration that names the log."""
    Path("moorage.toml").write_text(f'[log]\nurl = "{URL}"\n')
    with open_log(URL, create=True, threads=False) as log:
        now = datetime.now(UTC)
        for number, days in enumerate((90, 0)):
            log.write(attrs.evolve(entry(number), started_at=now - timedelta(days=days)))
        log.flush()
        yield log


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """Run a command, check its exit code, and return its JSON result."""
    assert main(["logs", *words, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    return document["result"] if document["ok"] else document["error"]


@pytest.mark.parametrize(
    "words, expected",
    [
        ((), (1, 0)),
        (("--store", URL), (1, 0)),
        (("--days", "1"), (1,)),
        (("--service", "stripe"), (0,)),
        (("--tenant", "acme"), (1,)),
        (("--status", entry(0).status.name.lower()), (0,)),
        (("--failures",), ()),
        (("--tenant", "nobody"), ()),
        (("--operation", "charge"), (0,)),
        (("--vendor", "adyen", "--account", "adyen-eu", "--region", "eu"), (0,)),
        (("--subject", "customer-1", "--key", "INV-0/1"), (0,)),
        (("--trace", f"{1:032x}", "--id", entry(0).id), (0,)),
        (("--text", "DECLINED"), (0,)),
        (("--text", "DECLINED", "--days", "1"), ()),
    ],
)
def test_calls_are_listed(
    words: tuple[str, ...], expected: tuple[int, ...], log: Any, capsys: Any
) -> None:
    """`moorage logs list` shows the newest call first, and its options filter the calls."""
    listed_calls = run(capsys, "list", *words)

    assert [entry(number).id for number in expected] == [
        call["id"] for call in listed_calls["calls"]
    ]


@pytest.mark.parametrize("option", ["--failures", "--status=held_back", "--status=held-back"])
def test_failed_calls_are_listed(option: str, log: Any, capsys: Any) -> None:
    """`--failures` includes rejections, and `--status` accepts each status that output shows."""
    refused_call = attrs.evolve(entry(2), id="refused", status=IntegrationStatus.HELD_BACK)
    log.write(attrs.evolve(refused_call, started_at=datetime.now(UTC)))
    log.flush()

    assert ["refused"] == [call["id"] for call in run(capsys, "list", option)["calls"]]


def test_idempotency_key_is_listed_if_a_call_has_one(log: Any, capsys: Any) -> None:
    """The table of calls has a column of idempotency keys if one of its calls has a key."""
    assert 0 == main(["logs", "list"])
    assert "idempotency_key" in (output := capsys.readouterr().out)
    assert "INV-0/1" in output

    assert 0 == main(["logs", "list", "--days", "1"])
    assert "idempotency_key" not in capsys.readouterr().out


def test_page_of_moorage_logs_list_says_how_to_get_next_one(log: Any, capsys: Any) -> None:
    """A page of `moorage logs list` ends with the command or cursor for the next page."""
    first_page = run(capsys, "list", "--limit", "1")
    second_page = run(capsys, "list", "--after", first_page["next"])
    assert [entry(0).id] == [call["id"] for call in second_page["calls"]]
    assert entry(1).status is IntegrationStatus(first_page["calls"][0]["status"])

    assert 0 == main(["logs", "list", "--limit", "1"])
    assert f"More with --after {first_page['next']}." in capsys.readouterr().out
    assert 0 == main(["logs", "list", "--tenant", "nobody"])
    assert "nothing" in capsys.readouterr().out


def test_list_that_stops_at_its_limit_says_how_far_back_it_has_read() -> None:
    """A list that stops at its limit prints how far back it has read, and how to continue."""
    start = datetime(2030, 1, 1, tzinfo=UTC)
    result = list_of(LogPage(items=(), next="7.8", scanned=50_000, scanned_to=start))
    sentence = "Looked through 50000 entries, back to 2030-01-01T00:00:00+00:00."

    assert {
        "calls": [],
        "next": "7.8",
        "scanned": 50_000,
        "scanned_to": "2030-01-01T00:00:00+00:00",
    } == result.document
    assert ["nothing", f"{sentence} Continue with --after 7.8."] == result.output


def test_old_calls_are_removed(log: Any, capsys: Any) -> None:
    """`moorage logs` removes calls older than the given number of days, and keeps newer calls."""
    assert {"removed": 1} == run(capsys, "remove", "--older-than", "30")
    assert [entry(1).id] == [call["id"] for call in run(capsys, "list")["calls"]]


def test_json_list_has_every_field(log: Any, capsys: Any) -> None:
    """With --json, `moorage logs list` has all fields of an entry, with exact time and duration."""
    (call,) = run(capsys, "list", "--id", entry(0).id)["calls"]

    assert {field.name for field in attrs.fields(IntegrationLog)} == call.keys()
    assert ("stripe", entry(0).duration) == (call["service"], call["duration"])
    assert datetime.fromisoformat(call["started_at"]).tzinfo is not None


def test_call_is_shown(log: Any, capsys: Any) -> None:
    """`moorage logs show` prints all fields of a call, with the request and response if stored."""
    second_entry = attrs.evolve(entry(0), started_at=datetime.now(UTC), response=None)
    log.write(second_entry)
    log.flush()
    assert 0 == main(["logs", "show", entry(0).id])
    first, second = capsys.readouterr().out.split(f"id: {entry(0).id}")[1:]
    assert "\nhttp_status: 402\n" in first
    assert "\n\nrequest:\n  POST https://adyen.example/charges\n" in first
    assert "response:" not in first
    assert "tenant: " not in first
    assert second.endswith(
        "\n\nresponse:\n  HTTP 402\n  content-type: application/json\n  \n  {}\n"
    )

    calls = run(capsys, "show", entry(0).id)["calls"]
    assert [None, entry(0).response] == [call["response"] for call in calls]


def test_unknown_call_is_not_shown(log: Any, capsys: Any) -> None:
    """`moorage logs show` with an unknown call id is an error with a remedy."""
    assert "moorage logs list" in json.dumps(run(capsys, "show", "nobody", code=2))


def test_export_as_csv(log: Any, capsys: Any) -> None:
    """The CSV export has a row for each call; a spreadsheet runs none of the text as a formula."""
    for number, tenant in enumerate(("=1+1", "@x", "-2", "+2", "\t=1", "plain"), 10):
        log.write(attrs.evolve(entry(number), tenant=tenant))
    log.flush()
    assert {"exported": 8} == run(capsys, "export", "--output", "calls.csv")
    with Path("calls.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    tenants = {row["id"]: row["tenant"] for row in rows}
    assert ["'=1+1", "'@x", "'-2", "'+2", "'\t=1", "plain"] == [
        tenants[entry(number).id] for number in range(10, 16)
    ]
    assert 8 == len(rows)


def test_export_as_json_lines(log: Any, capsys: Any) -> None:
    """The JSON Lines export has a document for each matching call."""
    words = ("--format", "jsonl", "--output", "calls.jsonl", "--tenant", "acme")
    assert {"exported": 1} == run(capsys, "export", *words)
    lines = [json.loads(line) for line in Path("calls.jsonl").read_text("utf-8").splitlines()]

    assert [entry(1).id] == [line["id"] for line in lines]
    assert entry(1).status.value == lines[0]["status"]


def test_export_as_parquet(log: Any, capsys: Any) -> None:
    """The Parquet export has a typed column for each field, and row groups of a thousand calls."""
    for number in range(2, 2_500):
        log.write(attrs.evolve(entry(number), tenant="=1+1"))
    log.flush()
    words = ("--format", "parquet", "--output", "calls.parquet")
    assert {"exported": 2_500} == run(capsys, "export", *words)
    file = parquet.ParquetFile("calls.parquet")
    table = file.read()

    assert [field.name for field in attrs.fields(IntegrationLog)] == table.column_names
    assert 3 == file.num_row_groups
    assert {"timestamp[us, tz=UTC]"} == {str(table.schema.field("started_at").type)}
    assert not table.schema.field("service").nullable
    rows = {row["id"]: row for row in table.to_pylist()}
    row, written_entry = rows[entry(9).id], entry(9)
    assert written_entry == attrs.evolve(
        IntegrationLog(**row | {"status": IntegrationStatus(row["status"])}),
        tenant=written_entry.tenant,
    )
    assert "=1+1" == row["tenant"]


def test_export_of_texts_that_parquet_refuses() -> None:
    """In the Parquet export, characters that UTF-8 cannot encode are replaced."""
    unencodable_entry = attrs.evolve(entry(0), tenant="acme\udcff")
    with Path("calls.parquet").open("wb") as file:
        assert 1 == write_parquet([unencodable_entry], file)

    assert ["acme?"] == parquet.read_table("calls.parquet")["tenant"].to_pylist()


def test_export_to_parquet_needs_pyarrow(
    log: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow, the Parquet export names the pip extra to install, and changes no file."""
    Path("calls.parquet").write_text("earlier")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    error = run(capsys, "export", "--format", "parquet", "--output", "calls.parquet", code=2)

    assert "pip install '.[parquet]'" in json.dumps(error)
    assert "earlier" == Path("calls.parquet").read_text()


def test_export_of_more_calls_than_a_page(log: Any, capsys: Any) -> None:
    """An export that needs several pages writes every call once."""
    for number in range(2, 2_500):
        log.write(entry(number))
    log.flush()
    assert {"exported": 2_500} == run(capsys, "export", "--format", "jsonl", "--output", "all")
    ids = [json.loads(line)["id"] for line in Path("all").read_text("utf-8").splitlines()]

    assert sorted(entry(number).id for number in range(2_500)) == sorted(ids)


def test_export_to_file_that_cannot_be_written_is_refused_as_usage_error(
    log: Any, capsys: Any
) -> None:
    """An export to a file that cannot be written is refused as a usage error."""
    error = run(capsys, "export", "--output", "missing/calls.csv", code=2)
    assert "cannot be written" in json.dumps(error)


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_failed_export_leaves_the_earlier_file(file_format: str) -> None:
    """If the log fails during an export, the earlier file is unchanged, and no other one stays."""

    def entries() -> Iterator[IntegrationLog]:
        yield entry(0)
        raise StorageUnavailable("The log is away.")

    Path("earlier").write_text("earlier")
    Path("earlier").chmod(0o640)
    Path("calls").symlink_to("earlier")
    files = sorted(Path.cwd().iterdir())
    with pytest.raises(StorageUnavailable):
        export(file_format, entries(), Path("calls"))

    assert "earlier" == Path("calls").read_text()
    assert files == sorted(Path.cwd().iterdir())

    assert 1 == export(file_format, [entry(0)], Path("calls"))
    assert Path("calls").is_symlink()
    assert 0o640 == Path("earlier").stat().st_mode & 0o777
    assert b"earlier" != Path("earlier").read_bytes()
    assert files == sorted(Path.cwd().iterdir())


def test_export_writes_into_a_pipe() -> None:
    """An export to a pipe writes into the pipe."""
    os.mkfifo("calls")
    texts: list[str] = []
    reader = Thread(target=lambda: texts.append(Path("calls").read_text("utf-8")))
    reader.start()
    assert 1 == export("jsonl", [entry(0)], Path("calls"))
    reader.join(60)

    assert entry(0).id == json.loads(texts[0])["id"]


def follow(*words: str) -> subprocess.Popen[str]:
    """Start `moorage logs --follow`, and return its process once it reads the log."""
    command = [sys.executable, "-u", "-m", "moorage", "logs", "follow", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if "--json" not in words:
        assert "following the log\n" == process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_follow_ends_with_a_signal(number: signal.Signals, log: Any) -> None:
    """`logs --follow` shows new calls as they are stored, and exits with success on a signal."""
    with follow("--service", "stripe") as process:
        assert process.stdout is not None
        lines: list[str] = []
        reader = Thread(target=lambda: lines.append(process.stdout.readline()))  # type: ignore[union-attr]  # asserted above
        reader.start()
        later_number = 100
        while reader.is_alive():  # the command may read the log for the first time later
            log.write(attrs.evolve(entry(later_number), started_at=datetime.now(UTC)))
            log.flush()
            later_number += 2
            reader.join(0.1)
        process.send_signal(number)
        output, errors = process.communicate()

    assert " stripe " in lines[0]
    assert (0, "") == (process.returncode, errors)
    assert output.endswith(" shown\n")


def test_follow_ends_with_its_reader(log: Any) -> None:
    """`moorage logs --follow` ends by itself if the reader of its output has exited."""
    with follow() as process:
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
        assert process.stderr is not None
        assert "" == process.stderr.read()


def test_logs_follow_prints_each_call_as_json_line(log: Any, capsys: Any) -> None:
    """`logs --follow` prints each call as JSON, and ends after the given number of calls."""
    ended_event = Event()

    def write() -> None:
        number = 100
        while not ended_event.wait(0.05):
            log.write(attrs.evolve(entry(number), started_at=datetime.now(UTC)))
            log.flush()
            number += 1

    writer = Thread(target=write)
    writer.start()
    try:
        assert 0 == main(["logs", "follow", "--count", "2", "--json"])
    finally:
        ended_event.set()
        writer.join()
    lines = capsys.readouterr().out.splitlines()
    first, second = map(json.loads, lines[:2])
    last_document = json.loads("\n".join(lines[2:]))

    assert first["started_at"] < second["started_at"]
    assert {"shown": 2} == last_document["result"]


def test_follow_shows_lines(log: Any, capsys: Any) -> None:
    """Without --json, `logs --follow` prints the columns of `list`, with `-` for missing values."""
    follow_ended = Event()

    def write() -> None:
        number = 101
        while not follow_ended.wait(0.05):
            log.write(attrs.evolve(entry(number), started_at=datetime.now(UTC)))
            log.flush()
            number += 6

    writer = Thread(target=write)
    writer.start()
    try:
        assert 0 == main(["logs", "follow", "--count", "1"])
    finally:
        follow_ended.set()
        writer.join()
    lines = capsys.readouterr().out.splitlines()

    assert ["following the log", "1 shown"] == [lines[0], lines[-1]]
    assert "  adyen  -  acme-fr  " in lines[1]


def test_signal_ends_follow_with_success(log: Any) -> None:
    """SIGTERM ends the command successfully, and the earlier handler is restored."""

    class EndingContext(Context):
        def print_progress(self, text: str) -> None:
            signal.raise_signal(signal.SIGTERM)

    previous_handler = signal.getsignal(signal.SIGTERM)
    result = follow_calls(store=URL, context=EndingContext())

    assert {"shown": 0} == result.document
    assert previous_handler == signal.getsignal(signal.SIGTERM)


def test_follow_without_reader_ends(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the other end of the pipe is closed, `moorage logs --follow` stops reading the log."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        result = follow_calls(store=URL, context=Context(as_json=True))
        monkeypatch.undo()

    assert {"shown": 0} == result.document


def test_housekeeping_removes_old_calls(log: Any, capsys: Any) -> None:
    """`moorage housekeep` removes calls that are older than the retention in the configuration."""
    text = f'[log]\nurl = "{URL}"\nkeep_days = 30\n'
    Path("moorage.toml").write_text(text)
    assert 0 == main(["housekeep"])
    assert "1 entries of the log removed\n" == capsys.readouterr().out
    assert [entry(1).id] == [call["id"] for call in run(capsys, "list")["calls"]]

    Path("moorage.toml").write_text(text + '[state]\nurl = "sqlite:///state.db"\n')
    assert 0 == main(["housekeep", "--migrate"])
    assert "0 states deleted\n0 entries of the log removed\n" == capsys.readouterr().out


def test_days_must_be_positive(log: Any, capsys: Any) -> None:
    """A number of days that would remove every call from the log is refused."""
    Path("moorage.toml").write_text(f'[log]\nurl = "{URL}"\nkeep_days = -1\n')
    assert 2 == main(["housekeep"])
    assert (
        "log.keep_days (line 3): -1 is out of range for a number of days."
        in capsys.readouterr().err
    )


def test_a_log_has_to_be_named(capsys: Any) -> None:
    """If the configuration has no log, the error states where to configure one."""
    Path("moorage.toml").write_text("")
    error = run(capsys, "list", code=2)
    assert "under [log]" in json.dumps(error)
