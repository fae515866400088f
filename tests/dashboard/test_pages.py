"""The content of each operations page, and its responses to hostile requests."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any, Final

import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitState,
    ConfigurationError,
    Hub,
    InvalidData,
    RateLimitConfig,
    Service,
)
from moorage.dashboard import ALL_ACTS, Dashboard, DashboardApp, PageRequest, Person
from moorage.dashboard.reading import Reader
from moorage.domain.entries.queue import EntryState
from moorage.domain.observation.integration_log import IntegrationStatus, LogPage, LogQuery
from moorage.domain.resilience.gate_commands import Pause
from moorage.errors import OutcomeUnknown, StorageUnavailable
from moorage.hub.internals import flows_of
from moorage.runtime.flows import run_now
from tests.dashboard.harness import ANN, SECRET, VIEWER, WAIT, Harness, Visitor
from tests.security.canaries import Canaries

EVIL: Final = "<script>x</script><img src=x onerror=x>'\"`&\u202e\u0000{{7*7}}"
TAGS: Final = frozenset(
    re.findall(
        "[a-z0-9]+",
        "html head meta title style body a header div strong nav span main h1 h2 h3 section p ul li"
        " form label input select option button table caption thead tbody tr th td time footer dl"
        " dt dd code details summary pre",
    )
)
VOID: Final = frozenset({"meta", "input"})
PLACES: Final = (
    "/",
    "/?tenant=acme",
    "/service?service=vat",
    "/service?service=bare",
    "/calls",
    "/queues",
    "/queues?box=outbox&state=dead",
    "/dead",
    "/unknown",
    "/nowhere",
    "/acts/circuit-open?service=vat",
    "/acts/limits-reset?service=vat",
    "/acts/nothing",
)


class StrictHtmlParser(HTMLParser):
    """An HTML parser that refuses markup which the operations page never writes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check that an element is known and has no event handlers, styles or foreign links."""
        assert tag in TAGS
        assert len(attrs) == len({name for name, _ in attrs})
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in {"style", "src", "srcdoc"}
            if name in {"href", "action"}:
                assert value is not None
                assert value.startswith(("/", "#"))
                assert not value.startswith("//")
                self.links.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Require that an end tag closes the last open element."""
        assert tag == self.open.pop()


def parse_page(text: str) -> StrictHtmlParser:
    """Parse a page with the strict parser."""
    parser = StrictHtmlParser()
    parser.feed(text)
    parser.close()
    assert [] == parser.open
    return parser


def pause_service(harness: Harness) -> None:
    """Pause the service's limits, as if the vendor had requested a pause."""
    flows = flows_of(harness.hub.manager)
    gates = flows.plans.find("vat", None, None).gates
    run_now(flows.core.execute(Pause(gates, 40_000_000), None))


def test_first_page_says_what_needs_a_person() -> None:
    """The first page lists any open circuits, pauses, dead letters and unknown outcomes."""
    with Harness() as harness:
        visitor = harness.visitor()
        quiet_page = visitor.get("/").text
        assert "Nothing needs attention." in quiet_page
        assert "No failures." in quiet_page
        harness.break_circuit()
        pause_service(harness)
        harness.lose()
        harness.put_outbox_entry()
        harness.put_outbox_entry("02")
        harness.put_outbox_entry("03", EntryState.UNKNOWN)
        harness.dead_webhook()
        harness.fail()
        text = visitor.get("/").text
    for words in (
        "1 payment with an unknown outcome",
        "circuit open",
        "The next probe may be sent in 30 s.",
        "the vendor asked for a pause, which ends in 40 s.",
        "the retry budget of this period is used up",
        "2 entries that failed for good in the outbox",
        "1 entry with an unknown outcome in the outbox",
        "1 entry that failed for good in the inbox",
        "VendorFailed",
    ):
        assert words in text, words


