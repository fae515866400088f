"""The page of the current state, and the page of one service."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from moorage.dashboard.charts import PERCENTILES, calls_chart, durations_chart
from moorage.dashboard.layout import (
    facts,
    link,
    moment,
    section,
    span,
    state_mark,
    table,
    text_field,
)
from moorage.dashboard.markup import join_nodes, tag
from moorage.dashboard.pages.calls import calls_table
from moorage.dashboard.pages.view import Page, count_text, readable_section
from moorage.dashboard.reading import (
    circuit_words,
)
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.domain.observation.sketch import merged_sketch
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moorage.dashboard.markup import Html, Node
    from moorage.dashboard.pages.view import PageContext
    from moorage.domain.observation.figures import WindowFigures
    from moorage.domain.observation.sketch import Sketch
    from moorage.hub.service_status import LimitStatus, ServiceStatus


_HEALTHY_STATES: Final = frozenset({"closed", "no circuit"})
_RECENT_COUNT: Final = 10

_MOST_LISTED: Final = 200
"""The number of services, and of their problems, that the first page lists at most."""


def now_page(view: PageContext) -> Page:
    """Return the first page: problems that need a person, all services, and the latest failures."""
    tenant = view.get("tenant")
    statuses: list[ServiceStatus] = []

    def services() -> Node:
        statuses.extend(view.reader.services(tenant))
        return join_nodes(_service_filter(view), _services(view, statuses, tenant))

    services_section = readable_section("Services", services)
    todo = readable_section(
        "What needs attention", lambda: _problems_to_solve(view, statuses, tenant)
    )
    failures = readable_section(
        "Latest failures",
        lambda: calls_table(
            view,
            view.reader.failures(service=None, tenant=tenant, limit=_RECENT_COUNT),
            "No failures.",
        ),
    )
    return Page("What happens now", [todo, services_section, _chart(view, None), failures])


def _chart(view: PageContext, service: str | None) -> Node:
    """Return a chart of a service's calls in the last hours; None if there are no metrics."""
    if view.reader.metrics is None:
        return None

    def build_page() -> Node:
        windows = view.reader.windows(service, view.get("tenant"))
        counts = [(window.figures.calls, window.figures.bad) for window in windows]
        calls, failed_calls = (sum(column) for column in zip(*counts, strict=True))
        most_calls = max(number for number, _ in counts)
        words = (
            f"{calls} calls, {failed_calls} failed. Each bar is 5 minutes, the highest {most_calls}"
            " calls; the failed part is red."
        )
        durations = None if service is None else _durations(windows)
        return join_nodes(tag("p", words), calls_chart(words, counts), durations)

    return readable_section("The last 6 hours", build_page)


def _durations(windows: Sequence[WindowFigures]) -> Node:
    """Return the percentiles of call durations as a sentence, a chart, and a table by hour."""
    heading = tag("h3", "Durations")
    timed_windows = [window for window in windows if window.figures.durations.count]
    if not timed_windows:
        words = "No call was sent, so there are no durations."
        return join_nodes(heading, tag("p", words, class_="soft"))
    merged_durations = merged_sketch(window.figures.durations for window in timed_windows)
    percentiles = ", ".join(
        f"{name} {words}" for name, words in _percentile_words(merged_durations)
    )
    slowest = max(timed_windows, key=_slowest_percentile)
    words = (
        f"{percentiles} of {count_text(merged_durations.count, 'call')} with an attempt, retries"
        f" and waits included. Each point is 5 minutes; the highest p{max(PERCENTILES)} was"
        f" {span(_slowest_percentile(slowest))}, at {slowest.start:%H:%M}."
    )
    legend = [
        tag("span", tag("b", f"p{percent}", class_=f"p{percent}"), f" {percent} % took no longer")
        for percent in PERCENTILES
    ]
    times = f"{windows[0].start:%H:%M}", f"{windows[-1].start:%H:%M}"
    return join_nodes(
        heading,
        tag("p", words),
        tag("p", legend, class_="legend"),
        durations_chart(words, [window.figures.durations for window in windows], times),
        tag("details", tag("summary", "The durations by hour"), _durations_table(windows)),
    )


def _durations_table(windows: Sequence[WindowFigures]) -> Html:
    rows: list[list[Node]] = []
    for _, group in groupby(windows, key=lambda window: window.start.hour):
        hour_windows = list(group)
        durations = merged_sketch(window.figures.durations for window in hour_windows)
        percentiles = [words for _, words in _percentile_words(durations)]
        rows.append([f"{hour_windows[0].start:%H:%M}", durations.count, *percentiles])
    return table(("From", "Calls", *(f"p{percent}" for percent in PERCENTILES)), rows)


def _percentile_words(durations: Sketch) -> Iterator[tuple[str, str]]:
    """Yield the name of each percentile, and its duration as text."""
    for percent in PERCENTILES:
        duration = durations.percentile(percent)
        yield f"p{percent}", "none" if duration is None else span(duration)


