"""The pages: each is a function of what was read, and changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.dashboard.acts import ACTS, described, proposal_stamp
from moorage.dashboard.charts import calls_chart
from moorage.dashboard.layout import (
    button,
    choice_field,
    facts,
    link,
    mark,
    moment,
    section,
    span,
    table,
    text_field,
)
from moorage.dashboard.markup import joined, tag
from moorage.dashboard.reading import (
    PAGE,
    circuit_words,
    next_words,
)
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.domain.observation.integration_log import IntegrationStatus, LogQuery
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from moorage.contracts.payments import UnsettledPayment
    from moorage.dashboard.markup import Html, Node
    from moorage.dashboard.people import Person
    from moorage.dashboard.reading import Evidence, Reader
    from moorage.dashboard.web import PageRequest
    from moorage.domain.entries.queue import Entry
    from moorage.domain.observation.integration_log import IntegrationLog
    from moorage.hub.service_status import LimitStatus, ServiceStatus

_HEALTHY: Final = frozenset({"closed", "no circuit"})
_RECENT: Final = 10
_DAY: Final = timedelta(days=1)
_KINDS: Final = {
    IntegrationStatus.SUCCESS: "good",
    IntegrationStatus.REPLAYED: "good",
    IntegrationStatus.CACHED: "good",
    IntegrationStatus.FALLBACK: "warn",
    IntegrationStatus.HELD_BACK: "warn",
    IntegrationStatus.CANCELLED: "warn",
}
_STATES: Final = {
    EntryState.DONE: "good",
    EntryState.WAITING: "warn",
    EntryState.CLAIMED: "warn",
    EntryState.DROPPED: "warn",
}


class Page(NamedTuple):
    """A page: its title and its sections."""

    title: str
    content: list[Node]


class View(NamedTuple):
    """What a page is made from.

    Attributes:
        request: the request.
        fields: the fields of its query.
        person: the person.
        reader: reads the present state.
        four_eyes: True if a second person must confirm how a payment is closed.
    """

    request: PageRequest
    fields: Mapping[str, str]
    person: Person
    reader: Reader
    four_eyes: bool

    def get(self, name: str) -> str | None:
        """The value of a field of the query; None without one."""
        return self.fields.get(name) or None

    def act(self, name: str, **fields: object) -> Html | None:
        """A button to the confirmation of an act; None if the person may not perform it."""
        act = ACTS[name]
        values = {key: str(value) for key, value in fields.items() if value is not None}
        if not self.person.may(act.group(values)):
            return None
        return button(self.request, act.button, f"/acts/{name}", **values)

    def acts(self, *buttons: Html | None) -> Html | None:
        """The buttons that a person may press; None without any."""
        shown = [item for item in buttons if item is not None]
        return tag("div", shown, class_="acts") if shown else None


# --- now --------------------------------------------------------------------------------


def now_page(view: View) -> Page:
    """The first page: what needs a person, every service, and the latest failures."""
    tenant = view.get("tenant")
    statuses: list[ServiceStatus] = []

    def services() -> Node:
        statuses.extend(view.reader.services(tenant))
        return joined(_tenant_filter(view), _services(view, statuses, tenant))

    services_section = _section("Services", services)
    todo = _section("What needs a person", lambda: _todo(view, statuses, tenant))
    failures = _section(
        "Latest failures",
        lambda: _calls(
            view, view.reader.failures(service=None, tenant=tenant, limit=_RECENT), "No failures."
        ),
    )
    return Page("What happens now", [todo, services_section, _chart(view, None), failures])


def _chart(view: View, service: str | None) -> Node:
    """The calls of the last hours; None without figures."""
    if view.reader.metrics is None:
        return None

    def build() -> Node:
        counts = view.reader.windows(service, view.get("tenant"))
        calls, failed = (sum(column) for column in zip(*counts, strict=True))
        words = f"{calls} calls, {failed} failed. Each bar is 5 minutes; the failed part is red."
        return joined(tag("p", words), calls_chart(words, counts))

    return _section("The last 6 hours", build)


def _section(title: str, build: Callable[[], Node]) -> Html:
    """A section, or the reason that it cannot be read now; the others are shown nevertheless."""
    try:
        content = build()
    except ConnectorError as error:
        content = tag("div", str(error), class_="notice bad", role="alert")
    return section(title, content)


def _todo(view: View, statuses: Iterable[ServiceStatus], tenant: str | None) -> Node:
    request = view.request
    items: list[Node] = []
    payments = view.reader.payments()
    if payments:
        words = f"{_number(len(payments), 'payment')} with an unknown outcome"
        items.append(joined(mark("unknown", "bad"), " ", link(request, words, "/unknown")))
    for status in statuses:
        word, kind, explanation = circuit_words(status.circuit)
        where = link(request, _name(status), "/service", service=status.service, tenant=tenant)
        if word not in _HEALTHY:
            items.append(joined(mark(f"circuit {word}", kind), " ", where, f": {explanation}"))
        paused = max((limit.paused for limit in status.limits), default=0.0)
        if paused:
            words = f": the vendor asked for a pause, {span(paused)} are left."
            items.append(joined(mark("paused", "warn"), " ", where, words))
        if status.budget is not None and not status.budget.allows:
            words = ": the retry budget of this period is used up, so failures are not retried."
            items.append(joined(mark("no retries", "warn"), " ", where, words))
    for name in view.reader.boxes:
        for state, path, words in (
            (EntryState.DEAD, "/dead", "that failed for good"),
            (EntryState.UNKNOWN, "/unknown", "with an unknown outcome"),
        ):
            count = view.reader.count(name, EntryQuery(states={state}))
            if count.number:
                entries = "entry" if count.text == "1" else "entries"
                where = link(request, f"{count.text} {entries} {words} in the {name}", path)
                items.append(joined(mark(state.value, "bad"), " ", where))
    if not items:
        return tag("p", mark("all well", "good"), " Nothing needs a person.")
    return tag("ul", [tag("li", item) for item in items], class_="todo")


def _tenant_filter(view: View) -> Html:
    return tag(
        "form",
        text_field("tenant", "Tenant", view.get("tenant") or ""),
        tag("div", tag("button", "Show")),
        class_="filter",
        method="get",
        action=view.request.link(view.request.path),
    )


def _services(view: View, statuses: list[ServiceStatus], tenant: str | None) -> Node:
    if not statuses:
        return tag("p", "No service is configured.")
    rows: list[list[Node]] = []
    for status in statuses:
        word, kind, _ = circuit_words(status.circuit)
        circuit = status.circuit
        rows.append(
            [
                link(
                    view.request, _name(status), "/service", service=status.service, tenant=tenant
                ),
                mark(word, kind),
                None if circuit is None else f"{circuit.failures} of {circuit.calls}",
                _limit_words(status.limits),
                _budget_words(status),
            ]
        )
    return table(("Service", "Circuit", "Failed", "Limits", "Retries"), rows)


def _name(status: ServiceStatus) -> str:
    return status.service if status.region is None else f"{status.service} ({status.region})"


def _limit_words(limits: Iterable[LimitStatus]) -> Node:
    waits = [limit.wait for limit in limits]
    if not waits:
        return "none"
    return mark(f"wait {span(max(waits))}", "warn") if max(waits) else "free"


def _budget_words(status: ServiceStatus) -> Node:
    if status.budget is None:
        return "no budget"
    return "allowed" if status.budget.allows else mark("used up", "warn")


# --- one service ------------------------------------------------------------------------


def service_page(view: View) -> Page:
    """One service: its protections explained, its refusals, and its failures."""
    service, tenant = view.fields.get("service", ""), view.get("tenant")
    view.reader.tell_if_known(service)
    sections: list[Node] = []
    for status in view.reader.services(tenant, service):
        sections += [
            section(f"Circuit{_of_region(status)}", _circuit(view, status, tenant)),
            section(f"Limits{_of_region(status)}", _limits(view, status, tenant)),
            section(f"Retries{_of_region(status)}", _budget(status)),
        ]
    failures = _section(
        "Latest failures",
        lambda: joined(
            _calls(
                view,
                view.reader.failures(service=service, tenant=tenant, limit=_RECENT),
                "No failures.",
            ),
            tag("p", link(view.request, "All its calls", "/calls", service=service, tenant=tenant)),
        ),
    )
    title = service if tenant is None else f"{service} for {tenant}"
    return Page(
        title, [_tenant_filter_of(view, service), *sections, _chart(view, service), failures]
    )


def _tenant_filter_of(view: View, service: str) -> Html:
    return tag(
        "form",
        tag("input", type="hidden", name="service", value=service),
        text_field("tenant", "Tenant", view.get("tenant") or ""),
        tag("div", tag("button", "Show")),
        class_="filter",
        method="get",
        action=view.request.link("/service"),
    )


def _of_region(status: ServiceStatus) -> str:
    return "" if status.region is None else f" in {status.region}"


def _circuit(view: View, status: ServiceStatus, tenant: str | None) -> Node:
    word, kind, explanation = circuit_words(status.circuit)
    where = {"service": status.service, "tenant": tenant, "region": status.region}
    circuit = status.circuit
    if circuit is None:
        return tag("p", explanation)
    refusals = view.reader.refusals(status.service, tenant, status.region)
    now = view.reader.now()
    history = (
        table(
            ("Until", "Since", "Calls refused"),
            [[moment(item.last, now), moment(item.first, now), item.count] for item in refusals],
            caption="Periods in which it refused calls, by the integration log",
        )
        if refusals
        else tag("p", "It has refused no call lately.", class_="soft")
    )
    return joined(
        tag("p", mark(word, kind), " ", explanation),
        facts(
            [
                ("Slow calls", circuit.slow_calls),
                ("Openings in a row", circuit.openings),
            ]
        ),
        view.acts(
            view.act("circuit-open", **where) if word != "held open" else None,
            view.act("circuit-disable", **where) if word != "disabled" else None,
            view.act("circuit-reset", **where),
        ),
        tag("h3", "History"),
        history,
    )


def _limits(view: View, status: ServiceStatus, tenant: str | None) -> Node:
    if not status.limits:
        return tag("p", "No limit is configured.")
    paused = any(limit.paused for limit in status.limits)
    rows: list[list[Node]] = [
        [
            limit.name,
            mark(span(limit.wait), "warn") if limit.wait else "no wait",
            span(limit.paused) if limit.paused else "none",
        ]
        for limit in status.limits
    ]
    return joined(
        table(("Limit", "Wait of the next call", "Pause that the vendor asked for"), rows),
        view.acts(
            view.act("limits-reset", service=status.service, tenant=tenant) if paused else None
        ),
    )


def _budget(status: ServiceStatus) -> Node:
    budget = status.budget
    if budget is None:
        return tag("p", "No retry budget is configured.")
    words = (
        "Failed calls may be retried."
        if budget.allows
        else "The budget of this period is used up, so failed calls are not retried."
    )
    counts = (
        f"{budget.calls} calls and {budget.retries} retries in the present {span(budget.period)}."
    )
    return tag("p", f"{words} {counts}")


# --- calls ------------------------------------------------------------------------------


def calls_page(view: View) -> Page:
    """The integration log, filtered, one page at a time."""
    if view.reader.log is None:
        return Page("Calls", [section("Calls", tag("p", "No integration log is configured."))])
    status = view.get("status")
    hours = view.get("hours")
    query = LogQuery(
        service=view.get("service"),
        operation=view.get("operation"),
        tenant=view.get("tenant"),
        subject=view.get("subject"),
        id=view.get("id"),
        idempotency_key=view.get("idempotency_key"),
        trace_id=view.get("trace_id"),
        text=view.get("text"),
        status=None if status is None else _status(status),
        since=None if hours is None else view.reader.now() - timedelta(hours=_hours(hours)),
        limit=PAGE,
        after=view.get("after"),
    )
    page = view.reader.calls(query)
    statuses = {"": "all", **{item.value: _words(item.value) for item in IntegrationStatus}}
    form = tag(
        "form",
        text_field("service", "Service", view.get("service") or ""),
        text_field("operation", "Operation", view.get("operation") or ""),
        text_field("tenant", "Tenant", view.get("tenant") or ""),
        choice_field("status", "Status", statuses, status or ""),
        text_field("subject", "Subject", view.get("subject") or ""),
        text_field("id", "Request id", view.get("id") or ""),
        text_field("idempotency_key", "Idempotency key", view.get("idempotency_key") or ""),
        text_field("trace_id", "Trace", view.get("trace_id") or ""),
        text_field("text", "Text of the error", view.get("text") or ""),
        choice_field("hours", "Since", _SINCE, hours or ""),
        tag("div", tag("button", "Show")),
        class_="filter",
        method="get",
        action=view.request.link("/calls"),
    )
    return Page(
        "Calls",
        [
            tag(
                "section",
                form,
                _calls(view, page.items, "No call matches."),
                _next(view, page.next),
            )
        ],
    )


_SINCE: Final = {"": "ever", "1": "1 hour", "24": "1 day", "168": "1 week"}


def _status(value: str) -> IntegrationStatus:
    try:
        return IntegrationStatus(value)
    except ValueError:
        raise InvalidData(
            f"There is no status {value!r}.", field="status", remedy="Choose one from the list."
        ) from None


def _hours(value: str) -> float:
    if value not in _SINCE:
        raise InvalidData(
            f"{value!r} is not one of the periods.", field="hours", remedy="Choose one."
        )
    return float(value)


def call_page(view: View) -> Page:
    """All log entries of one request id."""
    id = view.fields.get("id", "")
    entries = view.reader.calls(LogQuery(id=id, limit=PAGE)).items
    if not entries:
        raise InvalidData(
            f"The integration log has no call {id!r}.",
            field="id",
            remedy="It may have been removed since. Go back to the list of calls.",
        )
    now = view.reader.now()
    sections = [
        section(
            f"{entry.service}: {entry.operation or 'call'}",
            facts(
                [
                    ("Outcome", mark(_words(entry.status.value), _kind(entry))),
                    ("Began", moment(entry.started_at, now)),
                    ("Duration", span(entry.duration)),
                    ("Attempts", entry.attempts),
                    ("Error", entry.error),
                    ("Message", entry.error_message),
                    ("Request", " ".join(filter(None, (entry.method, entry.route)))),
                    ("HTTP status", entry.http_status),
                    ("Vendor's code", entry.vendor_code),
                    ("Idempotency key", entry.idempotency_key),
                    ("Trace", entry.trace_id),
                    ("Vendor", entry.vendor),
                    ("Account", entry.account),
                    ("Tenant", entry.tenant),
                    ("Region", entry.region),
                    ("Subject", entry.subject),
                ]
            ),
            tag(
                "p",
                link(
                    view.request,
                    "The service now",
                    "/service",
                    service=entry.service,
                    tenant=entry.tenant,
                ),
            ),
        )
        for entry in entries
    ]
    return Page(f"Call {id}", [*sections])


def _calls(view: View, entries: Iterable[IntegrationLog], nothing: str) -> Node:
    now = view.reader.now()
    rows: list[list[Node]] = [
        [
            link(view.request, moment(entry.started_at, now), "/call", id=entry.id),
            entry.service,
            entry.operation,
            entry.tenant,
            mark(_words(entry.status.value), _kind(entry)),
            entry.error,
            span(entry.duration),
        ]
        for entry in entries
    ]
    if not rows:
        return tag("p", nothing, class_="soft")
    return table(("Began", "Service", "Operation", "Tenant", "Outcome", "Error", "Took"), rows)


def _kind(entry: IntegrationLog) -> str:
    return _KINDS.get(entry.status, "bad")


def _words(value: str) -> str:
    return value.replace("_", " ")


def _next(view: View, after: str | None) -> Html | None:
    if after is None:
        return None
    fields = {**view.fields, "after": after}
    return tag("p", button(view.request, "Older", view.request.path, **fields))


# --- queues -----------------------------------------------------------------------------


def queues_page(view: View) -> Page:
    """The outbox and the inbox: their counts, and the entries of one state."""
    if not view.reader.boxes:
        return Page("Queues", [section("Queues", tag("p", "No outbox or inbox is shown here."))])
    sections: list[Node] = []
    for name in view.reader.boxes:
        counts = view.reader.counts(name)
        rows: list[list[Node]] = [
            [
                link(
                    view.request,
                    mark(state.value, _STATES.get(state, "bad")),
                    "/queues",
                    box=name,
                    state=state.value,
                ),
                counts[state].text,
            ]
            for state in EntryState
        ]
        sections.append(section(name.capitalize(), table(("State", "Entries"), rows)))
    if view.get("box"):
        sections.insert(0, _queue(view, _state(view.fields.get("state", "waiting"))))
    return Page("Queues", sections)


def dead_page(view: View) -> Page:
    """Dead letters of both queues, with acts over a filter."""
    if not view.reader.boxes:
        return Page("Dead letters", [section("Queues", tag("p", "No queue is shown here."))])
    names = [view.fields["box"]] if view.get("box") else list(view.reader.boxes)
    sections: list[Node] = []
    for name in names:
        shown = view._replace(fields={**view.fields, "box": name})
        sections.append(_queue(shown, EntryState.DEAD))
    return Page("Dead letters", sections)


def _state(value: str) -> EntryState:
    try:
        return EntryState(value)
    except ValueError:
        raise InvalidData(
            f"There is no state {value!r}.",
            field="state",
            remedy="Choose a state that the page lists.",
        ) from None


def _queue(view: View, state: EntryState) -> Html:
    name = view.fields["box"]
    filters = {field: view.get(field) for field in ("target", "operation", "tenant")}
    query = EntryQuery(
        states={state},
        target=filters["target"],
        operation=filters["operation"],
        tenant=filters["tenant"],
        limit=PAGE,
        after=view.get("after"),
    )
    page = view.reader.entries(name, query)
    now = view.reader.now()
    rows: list[list[Node]] = [
        [
            link(
                view.request, f"{entry.target}: {entry.operation}", "/entry", box=name, id=entry.id
            ),
            entry.tenant,
            moment(entry.added_at, now),
            entry.attempts,
            entry.error,
        ]
        for entry in page.items
    ]
    keep = {"box": name, "state": state.value}
    form = tag(
        "form",
        [tag("input", type="hidden", name=key, value=value) for key, value in keep.items()],
        *(
            text_field(field, field.capitalize(), view.get(field) or "")
            for field in ("target", "operation", "tenant")
        ),
        tag("div", tag("button", "Show")),
        class_="filter",
        method="get",
        action=view.request.link(view.request.path),
    )
    batch = None
    if rows and state is EntryState.DEAD:
        until = (now + timedelta(seconds=1)).isoformat()
        batch = view.acts(
            view.act("entries-replay", box=name, until=until, **filters),
            view.act("entries-drop", box=name, until=until, **filters),
        )
    columns = ("Entry", "Tenant", "Added", "Attempts", "Error")
    listing = table(columns, rows) if rows else tag("p", "No entry matches.", class_="soft")
    title = f"{name.capitalize()}: {_words(state.value)}"
    return section(title, form, listing, batch, _next(view, page.next))


def entry_page(view: View) -> Page:
    """One entry of a queue, without its content."""
    name = view.fields.get("box", "")
    entry = view.reader.entry(name, view.fields.get("id", ""))
    now = view.reader.now()
    where = {"box": name, "id": entry.id}
    content = [
        facts(
            [
                ("State", mark(_words(entry.state.value), _STATES.get(entry.state, "bad"))),
                ("Explained", _ENTRY_WORDS[entry.state]),
                ("Error", entry.error),
                ("Attempts", entry.attempts),
                ("Added", moment(entry.added_at, now)),
                ("Due", _maybe(entry.due, now)),
                ("Ended", _maybe(entry.settled_at, now)),
                ("Tenant", entry.tenant),
                ("Subject", entry.subject),
                ("Lane", entry.lane),
                ("Id", tag("code", entry.id)),
            ]
        ),
        view.acts(*_entry_acts(view, entry, where)),
    ]
    return Page(
        f"{name.capitalize()}: {entry.target}, {entry.operation}", [section("Entry", *content)]
    )


_ENTRY_WORDS: Final = {
    EntryState.WAITING: "A worker takes it when it is due.",
    EntryState.CLAIMED: "A worker is processing it now.",
    EntryState.DONE: "It is done.",
    EntryState.UNKNOWN: "It may have been done. Look it up at the vendor before you do it again.",
    EntryState.DEAD: "It failed for good. Nothing happens until a person decides.",
    EntryState.DROPPED: "A person cancelled it.",
}


def _maybe(at: datetime | None, now: datetime) -> Node:
    return None if at is None else moment(at, now)


def _entry_acts(view: View, entry: Entry, where: Mapping[str, str]) -> list[Html | None]:
    ended = {EntryState.DEAD, EntryState.UNKNOWN, EntryState.DROPPED}
    replay = view.act("entry-replay", **where) if entry.state in ended else None
    live = ended - {EntryState.DROPPED} | {EntryState.WAITING}
    drop = view.act("entry-drop", **where) if entry.state in live else None
    return [replay, drop]


# --- unknown outcomes -------------------------------------------------------------------


def unknown_page(view: View) -> Page:
    """Everything that may have been done: payments, and entries of the queues."""
    payments = view.reader.payments()
    sections: list[Node] = [section("Payments", _payments(view, payments))]
    for name in view.reader.boxes:
        if view.reader.count(name, EntryQuery(states={EntryState.UNKNOWN})).number:
            shown = view._replace(fields={"box": name, "after": view.fields.get("after", "")})
            sections.append(_queue(shown, EntryState.UNKNOWN))
    return Page("Unknown outcomes", sections)


def _payments(view: View, payments: list[UnsettledPayment]) -> Node:
    if not payments:
        return tag("p", mark("all well", "good"), " The outcome of every payment is known.")
    now = view.reader.now()
    rows: list[list[Node]] = []
    for payment in payments:
        proposal = view.reader.proposal(payment)
        rows.append(
            [
                link(
                    view.request,
                    described(payment),
                    "/payment",
                    key=payment.idempotency_key,
                    tenant=payment.tenant,
                ),
                payment.tenant,
                ", ".join(payment.accounts),
                moment(payment.since, now),
                mark(*_next_mark(payment)),
                None if proposal is None else f"proposed by {proposal.person}",
            ]
        )
    return table(("Payment", "Tenant", "Account", "First sent", "Next", "Decision"), rows)


def _next_mark(payment: UnsettledPayment) -> tuple[str, str]:
    return {
        "wait": ("wait", "warn"),
        "person": ("decide", "bad"),
    }.get(payment.next.value, ("ask the vendor", "warn"))


def payment_page(view: View) -> Page:
    """The decision desk for one payment: the evidence, the vendor's answer, and the decision."""
    evidence = view.reader.evidence(view.fields.get("key", ""), view.get("tenant"))
    payment, now = evidence.payment, view.reader.now()
    where = {"key": payment.idempotency_key, "tenant": payment.tenant}
    waits = payment.next.value == "wait"
    known = facts(
        [
            ("Operation", payment.operation),
            ("Amount", "all of it" if payment.amount is None else str(payment.amount)),
            ("Your reference", payment.reference),
            ("Vendor's payment", None if payment.payment is None else str(payment.payment)),
            ("Account", ", ".join(payment.accounts)),
            ("Tenant", payment.tenant),
            ("Idempotency key", tag("code", payment.idempotency_key)),
            ("First sent", moment(payment.since, now)),
        ]
    )
    proof = (
        "A request was sent, and its outcome is unknown. Nothing here proves that it was done,"
        " and nothing proves that it was not."
    )
    step = tag("p", next_words(payment))
    ask = None if waits or payment.next.value == "person" else view.act("payment-ask", **where)
    title = described(payment)
    return Page(
        title[0].upper() + title[1:],
        [
            section("1. The evidence", tag("p", proof), known, _attempts(view, evidence)),
            section("2. The vendor's answer", step, view.acts(ask)),
            section("3. The decision", _decision(view, evidence, where)),
        ],
    )