def test_thousands_of_services_are_found_by_their_names() -> None:
    """The first page lists a bounded number of services and problems, and can search services."""
    services = [Service(f"shop-{number}", circuit=CircuitBreakerConfig()) for number in range(300)]
    with Hub([], services=services) as hub:
        visitor = Visitor(DashboardApp(Dashboard(hub, secret=SECRET), lambda _: ANN))
        first, filtered = visitor.get("/").text, visitor.get("/?service=SHOP-29").text
        missing = visitor.get("/?service=%25").text
        for number in range(300):
            run_now(flows_of(hub.manager).set_circuit(f"shop-{number}", CircuitState.FORCED_OPEN))
        page_of_troubled_service = visitor.get("/?service=shop-299").text

    assert "The table shows 200 of 300 services." in first
    assert ["29", *map(str, range(290, 300))] == sorted(set(re.findall(r">shop-(\d+)<", filtered)))
    assert "name contains the text in the filter." in missing
    assert "100 more problems with services" in page_of_troubled_service
    assert 201 == page_of_troubled_service.count("/service?service=shop-")


def test_calls_left_of_a_quota_are_shown() -> None:
    """The first page and the page of a service show how many calls of a quota are left."""
    services = [Service("vat", limits=RateLimitConfig.per_calendar_day(500))]
    with Hub([], services=services) as hub:
        hub.manager.run("vat", int)
        visitor = Visitor(DashboardApp(Dashboard(hub, secret=SECRET), lambda _: ANN))
        first, service_page = visitor.get("/").text, visitor.get("/service?service=vat").text

    assert "free; 499 left of 500 per calendar day" in first
    assert "Left of this period" in service_page
    assert ">499<" in service_page


def test_service_is_explained_in_every_state_of_its_circuit() -> None:
    """A service's page explains each circuit state, and lists refused calls as history."""
    with Harness() as harness:
        visitor, manager = harness.visitor(), harness.hub.manager
        assert "Calls are sent." in visitor.get("/service?service=vat").text
        harness.break_circuit()
        open_page = visitor.get("/service?service=vat").text
        assert "Calls are refused, because too many earlier calls failed." in open_page
        assert "Periods in which the circuit refused calls" in open_page
        harness.clock.advance(30)
        assert "The next probe may be sent now" in visitor.get("/service?service=vat").text
        probe_pages: list[str] = []
        manager.run("vat", lambda: probe_pages.append(visitor.get("/service?service=vat").text))
        assert "Single calls probe the service. Probes under way: 1." in probe_pages[0]
        manager.set_circuit("vat", CircuitState.FORCED_OPEN)
        held_page = visitor.get("/service?service=vat").text
        assert ("A person holds the circuit open" in held_page, "Pause calls" in held_page) == (
            True,
            False,
        )
        manager.set_circuit("vat", CircuitState.DISABLED)
        disabled = visitor.get("/service?service=vat").text
        assert ("A person disabled the circuit" in disabled, ">Disable<" in disabled) == (
            True,
            False,
        )
        bare_page = visitor.get("/service?service=bare").text
        for words in ("No circuit is configured", "No limit is", "No retry budget is"):
            assert words in bare_page
        assert "bare for acme" in visitor.get("/service?service=bare&tenant=acme").text
        assert 404 == visitor.get("/service?service=nobody").status