def _slowest_percentile(window: WindowFigures) -> float:
    """Return the duration in seconds of the highest percentile in a time window."""
    return window.figures.durations.percentile(max(PERCENTILES)) or 0.0


def _problems_to_solve(
    view: PageContext, statuses: Iterable[ServiceStatus], tenant: str | None
) -> Node:
    request = view.request
    items: list[Node] = []
    payments = view.reader.payments()
    if payments:
        words = f"{count_text(len(payments), 'payment')} with an unknown outcome"
        proposals = sum(view.reader.proposal(payment) is not None for payment in payments)
        verb = "waits" if proposals == 1 else "wait"
        pending_note = (
            f"; {proposals} of them {verb} for a second person to confirm the proposed outcome"
            if proposals
            else ""
        )
        unknown_link = link(request, words, "/unknown")
        items.append(join_nodes(state_mark("unknown", "bad"), " ", unknown_link, pending_note))
    items += _unknown_keys(view)
    problems = _problems(view, statuses, tenant)
    items += problems[:_MOST_LISTED]
    if len(problems) > _MOST_LISTED:
        items.append(f"{len(problems) - _MOST_LISTED} more problems with services")
    for name in view.reader.boxes:
        for state, path, words in (
            (EntryState.DEAD, "/dead", "that failed for good"),
            (EntryState.UNKNOWN, "/unknown", "with an unknown outcome"),
        ):
            count = view.reader.count(name, EntryQuery(states={state}))
            if count.number:
                entries = "entry" if count.text == "1" else "entries"
                target_link = link(request, f"{count.text} {entries} {words} in the {name}", path)
                items.append(join_nodes(state_mark(state.value, "bad"), " ", target_link))
    if not items:
        return tag("p", state_mark("all well", "good"), " Nothing needs attention.")
    return tag("ul", [tag("li", item) for item in items], class_="todo")


def _unknown_keys(view: PageContext) -> list[Node]:
    """Return a list item with the number of idempotency keys to settle, if there are any."""
    try:
        calls = view.reader.unknown_calls()
    except ConnectorError:
        # The section with the latest failures already reports that the log cannot be read.
        return []
    if not calls:
        return []
    words = f"{count_text(len(calls), 'idempotency key')} with an unknown outcome"
    unknown_link = link(view.request, words, "/unknown")
    return [join_nodes(state_mark("unknown", "bad"), " ", unknown_link)]


def _problems(
    view: PageContext, statuses: Iterable[ServiceStatus], tenant: str | None
) -> list[Node]:
    """Return the circuits, pauses and used-up retry budgets that prevent calls."""
    problems: list[Node] = []
    for status in statuses:
        word, kind, explanation = circuit_words(status.circuit)
        target_link = link(
            view.request, _name(status), "/service", service=status.service, tenant=tenant
        )
        if word not in _HEALTHY_STATES:
            problems.append(
                join_nodes(
                    state_mark(f"circuit {word}", kind), " ", target_link, f": {explanation}"
                )
            )
        longest_pause = max((limit.paused for limit in status.limits), default=0.0)
        if longest_pause:
            words = f": the vendor asked for a pause, which ends in {span(longest_pause)}."
            problems.append(join_nodes(state_mark("paused", "warn"), " ", target_link, words))
        if status.budget is not None and not status.budget.allows:
            words = ": the retry budget of this period is used up, so failures are not retried."
            problems.append(join_nodes(state_mark("no retries", "warn"), " ", target_link, words))
    return problems


def _service_filter(view: PageContext) -> Html:
    return tag(
        "form",
        text_field("service", "Service", view.get("service") or ""),
        text_field("tenant", "Tenant", view.get("tenant") or ""),
        tag("div", tag("button", "Show")),
        class_="filter",
        method="get",
        action=view.request.link(view.request.path),
    )


def _services(view: PageContext, statuses: list[ServiceStatus], tenant: str | None) -> Node:
    if not statuses:
        return tag("p", "No service is configured.")
    part = (view.get("service") or "").lower()
    matches = [status for status in statuses if part in _name(status).lower()]
    if not matches:
        return tag("p", "No service's name contains the text in the filter.", class_="soft")
    rows: list[list[Node]] = []
    for status in matches[:_MOST_LISTED]:
        word, kind, _ = circuit_words(status.circuit)
        circuit = status.circuit
        rows.append(
            [
                link(
                    view.request, _name(status), "/service", service=status.service, tenant=tenant
                ),
                state_mark(word, kind),
                None if circuit is None else f"{circuit.failures} of {circuit.calls}",
                _rate_limit_words(status.limits),
                _budget_words(status),
            ]
        )
    listing = table(("Service", "Circuit", "Failed", "Limits", "Retries"), rows)
    if len(matches) <= _MOST_LISTED:
        return listing
    words = (
        f"The table shows {_MOST_LISTED} of {len(matches)} services. Enter a part of a name to"
        " find the others."
    )
    return join_nodes(listing, tag("p", words, class_="soft"))


