"""Writes the page about the crash matrix from the stored results of a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

from tools.crashes import peers
from tools.crashes.cases import CASES
from tools.crashes.cell import FAULTS, POINTS

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE: Final = Path("docs/explanation/crashes.md")
Row = dict[str, Any]

_WIDTH: Final = 100
"""The length of the page's longest lines."""

_TITLE: Final = "# What a crash leaves behind\n\n"

_SUMMARY: Final = """\
**In {cells} crashes of moorage, {double}, {lost}, and {stuck}.** After {person}, an operator has to
look up the outcome at the vendor, for one of two reasons: the vendor has neither idempotency keys
nor a look-up, or the vendor did not list the payment. In {whole} of these {person_count} crashes,
each effect had happened exactly once. {unrun}In the same crashes, Celery, procrastinate and DBOS,
each with the task from its documentation, left {failed} of {controls} orders charged twice, never
charged, or stuck.
"""

_METHOD: Final = """

Each test crashes real processes. A *host* (a program like yours) stores an order and the call to be
made in one transaction in PostgreSQL. A worker makes the call from the
[outbox](../how-to/outbox-without-a-framework.md), with its shared state in the same database. The
vendor is a sandbox in a separate process: it never crashes, and it counts its effects. The test
causes the fault at the crash point. Then other workers run until no outbox entry changes any more,
for at most 200 rounds, and the test counts the effects at the vendor. If the order is not in the
database afterwards, the host runs again, as a user would try again.

| crash point | the process that crashes |
|---|---|
| before commit | the host, with the order and the call written in its transaction |
| committed | the host, right after its commit |
| claimed | the worker, after it took the entry and before it sends |
| sent | the worker, after the vendor acted and before the vendor answers |
| answered | the worker, after it read the answer and before it stores it |
| settled | the worker, right after the entry is settled |
| renewed | the worker, right after a renewal of its lease, while the vendor is slow |

| fault | what happens |
|---|---|
| killed | SIGKILL |
| stopped | SIGSTOP for longer than the lease, until other workers have finished; then SIGCONT |
| database | PostgreSQL is stopped at once (`pg_ctl stop -m immediate`), and started again |
| clock +1 h, clock -1 h | SIGKILL; the clock of all later processes is an hour ahead or behind |

## moorage

The result `once` means that each effect happened exactly once, and the entry is done. The result
`person` means that the entry is `unknown`, nothing was repeated, and an operator has to look at the
vendor's web page. Each cell of the table stands for all five faults. If their results differ, the
cell shows how many faults had each result.

"""

_KEYLESS: Final = """
SendGrid and Twilio do not support idempotency keys, and offer no way to look a message up by a key.
So at these vendors moorage does not repeat a request that may have arrived, unless a repeat changes
nothing, as with `cancel`. If the worker that sent the request was only suspended, it may still read
the response, and then it settles the outbox entry. All other vendors for payments, mail and text
messages in the table support idempotency keys.

In the `look-up` rows, the sandbox of the vendor forgets idempotency keys after one second.
`settle_payments` finds the payment by its reference and stores its receipt, and the next round of
the outbox settles the entry with that receipt. Shippo, FedEx and UPS do not support idempotency
keys either: the next worker finds the label by a search text that moorage sent with the purchase.
EasyPost sells each shipment only once.

If the request never reached the vendor, a look-up finds nothing. If the vendor must have listed a
payment by now, but has not, the payment stays `unknown`, and moorage lists it for a
[person](../how-to/unknown-payments.md) to decide. If the next worker's lookup does not find the
label, the label stays `unknown` until an operator decides. moorage never automatically buys a
second label or charges again.

## Other task queues

"""

_OTHER_QUEUES: Final = """\
In this comparison, each task queue makes one charge. The task in each queue is a plain HTTP
request, as in the queue's documentation. The host queues the task after its commit. The result
`stuck` means that the task is not done, and that no second worker claimed the task within \
{seconds:g}
seconds. The result `lost` means that there is no charge, and no task is left to make it.
"""

_CLOSING: Final = """
You can make each of these task queues safer: by a vendor's idempotency key in the task, late
acknowledgement, a job that looks for stalled tasks, or your own outbox. The table shows for which
crash points you need to do so.

## What was not run

The crash tests do not cover:

- storage, and the contracts for bank accounts, accounting, electronic invoices, signatures, push
  notifications, shops and employee accounts
- a payment vendor without idempotency keys, because all payment vendors of the table support
  idempotency keys
- a wrong clock on the database's machine, the only clock that leases and due times use
- a bulk mail that needs several requests
- redelivery by Celery after its visibility timeout of an hour

## Run it

The crash tests start their own PostgreSQL server, so they need PostgreSQL's server programs. The
crash tests run for an hour. The tests of other queues need Redis, and the interpreter that `make
bench` creates.

```text
python -m tools.crashes
python -m tools.crashes --python .venv-bench/bin/python --queue celery --queue dbos \\
    --queue procrastinate
python -m tools.crashes --page build/crashes.jsonl
```

`--case`, `--point` and `--fault` select cells of the table.
"""


def page_of_rows(rows: Iterable[Row]) -> str:
    """Return the page for the result rows of a run; if a cell was repeated, its last row counts."""
    latest_rows = {(row["case"], row["fault"], row["point"]): row for row in rows}
    cells = {cell: row["verdict"] for cell, row in latest_rows.items()}
    expected_effects = {case.name: Counter(case.expected) for case in CASES}
    names = list(expected_effects)
    counts = Counter(result for (name, _, _), result in cells.items() if name in names)
    other_counts = Counter(result for (name, _, _), result in cells.items() if name in peers.QUEUES)
    undecided_count = counts["person"]
    summary = _SUMMARY.format(
        cells=counts.total() - counts["not run"],
        double=_counted(counts["double"], "effect happened twice", "effects happened twice"),
        lost=_counted(counts["lost"], "effect was lost", "effects were lost"),
        stuck=_counted(counts["stuck"], "call was stuck", "calls were stuck"),
        person=f"{undecided_count or 'none'} of these crashes",
        person_count=undecided_count,
        whole=sum(
            row["verdict"] == "person" and row["effects"] == expected_effects[row["case"]]
            for row in latest_rows.values()
        ),
        unrun=_unreached_sentence(counts["not run"]),
        failed=other_counts.total() - other_counts["once"],
        controls=other_counts.total(),
    )
    case_rows = [
        [
            f"`{name}`",
            *(_cell([cells.get((name, fault, point)) for fault in FAULTS]) for point in POINTS),
        ]
        for name in names
    ]
    queue_rows = [
        [queue, fault, *(cells.get((queue, fault, point), "") for point in peers.POINTS)]
        for queue in peers.QUEUES
        for fault in peers.FAULTS
    ]
    return (
        _TITLE
        + fill(summary, _WIDTH)
        + _METHOD
        + _table(["verb@vendor", *POINTS], case_rows)
        + _KEYLESS
        + fill(_OTHER_QUEUES.format(seconds=peers.WATCHED), _WIDTH)
        + "\n\n"
        + _table(["queue", "fault", *peers.POINTS], queue_rows)
        + _CLOSING
    )


def _counted(count: int, one: str, many: str) -> str:
    """Return a count with its words in the singular or plural, and "no" in place of zero."""
    return f"{count or 'no'} {many if count > 1 else one}"


def _unreached_sentence(count: int) -> str:
    """Return the sentence about cells whose crash point was not reached."""
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