def test_queue_pages_show_entries_without_their_contents() -> None:
    """Queue pages show, filter and count entries, but never their contents."""
    with Harness() as harness:
        visitor = harness.visitor()
        for number in range(120):
            tenant = "acme" if number % 2 else "globex"
            harness.put_outbox_entry(f"{number:03}", tenant=tenant, content=b"a private content")
        harness.put_outbox_entry("w", EntryState.WAITING)
        counts = visitor.get("/queues").text
        assert "100+" in counts
        first = visitor.get("/queues?box=outbox&state=dead&tenant=acme").text
        assert (50, 0) == (first.count("id=1") + first.count("id=0"), first.count("globex"))
        older_link = next(link for link in parse_page(first).links if "after=" in link)
        second = visitor.get(older_link).text
        assert 10 == second.count("id=1") + second.count("id=0")
        assert "Older" not in second
        assert "No entry matches." in visitor.get("/dead?box=inbox").text
        entry = visitor.get("/entry?box=outbox&id=001")
        assert "The entry failed for good." in entry.text
        assert "private" not in entry.text + first
        waiting = visitor.get("/entry?box=outbox&id=w").text
        assert (False, True) == ("Process again" in waiting, ">Drop<" in waiting)
        for url in (
            "/entry?box=outbox&id=none",
            "/entry?box=none&id=1",
            "/queues?box=outbox&state=none",
            "/queues?box=none",
            "/queues?box=outbox&after=none",
        ):
            assert 404 == visitor.get(url).status, url


def test_calls_are_filtered_and_paged() -> None:
    """Every filter of the log page narrows the list, and each page continues the previous one."""
    with Harness() as harness:
        visitor = harness.visitor()
        for number in range(70):
            status = IntegrationStatus.SUCCESS if number % 7 else IntegrationStatus.HELD_BACK
            harness.fail(id=f"id-{number}", status=status, tenant="acme", operation="look")
        harness.fail(
            id="other", tenant="globex", subject="buyer-1", service="bare", request="POST /<b>"
        )
        first = visitor.get("/calls?tenant=acme").text
        assert 50 == first.count("/call?id=")
        odd_link = "/calls?tenant=acme&path=a&words=b&request=c&self=d"
        assert 50 == visitor.get(odd_link).text.count("/call?id=")
        older_link = next(link for link in parse_page(first).links if "after=" in link)
        assert 20 == visitor.get(older_link).text.count("/call?id=")
        for query in (
            "subject=buyer-1",
            "id=other",
            "service=bare",
            "status=failed",
            "hours=1&id=other",
        ):
            assert 1 == visitor.get(f"/calls?{query}").text.count("/call?id="), query
        assert "held back" in visitor.get("/calls?status=held_back").text
        assert 11 == visitor.get("/calls?status=failures").text.count("/call?id=")
        assert "No call matches the filter." in visitor.get("/calls?operation=none").text
        one = visitor.get("/call?id=other").text
        assert ("503" in one, "buyer-1" in one, "globex" in one) == (True, True, True)
        assert "<summary>What was sent</summary><pre>POST /&lt;b&gt;</pre>" in one
        assert "What came back" not in one
        for url in ("/calls?status=none", "/calls?hours=2", "/calls?after=none", "/call?id=none"):
            assert 404 == visitor.get(url).status, url