def _attempts(view: View, evidence: Evidence) -> Node:
    now = view.reader.now()
    rows: list[list[Node]] = [
        [
            link(view.request, moment(call.started_at, now), "/call", id=call.id),
            tag("code", call.id),
            call.service,
            mark(_words(call.status.value), _kind(call)),
            call.error,
            call.http_status,
            call.attempts,
            span(call.duration),
        ]
        for call in evidence.calls
    ]
    if not rows:
        return tag("p", "The integration log has no call under this key.", class_="soft")
    columns = ("Call", "Request id", "Account", "Outcome", "Error", "HTTP", "Attempts", "Took")
    return joined(tag("h3", "Calls under this key"), table(columns, rows))


def _decision(view: View, evidence: Evidence, where: Mapping[str, Any]) -> Node:
    payment, proposal, person = evidence.payment, evidence.proposal, view.person
    look = "Look at the vendor's web page for this payment first."
    decide = view.acts(view.act("payment-done", **where), view.act("payment-not-done", **where))
    if payment.next.value == "wait":
        decide = tag("p", f"Decide when nobody can be at work on it: in {payment.wait:.0f} s.")
    if decide is None:
        return tag("p", "You may read this page, and not decide.")
    if proposal is None:
        second = " A second person then confirms your decision." if view.four_eyes else ""
        return joined(tag("p", look + second), decide)
    outcome = "done" if proposal.done else "not done"
    words = tag(
        "div",
        tag("strong", f"{proposal.person} says that it was {outcome}."),
        f" Reason: {proposal.reason}",
        f" The vendor's id: {proposal.receipt}." if proposal.receipt else None,
        f" ({span(proposal.age)} ago)",
        class_="notice bad" if not proposal.done else "notice good",
    )
    same = person.is_same(proposal.person)
    stamp = proposal_stamp(proposal)
    return joined(
        words,
        tag("p", "You proposed this. Another person has to confirm it.") if same else None,
        view.acts(
            None if same else view.act("payment-confirm", stamp=stamp, **where),
            view.act("payment-withdraw", **where),
        ),
    )


def _number(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


PAGES: Final[Mapping[str, Callable[[View], Page]]] = {
    "/": now_page,
    "/service": service_page,
    "/calls": calls_page,
    "/call": call_page,
    "/queues": queues_page,
    "/dead": dead_page,
    "/entry": entry_page,
    "/unknown": unknown_page,
    "/payment": payment_page,
}
"""Every page, by its path."""