def _name(status: ServiceStatus) -> str:
    return status.service if status.region is None else f"{status.service} ({status.region})"


def _rate_limit_words(limits: Iterable[LimitStatus]) -> Node:
    limits = [*limits]
    if not limits:
        return "none"
    longest_wait = max(limit.wait for limit in limits)
    words = state_mark(f"wait {span(longest_wait)}", "warn") if longest_wait else "free"
    quotas = [f"; {limit.left} left of {limit.name}" for limit in limits if limit.left is not None]
    return join_nodes(words, *quotas)


def _budget_words(status: ServiceStatus) -> Node:
    if status.budget is None:
        return "no budget"
    return "allowed" if status.budget.allows else state_mark("used up", "warn")


def service_page(view: PageContext) -> Page:
    """Return the page of one service: its circuit and limits explained, refusals, and failures."""
    service, tenant = view.fields.get("service", ""), view.get("tenant")
    view.reader.check_service(service)
    sections: list[Node] = []
    for status in view.reader.services(tenant, service):
        sections += [
            section(f"Circuit{_region_words(status)}", _circuit(view, status, tenant)),
            section(f"Limits{_region_words(status)}", _limits(view, status, tenant)),
            section(f"Retries{_region_words(status)}", _budget(status)),
        ]
    if view.reader.renews_credentials(service):
        sections.append(section("Credentials", _credentials(view, service, tenant)))
    failures = readable_section(
        "Latest failures",
        lambda: join_nodes(
            calls_table(
                view,
                view.reader.failures(service=service, tenant=tenant, limit=_RECENT_COUNT),
                "No failures.",
            ),
            tag("p", link(view.request, "All its calls", "/calls", service=service, tenant=tenant)),
        ),
    )
    title = service if tenant is None else f"{service} for {tenant}"
    return Page(
        title, [_tenant_filter_of(view, service), *sections, _chart(view, service), failures]
    )


def _tenant_filter_of(view: PageContext, service: str) -> Html:
    return tag(
        "form",
        tag("input", type="hidden", name="service", value=service),
        text_field("tenant", "Tenant", view.get("tenant") or ""),
        tag("div", tag("button", "Show")),
        class_="filter",
        method="get",
        action=view.request.link("/service"),
    )


def _credentials(view: PageContext, service: str, tenant: str | None) -> Node:
    words = (
        "The credentials come from a provider of credentials, and are renewed when the"
        " service refuses"
    )
    return join_nodes(
        tag("p", f"{words} them. A person with the permission to do so can renew them earlier."),
        view.acts(view.act("credentials-renew", service=service, tenant=tenant)),
    )


def _region_words(status: ServiceStatus) -> str:
    return "" if status.region is None else f" in {status.region}"


def _circuit(view: PageContext, status: ServiceStatus, tenant: str | None) -> Node:
    word, kind, explanation = circuit_words(status.circuit)
    circuit_fields = {"service": status.service, "tenant": tenant, "region": status.region}
    circuit = status.circuit
    if circuit is None:
        return tag("p", explanation)
    refusals = view.reader.refusals(status.service, tenant, status.region)
    current_time = view.reader.now()
    history = (
        table(
            ("Until", "Since", "Calls refused"),
            [
                [moment(item.last, current_time), moment(item.first, current_time), item.count]
                for item in refusals
            ],
            caption="Periods in which the circuit refused calls, by the integration log",
        )
        if refusals
        else tag("p", "The circuit has refused no call lately.", class_="soft")
    )
    return join_nodes(
        tag("p", state_mark(word, kind), " ", explanation),
        facts(
            [
                ("Slow calls", circuit.slow_calls),
                ("Openings in a row", circuit.openings),
            ]
        ),
        view.acts(
            view.act("circuit-open", **circuit_fields) if word != "held open" else None,
            view.act("circuit-disable", **circuit_fields) if word != "disabled" else None,
            view.act(
                "circuit-reset",
                words="Resume calls" if word == "held open" else None,
                **circuit_fields,
            ),
        ),
        tag("h3", "History"),
        history,
    )


def _limits(view: PageContext, status: ServiceStatus, tenant: str | None) -> Node:
    if not status.limits:
        return tag("p", "No limit is configured.")
    is_paused = any(limit.paused for limit in status.limits)
    rows: list[list[Node]] = [
        [
            limit.name,
            state_mark(span(limit.wait), "warn") if limit.wait else "no wait",
            span(limit.paused) if limit.paused else "none",
            "-" if limit.left is None else limit.left,
        ]
        for limit in status.limits
    ]
    return join_nodes(
        table(
            (
                "Limit",
                "Wait before the next call",
                "Pause that the vendor asked for",
                "Left of this period",
            ),
            rows,
        ),
        view.acts(
            view.act("limits-reset", service=status.service, tenant=tenant) if is_paused else None
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