def test_page_of_calls_that_ended_at_its_limit_does_not_say_that_no_call_matches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If a search for calls stopped at its limit, the page does not say that no call matches."""
    with Harness() as harness:
        scanned_to = harness.clock.utc() - timedelta(hours=2)
        page = LogPage(items=(), next="7.8", scanned=50_000, scanned_to=scanned_to)
        monkeypatch.setattr(harness.log, "find", lambda _: page)
        text = harness.visitor().get("/calls?text=zebra").text

        assert "None of the searched calls matches the filter." in text
        assert "Searched 50000 calls, back to" in text
        assert "(2 h ago)" in text
        assert ["/calls?text=zebra&after=7.8"] == [
            link for link in parse_page(text).links if "after=" in link
        ]


def test_page_shows_what_an_installation_has() -> None:
    """If there is no log, queue or service, the pages say so."""
    with Hub([]) as hub:
        dashboard = Dashboard(hub, secret=SECRET)
        visitor = Visitor(DashboardApp(dashboard, lambda _: ANN))
        assert "No service is configured." in visitor.get("/").text
        assert "No integration log is configured." in visitor.get("/calls").text
        assert "This page has no outbox and no inbox to show." in visitor.get("/queues").text
        assert "This page has no queue to show." in visitor.get("/dead").text
        assert "every payment of the payments contract is known." in visitor.get("/unknown").text


def test_unknown_outcomes_of_other_services_are_shown_until_they_are_settled() -> None:
    """The first page counts idempotency keys to settle, and *Unknown outcomes* lists them."""

    def fail() -> None:
        raise ValueError

    with Harness() as harness:
        visitor = harness.visitor()
        assert "No call of the last 7 days" in visitor.get("/unknown").text
        for expected_error in (ValueError, OutcomeUnknown):
            with pytest.raises(expected_error):
                harness.hub.manager.run(
                    "bare", fail, idempotency_key="INV-3/1", request_id="call-9"
                )
        assert "1 idempotency key with an unknown outcome" in visitor.get("/").text
        page = visitor.get("/unknown").text
        assert ("<code>INV-3/1</code>" in page, "/call?id=call-9" in page) == (True, True)

        assert harness.hub.manager.resolve_key("bare", "INV-3/1", done=False)
        assert "Nothing needs attention." in visitor.get("/").text
        assert "INV-3/1" not in visitor.get("/unknown").text


def test_unknown_entries_of_each_queue_are_filtered_and_paged_alone() -> None:
    """On the page of unknown outcomes, each queue has its own filter and its own next page."""
    with Harness() as harness:
        visitor = harness.visitor()
        for number in range(60):
            tenant = "acme" if number else "globex"
            harness.put_outbox_entry(f"o{number:02}", EntryState.UNKNOWN, tenant=tenant)
        harness.unknown_webhook("i1", tenant="globex")
        page = parse_page(visitor.get("/unknown").text)
        older_link = next(link for link in page.links if "after=" in link)
        older = visitor.get(older_link).text
        assert (10, 1) == (older.count("id=o"), older.count("id=i1"))
        filtered = visitor.get("/unknown?box=outbox&state=unknown&tenant=globex").text
        assert (1, 1) == (filtered.count("id=o"), filtered.count("id=i1"))


def test_payments_of_the_contract_are_listed_once() -> None:
    """A payment of the payments contract is not listed again among the other calls."""
    with Harness() as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        page = harness.visitor().get("/unknown").text

        assert "No call of the last 7 days" in page
        assert 1 == page.count("/payment?")


class UnavailableStore:
    """A log or a queue whose database is unavailable."""

    def write(self, _: object) -> None:
        """Raise an error, because the store is unavailable."""

    def find(self, _: LogQuery) -> Any:
        """Raise an error, because the store is unavailable."""
        raise StorageUnavailable("The log is away.")

    def with_audit(self, _: object) -> UnavailableStore:
        """Ignore the audit trail, and return this store."""
        return self


def test_unavailable_store_hides_only_its_section() -> None:
    """If a store is unavailable, the first page shows all other data.

    Pages that need the store state the cause.
    """
    with Hub([]) as hub:
        log: Any = UnavailableStore()
        dashboard = Dashboard(hub, secret=SECRET, log=log)
        visitor = Visitor(DashboardApp(dashboard, lambda _: ANN))
        first = visitor.get("/")
        assert (200, True) == (first.status, "The log is away." in first.text)
        assert "Nothing needs attention." in first.text
        assert 503 == visitor.get("/calls").status
        boxes = Dashboard(hub, secret=SECRET, outbox=log)
        visitor = Visitor(DashboardApp(boxes, lambda _: ANN))
        assert 503 == visitor.get("/acts/entry-drop?box=outbox&id=1").status
        assert [] == Reader(hub, {}, None).windows(None, None)


def test_each_payment_has_its_own_page() -> None:
    """Each payment has its own page; without an integration log the page shows no calls."""
    with Harness() as harness:
        harness.lose()
        harness.lose(reference="INV-8", key="INV-8/1", amount="30.00")
        page = Dashboard(harness.hub, secret=SECRET)
        visitor = Visitor(DashboardApp(page, lambda _: ANN))
        for key, amount in (("INV-7/1", "20.00 EUR"), ("INV-8/1", "30.00 EUR")):
            text = visitor.get(f"/payment?key={key}").text
            assert f"Charge of {amount}" in text
            assert "The integration log has no call under this key." in text


def test_hostile_texts_are_only_texts() -> None:
    """HTML in any displayed field is shown as text, on every page and in every confirmation."""
    with Harness() as harness:
        visitor = harness.visitor()
        name = EVIL.replace("\0", "").replace("\u202e", "")
        harness.lose(reference=EVIL.replace("\0", "")[:180], key="k<b>")
        harness.clock.advance(WAIT)
        fields: Any = dict.fromkeys(
            ("tenant", "operation", "error", "subject", "target", "lane"), EVIL
        )
        harness.put_outbox_entry(**fields)
        harness.put_outbox_entry("02<b>", EntryState.UNKNOWN, **fields)
        harness.dead_webhook(**fields)
        log: Any = dict.fromkeys(
            ("tenant", "operation", "error", "subject", "vendor_code", "idempotency_key", "region"),
            EVIL,
        )
        harness.fail(id=EVIL, **log)
        harness.fail(service=EVIL)
        person = Person(name, ALL_ACTS)
        hostile = Visitor(DashboardApp(harness.dashboard, lambda _: person))
        typed_text = EVIL.replace("\0", "")
        hostile.act("/acts/payment-done?key=k%3Cb%3E", reason=typed_text, receipt=typed_text)
        seen_urls: set[str] = set()
        waiting = ["/", "/calls", "/dead", "/unknown", "/queues?box=outbox&state=unknown"]
        while waiting and len(seen_urls) < 150:
            url = waiting.pop()
            if url in seen_urls or url.startswith("#"):
                continue
            seen_urls.add(url)
            for answer in (visitor.get(url), hostile.get(url)):
                assert answer.status in ({400} if "%00" in url else {200, 404}), url
                for raw in ("<script", "<img", "\u202e", "\0", "<b>"):
                    assert raw not in answer.text, url
                waiting += parse_page(answer.text).links
        assert len(seen_urls) > 20
        calls_page = visitor.get("/calls").text
        assert "&lt;script&gt;x&lt;/script&gt;" in calls_page


@pytest.mark.parametrize("url", PLACES)
def test_pages_are_wellformed_and_locked_down(url: str) -> None:
    """Every page is well-formed, has one style and no script, and may not be framed or cached."""
    with Harness() as harness:
        answer = harness.visitor().get(url)
        parse_page(answer.text)
        policy = answer.header("Content-Security-Policy")
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "no-store" == answer.header("Cache-Control")
        head = harness.visitor().send("HEAD", url, b"")
        assert ("", answer.header("Content-Length")) == (head.text, head.header("Content-Length"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_pages_accept_no_other_method(method: str) -> None:
    """Pages answer methods other than GET and HEAD with 405; only action forms accept POST."""
    with Harness() as harness:
        answer = harness.visitor().send(method, "/calls", b"")
        assert (405, "GET, HEAD") == (answer.status, answer.header("Allow"))
        if method != "POST":
            act = harness.visitor().send(method, "/acts/circuit-open", b"")
            assert (405, "GET, HEAD, POST") == (act.status, act.header("Allow"))


@pytest.mark.parametrize(
    "url",
    [
        "/../etc/passwd",
        "//example.com/",
        "/calls/",
        "/CALLS",
        "/acts/",
        "/acts/../calls",
        "/acts/circuit-open/x",
        "/%2e%2e/",
        "/calls\x00",
        "/\xff\xfe",
    ],
)
def test_unknown_paths_are_not_found(url: str) -> None:
    """Only the exact paths of pages exist; all other paths return 404."""
    with Harness() as harness:
        answer = harness.visitor().send("GET", "/", b"", PATH_INFO=url)
        assert 404 == answer.status
        parse_page(answer.text)


@pytest.mark.parametrize(
    "query",
    [
        "tenant=a&tenant=b",
        "&".join(f"f{number}=1" for number in range(60)),
        "text=%00",
        "a%00=b",
    ],
)
def test_malformed_queries_are_refused(query: str) -> None:
    """A query with a repeated field, too many fields, or the character NUL is refused."""
    with Harness() as harness:
        assert 400 == harness.visitor().get(f"/?{query}").status
        assert 400 == harness.visitor().get(f"/acts/circuit-open?{query}").status


@pytest.mark.parametrize(
    "query", ["tenant=%ff%fe%00", "tenant=" + "x" * 9_000, "%%%", "=", "tenant=%F0%9F", "a;b"]
)
def test_garbage_in_queries_breaks_nothing(query: str) -> None:
    """Arbitrary queries still return a page."""
    with Harness() as harness:
        for path in ("/", "/calls", "/dead", "/payment", "/acts/payment-ask"):
            answer = harness.visitor().get(f"{path}?{query}")
            assert answer.status in {200, 400, 404}
            parse_page(answer.text)


def test_address_without_a_slash_leads_to_the_first_page() -> None:
    """The root without a slash redirects to the first page."""
    with Harness() as harness:
        redirect = Visitor(harness.app, {"who": "ann"}, root="/ops").get("")
        assert (303, "/ops/") == (redirect.status, redirect.header("Location"))
        page = Visitor(harness.app, {"who": "ann"}, root="/ops").get("/")
        links = [link for link in parse_page(page.text).links if not link.startswith("#")]
        assert all(link.startswith("/ops/") for link in links)


def test_no_secret_is_on_any_page() -> None:
    """Credentials and the page's own secret appear in no page and no response."""
    canaries = Canaries()
    secret = canaries.plant("page-secret")
    with Harness() as harness:
        canaries.plant("api-key", harness.stripe.api_key)
        harness.lose()
        harness.put_outbox_entry(content=canaries.plant("content").encode())
        harness.fail()
        dashboard = Dashboard(
            harness.hub, secret=secret, outbox=harness.outbox, inbox=harness.inbox, log=harness.log
        )
        person = Person("ann", ALL_ACTS, canaries.plant("session"))
        visitor = Visitor(DashboardApp(dashboard, lambda _: person))
        for url in (*PLACES, "/payment?key=INV-7/1", "/entry?box=outbox&id=01", "/call?id=req-1"):
            answer = visitor.get(url)
            assert not canaries.heard(answer.text + repr(answer.headers)), url
        assert not canaries.heard(repr(person) + repr(dashboard) + repr(PageRequest))


def test_viewer_sees_everything_and_no_button() -> None:
    """A person who may only read sees every page, without any buttons for actions."""
    with Harness() as harness:
        harness.break_circuit()
        harness.lose()
        harness.clock.advance(WAIT)
        harness.put_outbox_entry()
        visitor = harness.visitor(VIEWER)
        for url in ("/", "/service?service=vat", "/dead", "/payment?key=INV-7/1", "/unknown"):
            answer = visitor.get(url)
            assert 200 == answer.status
            assert "/acts/" not in answer.text
            assert "vera (read only)" in answer.text
        assert (
            "You may read this page, but you have no permission to decide."
            in visitor.get("/payment?key=INV-7/1").text
        )


def test_people_and_secrets_are_checked() -> None:
    """A person without a name, or a page secret that is too short, is refused."""
    for name in ("", " ", "x" * 200, 7):
        wrong_name: Any = name
        with pytest.raises(InvalidData, match="name of a person"):
            Person(wrong_name)
    with Hub([]) as hub, pytest.raises(ConfigurationError, match="shorter than 16"):
        Dashboard(hub, secret="short")
