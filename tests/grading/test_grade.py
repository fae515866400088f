"""A good vendor passes each grading rule, and each rule catches a planted violation."""

from __future__ import annotations

import ast
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs
import pytest

from moorage import Service
from moorage.contracts.vendor import RepeatedKey, UnknownOutcome, Vendor, VendorKeys
from moorage.domain.http.requests import Request
from moorage.domain.resilience.retry import RetryPolicy
from moorage.errors import (
    AuthenticationFailed,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.grading.evidence import Evidence, Outcome
from moorage.grading.gathering import ECHO, FAULTS, evidence_of
from moorage.grading.grade import RULES, Result, grade
from moorage.grading.rule import Tier
from moorage.grading.sources import SourceModule, modules_of
from moorage.vendor_sdk import ApiVendor, api_key
from moorage.vendors.sms.sinch import Sinch
from moorage.wiring.installed_vendors import vendor_names
from tests.support.command import command
from tools.grades import PAGE, row_of, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD = "stripe"


@pytest.fixture(scope="module", name="good")
def _good_evidence() -> Evidence:
    return evidence_of(GOOD)


def changed_class(good: Evidence, **fields: Any) -> Evidence:
    """Return evidence about the good vendor, with these attributes of its class replaced."""
    planted_class: Any = type("Planted", (good.vendor,), {"__doc__": good.vendor.__doc__, **fields})
    return attrs.evolve(good, vendor=planted_class)


def class_change(**fields: Any) -> Callable[[Evidence], Evidence]:
    """Return a function that replaces attributes of the vendor's class in the evidence."""

    def plant(good: Evidence) -> Evidence:
        return changed_class(good, **fields)

    return plant


def plant_unknown_capability(good: Evidence) -> Evidence:
    """Plant a capability that no contract has and that no vendor class can declare."""
    planted = changed_class(good)
    cast("Any", planted.vendor).capabilities = frozenset({"teleport"})
    return planted


def evidence_change(**fields: Any) -> Callable[[Evidence], Evidence]:
    """Return a function that replaces these fields of the evidence."""
    return lambda good: attrs.evolve(good, **fields)


def service_change(**fields: Any) -> Callable[[Evidence], Evidence]:
    """Return a function that replaces fields of the vendor's main service in the evidence."""
    return lambda good: attrs.evolve(good, services={"": attrs.evolve(good.services[""], **fields)})


def added_source(text: str) -> Callable[[Evidence], Evidence]:
    """Return a function that adds a module with this source code to the evidence."""
    module = SourceModule("planted", __file__, ast.parse(text), text)
    return lambda good: attrs.evolve(good, modules=(*good.modules, module))


def fault_outcome(name: str, **fields: Any) -> Callable[[Evidence], Evidence]:
    """Return a function that replaces the outcome of one injected fault in the evidence."""
    return lambda good: attrs.evolve(good, faults={**good.faults, name: Outcome(**fields)})


def sent_amount(name: str, sent: str) -> Callable[[Evidence], Evidence]:
    """Return a function that plants a sent amount, for example in a wrong unit."""
    outcome = Outcome(requests=1, bodies=sent)
    return lambda good: attrs.evolve(good, amounts={**good.amounts, name: outcome})


def plant_undescribed(good: Evidence) -> Evidence:
    """Plant an option without a description."""

    @attrs.frozen(kw_only=True)
    class GradedVendor(ApiVendor):
        """An account with an option that has no description."""

        name: ClassVar[str] = GOOD
        kinds: ClassVar[tuple[str, ...]] = ("payments",)
        undescribed_option: str = ""

    return attrs.evolve(good, vendor=GradedVendor, account=GradedVendor())


@attrs.frozen(kw_only=True)
class RevealingVendor(ApiVendor):
    """An account whose secret is an ordinary text."""

    name: ClassVar[str] = GOOD
    kinds: ClassVar[tuple[str, ...]] = ("payments",)

    password: str = "hunter2"


def plant_revealing_vendor(good: Evidence) -> Evidence:
    """Plant an account whose secret is an ordinary text, which its repr shows."""
    return attrs.evolve(
        good, vendor=RevealingVendor, account=RevealingVendor(), secrets=("hunter2",)
    )


def plant_unused_operation(good: Evidence) -> Evidence:
    """Plant an operation of the vendor that no test scenario uses."""
    return changed_class(good, extra=Sinch.get_batch)


def plant_unmapped(good: Evidence) -> Evidence:
    """Plant a vendor that reads no events from webhooks."""
    return changed_class(good, events=Vendor.events)


REFUSED = VendorRejected("No.", status=400)
KEYS = partial(VendorKeys, repeat=RepeatedKey.REPLAYED, header="Idempotency-Key")
PAGE_OF_KEYS = "https://stripe.com/docs/keys"

PLANTS: dict[str, Callable[[Evidence], Evidence]] = {
    "name": evidence_change(name="another"),
    "contracts": class_change(kinds=("payments", "haircuts")),
    "summary": class_change(__doc__=""),
    "options": plant_undescribed,
    "capabilities": plant_unknown_capability,
    "limits": class_change(limits={"page": 0}),
    "main service": evidence_change(services={"other": Service("stripe", "https://a.example")}),
    "https": service_change(base_url="http://a.example"),
    "secret options": plant_revealing_vendor,
    "hidden secrets": plant_revealing_vendor,
    "imports": added_source("from moorage.hub.hub import Hub\n"),
    "purity": added_source("import time\n"),
    "key statements": service_change(idempotency_memory=1e9),
    "unknown outcomes": class_change(unknown_outcomes={"charge": UnknownOutcome.ASKED_AGAIN}),
    "key memory": class_change(idempotency=KEYS(memory=5.0, documentation=PAGE_OF_KEYS)),
    "time limits": service_change(timeout=500.0),
    "retries": service_change(retry=RetryPolicy(max_attempts=9)),
    "circuits": service_change(circuit=None),
    "refusals": service_change(classify=None),
    "ping": evidence_change(ping=Request.post("/ping")),
    "unknown words": added_source("STATES.get(word, MoveState.SUCCEEDED)\n"),
    "key sources": class_change(idempotency=KEYS(memory=500.0, documentation="https://stripe.com")),
    "module docstrings": added_source("x = 1\n"),
    "module length": added_source('"""Long."""\n' + "\n" * 500),
    "requested operations": plant_unused_operation,
    "account": evidence_change(account=None),
    "sandbox": evidence_change(has_sandbox=False),
    "scenarios": evidence_change(exchanges=()),
    "credentials": evidence_change(secrets=("latest_charge",)),
    "working capabilities": evidence_change(capabilities={"list": Outcome(error=REFUSED)}),
    "refused capabilities": evidence_change(missing={"list": Outcome(result=True)}),
    "silent refusals": evidence_change(missing={"list": Outcome(requests=1)}),
    "status 401": fault_outcome("401", error=REFUSED, requests=1),
    "status 404": fault_outcome("404", error=AuthenticationFailed("No."), requests=1),
    "status 422": fault_outcome("422", result=True, requests=1),
    "status 429": fault_outcome("429", error=REFUSED, requests=1),
    "status 503": fault_outcome("503", error=REFUSED, requests=1),
    "HTML answer": fault_outcome("HTML answer", result=True, requests=1),
    "null answer": fault_outcome("null answer", result=True, requests=1),
    "lost answer": fault_outcome("lost", result=True, requests=1),
    "single effect": lambda good: class_change(idempotency=None)(
        fault_outcome("lost", error=VendorFailed("It failed."), effects=2)(good)
    ),
    "errors of moorage": fault_outcome("422", error=KeyError("id")),
    "named services": fault_outcome("422", error=VendorRejected("No.")),
    "vendor's answer": fault_outcome("422", error=REFUSED),
    "echoed secrets": lambda good: fault_outcome(ECHO, error=VendorRejected(good.secrets[0]))(good),
    "pause": fault_outcome("429", error=RateLimitExceeded("Too many.", retry_at=None)),
    "sent keys": class_change(
        idempotency=KEYS(memory=500.0, documentation=PAGE_OF_KEYS, header="X-Another-Key")
    ),
    "yen": sent_amount("yen", "amount=123400&currency=jpy"),
    "dinar": sent_amount("dinar", "amount=1.230&currency=kwd"),
    "huge": sent_amount("huge", "amount=123456.7&currency=eur"),
    "webhook scheme": class_change(webhook="nobody"),
    "unsigned webhooks": evidence_change(unsigned_events=1),
    "mapped webhooks": plant_unmapped,
    "damaged webhooks": evidence_change(events=KeyError("id")),
}
"""A planted violation for each rule."""


def failed_rules(evidence: Evidence) -> set[str]:
    """Return the names of the rules that the evidence violates."""
    return {finding.rule.name for finding in grade(evidence).failures}


def test_each_rule_has_one_planted_violation() -> None:
    """Each rule has one planted violation, and all rules have different names."""
    assert sorted(PLANTS) == sorted(rule.name for rule in RULES)


@pytest.mark.parametrize("name", PLANTS)
def test_rule_fails_for_its_planted_violation(name: str, good: Evidence) -> None:
    """A rule passes for a good vendor, and fails for its planted violation."""
    assert name not in failed_rules(good)
    assert name in failed_rules(PLANTS[name](good))


@pytest.mark.parametrize(
    "rule, text",
    [
        ("purity", "datetime.now(UTC)\n"),
        ("purity", "when = datetime.date.today()\n"),
        ("purity", "from uuid import uuid4\nid = uuid4()\n"),
        ("purity", "open('a').read()\n"),
        ("purity", "from pathlib import Path\n"),
        ("purity", "from urllib.request import urlopen\n"),
        ("unknown words", "STATES.get(word) or MoveState.SUCCEEDED\n"),
        ("unknown words", "reading.word('state', STATES, otherwise=MoveState.SUCCEEDED)\n"),
    ],
)
def test_source_rule_fails_for_each_planted_violation(rule: str, text: str, good: Evidence) -> None:
    """A rule about source code sees each way to break it."""
    assert rule in failed_rules(added_source(text)(good))


@pytest.mark.parametrize(
    "text",
    [
        "wire.now()\n",
        "from pathlib import PurePath\n",
        "from urllib.parse import quote\n",
        "from uuid import uuid5\nuuid5(space, name)\n",
        "STATES.get(word) or MoveState.UNKNOWN\n",
    ],
)
def test_pure_source_is_not_accused(text: str, good: Evidence) -> None:
    """A rule about source code accepts the pure functions of a module that has impure ones too."""
    assert not failed_rules(added_source(text)(good)) & {"purity", "unknown words"}


@pytest.mark.parametrize("name", ["access_token", "signing_key", "passphrase"])
def test_secret_of_another_name_is_caught(name: str, good: Evidence) -> None:
    """A token, a signing key or a passphrase must have the type Secret."""
    planted_class: Any = attrs.make_class("Planted", {name: attrs.field(default="x", type=str)})
    planted = attrs.evolve(good, vendor=planted_class, account=planted_class())
    [rule] = [rule for rule in RULES if rule.name == "secret options"]
    assert [f"The option {name} is a string, and is shown."] == [
        violation.problem for violation in rule.check(planted)
    ]


def test_ignored_fault_of_a_call_with_several_requests_is_caught(good: Evidence) -> None:
    """If a call usually sends two requests, two requests after a fault do not count as a retry."""
    two_requests = attrs.evolve(good, usual_requests=2)
    ignored = fault_outcome("null answer", result=True, requests=2)(two_requests)
    repeated = fault_outcome("null answer", result=True, requests=3)(two_requests)
    assert "null answer" in failed_rules(ignored)
    assert "null answer" not in failed_rules(repeated)


def test_stated_key_may_be_in_the_query_but_no_other_secret() -> None:
    """A key declared with `query_key` may be in that URL parameter; other secrets may not.

    Other secrets must not be in the URL.
    """
    postnord = evidence_of("postnord")
    [key] = postnord.secrets
    elsewhere = attrs.evolve(
        postnord.exchanges[0], url=f"https://api2.postnord.com/?apikey={key}&id={key}"
    )

    assert set() == failed_rules(postnord)
    for planted in (
        attrs.evolve(postnord, exchanges=(elsewhere,)),
        attrs.evolve(postnord, secrets=(key, "A6")),
        changed_class(postnord, auth=api_key("apikey")),
    ):
        assert "credentials" in failed_rules(planted)


def test_tier_follows_from_the_rules(good: Evidence) -> None:
    """A vendor gets the highest tier for which it passes all rules, with those of lower tiers."""
    plants = {
        Tier.NONE: PLANTS["https"],
        Tier.BRONZE: PLANTS["circuits"],
        Tier.SILVER: PLANTS["key sources"],
    }

    assert plants.keys() == {
        tier for tier, plant in plants.items() if grade(plant(good)).tier is tier
    }
    assert Tier.GOLD is grade(good).tier


def test_rules_of_others_do_not_concern_a_vendor() -> None:
    """Rules about HTTP do not concern a vendor that does not use HTTP."""
    evidence = evidence_of("local_files")
    results = {finding.rule.name: finding.result for finding in grade(evidence).findings}

    assert Result.NOT_CONCERNED is results["https"]
    assert Result.NOT_CONCERNED is results["status 401"]
    assert {} == evidence.faults


def test_evidence_has_an_outcome_for_each_fault_and_capability(good: Evidence) -> None:
    """The evidence has an outcome for each injected fault, each capability and each test amount."""
    assert {*FAULTS, ECHO} == good.faults.keys()
    assert good.capabilities
    assert {"yen", "dinar", "huge"} == good.amounts.keys()


def test_vendor_without_a_sandbox_is_graded(good: Evidence) -> None:
    """A vendor without a sandbox has no tier, because nothing proves its declarations."""
    evidence = Evidence(name=GOOD, vendor=good.vendor, modules=modules_of(good.vendor))

    assert Tier.NONE is grade(evidence).tier
    assert {"account", "sandbox"} <= failed_rules(evidence)
    assert "payments/stripe.py:" in str(evidence.start)
    assert 1 == attrs.evolve(good, modules=()).start.number


def test_command_shows_the_rules_that_fail() -> None:
    """`moorage grade` shows each rule with its result, the place where it fails, and the remedy."""
    result = command("grade", "sinch", "--json")
    people = command("grade", "sinch", "--every")

    assert [rule.name for rule in RULES] == [rule["rule"] for rule in result.result["rules"]]
    assert (result.code == 0) == (result.result["tier"] == "gold")
    assert f"sinch: {result.result['tier']}." in people.out
    assert "not concerned" in people.out


def test_unknown_vendor_is_refused() -> None:
    """`moorage grade` of an unknown vendor fails, and names a vendor with a similar name."""
    result = command("grade", "strip")

    assert 2 == result.code
    assert "stripe" in result.err


def test_page_has_the_rules_and_grades() -> None:
    """The page of grades lists every rule, and each vendor with its grade."""
    text = PAGE.read_text("utf-8")

    assert text.endswith("\n".join(rules()))
    assert row_of(grade(evidence_of("twilio"))) in text.splitlines()
    assert {*rows_of_page()} <= {*vendor_names()}


def rows_of_page() -> Iterator[str]:
    """Yield the names of the vendors on the page."""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("| ["):
            yield line.partition("[")[2].partition("]")[0]
