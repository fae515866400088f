"""The page of the matrix, from the cells that a run has written down."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.crashes import peers
from tools.crashes.cases import CASES
from tools.crashes.cell import FAULTS, POINTS

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE: Final = Path("docs/explanation/crashes.md")
Row = dict[str, Any]

_OPENING: Final = """\
# What a crash leaves behind

**{cells} crashes of moorage: {double} doubled an effect, {lost} lost one, {stuck} left
a call in a state that nobody moves.** After {person} of them a person is asked to look, only where
the vendor takes no key and cannot be asked, or lists nothing; in {whole} of these each effect had
happened exactly once. {unrun}The same crashes of Celery, procrastinate and DBOS, each with the task
that its documentation shows, left {failed} of {controls} orders charged twice, never charged, or
stuck.

Each cell is a crash of real processes. A host writes an order and a call in one transaction in
PostgreSQL. A worker makes the call from the [outbox](../how-to/outbox-without-a-framework.md),
with its state in the same database. The vendor is a sandbox in a process of its own, which no
fault reaches and which counts what it did. At the crash point a fault happens. Then other workers
work until nothing moves any more, at most 200 rounds, and what the vendor did is counted. A host
whose order is not in the database afterwards is run again, as a user would try again.

| crash point | the process is at |
|---|---|
| before commit | the host's transaction, with the order and the call written |
| committed | the host, right after its commit |
| claimed | the worker, which has the entry and has sent nothing |
| sent | the worker, while the vendor has done it and not yet answered |
| answered | the worker, which has read the answer and stored nothing |
| settled | the worker, right after the entry is settled |
| renewed | the worker, right after a renewal of its lease, while the vendor is slow |

| fault | what happens there |
|---|---|
| killed | SIGKILL |
| stopped | SIGSTOP for longer than the lease, until others have done all; then SIGCONT |
| database | PostgreSQL is stopped at once (`pg_ctl stop -m immediate`), and started again |
| clock +1 h, clock -1 h | SIGKILL, and the clock of all who come after is an hour ahead or behind |

## moorage

`once`: each effect happened exactly once, and the entry is done. `person`: the entry is
`unknown`, nothing was repeated, and somebody has to look at the vendor's web page. A cell stands
for all five faults; where they differ, it says how many ended how.

"""

_KEYLESS: Final = """
SendGrid and Twilio take no idempotency key and cannot be asked what became of a key. So a request
that may have arrived is not sent again, unless doing it twice does nothing more, as `cancel`. The
worker that sent it may still learn the answer, if it was only stopped: then it settles the entry.
All other vendors of payments, mail and text messages in the table take keys.

In the rows `look-up` the vendor is said to forget keys after a second. `settle_payments` finds the
payment there by its reference and stores its receipt, and the next round of the outbox settles the
entry with it. Shippo, FedEx and UPS take no keys either: whoever takes the entry next finds the
label by the mark that was sent with the purchase. EasyPost sells a shipment once.

Where a vendor that is looked up never got the request, it lists nothing. For a payment that counts
as an answer once it must have been listed: the entry stays `unknown`, and the payment is listed as
one for a [person](../how-to/unknown-payments.md). For a label a person is asked as soon as a repeat
does not find it. Nothing is bought or charged again by itself.

## Other task queues

One charge by each. The task is a plain HTTP request, as in their documentation. The host asks for
the task after its commit. `stuck`: the task is neither done nor taken by a second worker, which
had {seconds:g} seconds. `lost`: no charge, and nothing is left that would make it.

"""

_CLOSING: Final = """
Each of these can be made safer: with a vendor's idempotency key in the task, late
acknowledgement, a job that looks for stalled tasks, or an outbox of your own. What the table
shows is where that is needed.

## What was not run

- Storage.
- A vendor of payments without keys: every one that moorage has takes them.
- A wrong clock of the database's machine: leases and due times go by that clock alone.
- A bulk of mail that goes in several requests.
- Redelivery by Celery after its visibility timeout of an hour.

## Run it

It needs the server programs of PostgreSQL, for a server of its own, and takes an hour. The
other queues need Redis, and the interpreter that `make bench` makes.

```text
python -m tools.crashes
python -m tools.crashes --python .venv-bench/bin/python --queue celery --queue dbos \\
    --queue procrastinate
python -m tools.crashes --page build/crashes.jsonl
```

`--case`, `--point` and `--fault` choose cells.
"""


def written(rows: Iterable[Row]) -> str:
    """The page, from the rows of a run; of a cell that was run twice the later row counts."""
    latest = {(row["case"], row["fault"], row["point"]): row for row in rows}
    cells = {cell: row["verdict"] for cell, row in latest.items()}
    expected = {case.name: Counter(case.expected) for case in CASES}
    names = list(expected)
    counts = Counter(result for (name, _, _), result in cells.items() if name in names)
    others = Counter(result for (name, _, _), result in cells.items() if name in peers.QUEUES)
    opening = _OPENING.format(
        cells=counts.total() - counts["not run"],
        failed=others.total() - others["once"],
        controls=others.total(),
        whole=sum(
            row["verdict"] == "person" and row["effects"] == expected[row["case"]]
            for row in latest.values()
        ),
        unrun=_unrun(counts["not run"]),
        **{name: counts[name] for name in ("double", "lost", "stuck", "person")},
    )
    ours = [
        [
            f"`{name}`",
            *(_cell([cells.get((name, fault, point)) for fault in FAULTS]) for point in POINTS),
        ]
        for name in names
    ]
    theirs = [
        [queue, fault, *(cells.get((queue, fault, point), "") for point in peers.POINTS)]
        for queue in peers.QUEUES
        for fault in peers.FAULTS
    ]
    return (
        opening
        + _table(["verb@vendor", *POINTS], ours)
        + _KEYLESS.format(seconds=peers.WATCHED)
        + _table(["queue", "fault", *peers.POINTS], theirs)
        + _CLOSING
    )


def _unrun(count: int) -> str:
    """The sentence about cells whose crash point was not reached."""
    if not count:
        return ""
    return f"In {count} more the crash point was not reached, so that they say nothing. "


def _cell(verdicts: list[str | None]) -> str:
    counts = Counter(verdict or "not run" for verdict in verdicts)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
