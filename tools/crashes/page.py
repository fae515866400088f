"""Writes the page about the crash matrix from the stored results of a run."""

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

**In {cells} crashes of moorage, {double} effects happened twice, {lost} were lost, and {stuck}
calls stayed in a state that nobody moves.** After {person} of these crashes, a person has to look
the outcome up at the vendor: these vendors either support no idempotency keys and have no look-up,
or did not list the payment. In {whole} of these {person} crashes, each effect had happened exactly
once. {unrun}In the same crashes, Celery, procrastinate and DBOS, each with the task from its
documentation, left {failed} of {controls} orders charged twice, never charged, or stuck.

Each test is a crash of real processes. A host writes an order and a call in one
transaction in PostgreSQL. A worker makes the call from the
[outbox](../how-to/outbox-without-a-framework.md), with its shared state in the same database. The
vendor is a sandbox in a separate process, which no fault touches and which counts its effects. The
fault happens at the crash point. Then other workers run until no outbox entry changes any more, for
at most 200 rounds, and the test counts the effects at the vendor. If the order is not in the
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
`person` means that the entry is `unknown`, nothing was repeated, and a person has to look at the
vendor's web page. One cell of the table stands for all five faults; if their results differ, it
shows the number of each.

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
keys either: the next worker finds the label by a mark that moorage sent with the purchase. EasyPost
sells each shipment only once.

If the request never reached the vendor, a look-up finds nothing. If the vendor must have listed a
payment by now, but has not, the payment stays `unknown`, and moorage lists it for a
[person](../how-to/unknown-payments.md) to decide. A label stays `unknown` for a person as soon as
the look-up of the next worker does not find it. moorage never automatically buys a second label or
charges again.

## Other task queues

In this comparison, each task queue makes one charge. The task in each queue is a plain HTTP
request, as in the queue's documentation. The host queues the task after its commit. The result
`stuck` means that the task is not done, and a second worker did not take it within {seconds:g}
seconds. The result `lost` means that there is no charge, and no task is left to make it.

"""

_CLOSING: Final = """
You can make each of these task queues safer: with a vendor's idempotency key in the task, late
acknowledgement, a job that looks for stalled tasks, or an outbox of your own. The table shows at
which crash points this is necessary.

## What was not run

- The crash tests do not cover storage, and the contracts for bank accounts, accounting, electronic
  invoices, signatures, push notifications, shops and employee accounts.
- The crash tests do not cover a payment vendor without idempotency keys, because all payment
  vendors of moorage support idempotency keys.
- The crash tests do not cover a wrong clock on the database's machine. Leases and due times use
  only this clock.
- The crash tests do not cover a bulk mail that needs several requests.
- The crash tests do not cover redelivery by Celery after its visibility timeout of an hour.

## Run it

The crash tests start their own PostgreSQL server, so they need PostgreSQL's server programs. They
take an hour. The tests of other queues need Redis, and the interpreter that `make bench` creates.

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
    opening = _OPENING.format(
        cells=counts.total() - counts["not run"],
        failed=other_counts.total() - other_counts["once"],
        controls=other_counts.total(),
        whole=sum(
            row["verdict"] == "person" and row["effects"] == expected_effects[row["case"]]
            for row in latest_rows.values()
        ),
        unrun=_unreached_sentence(counts["not run"]),
        **{name: counts[name] for name in ("double", "lost", "stuck", "person")},
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
        opening
        + _table(["verb@vendor", *POINTS], case_rows)
        + _KEYLESS.format(seconds=peers.WATCHED)
        + _table(["queue", "fault", *peers.POINTS], queue_rows)
        + _CLOSING
    )


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
