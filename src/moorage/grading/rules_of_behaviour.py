"""The rules for a vendor's behaviour in its sandbox, including simulated failures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    OutcomeUnknown,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.grading.rule import (
    Rule,
    Tier,
    Violation,
    applies_to_all,
    at_a_sandbox,
    over_http,
    with_credentials,
    with_keys,
    with_payments,
    with_webhooks,
)
from moorage.vendor_sdk.api_vendor import QueryKey
from moorage.wiring.installed_vendors import webhook_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.grading.evidence import Evidence, Outcome

_DIGITS: Final = {
    "yen": r"1234(?:\.0+)?",
    "dinar": r"1\.2340*|1234",
    "huge": r"123456\.780*|12345678",
}
"""The forms of an amount in a request: major units as a decimal number, or minor units."""


def _account(evidence: Evidence) -> Iterator[Violation]:
    if evidence.account is None:
        yield Violation("There is no account at a sandbox.")


def _sandbox(evidence: Evidence) -> Iterator[Violation]:
    if not evidence.has_sandbox:
        yield Violation("There is no sandbox.")


def _exchanges(evidence: Evidence) -> Iterator[Violation]:
    if not evidence.exchanges:
        yield Violation("The scenarios send no request to the sandbox.")


def _credentials(evidence: Evidence) -> Iterator[Violation]:
    auth = getattr(evidence.vendor, "auth", None)
    stated_parameter = auth.parameter if isinstance(auth, QueryKey) else None
    for exchange in evidence.exchanges:
        query = " ".join(
            f"{name} {value}"
            for name, value in parse_qsl(urlsplit(exchange.url).query, keep_blank_values=True)
            if name != stated_parameter
        )
        if any(secret in query for secret in evidence.secrets if secret):
            yield Violation(f"A secret is in the query of {urlsplit(exchange.url).path}.")
            return


def _working_capabilities(evidence: Evidence) -> Iterator[Violation]:
    for capability, outcome in evidence.capabilities.items():
        if outcome.error is not None:
            yield Violation(f"{capability} fails: {_error_text(outcome.error)}")
        elif not outcome.result:
            yield Violation(f"{capability} has no effect.")


def _refused_capabilities(evidence: Evidence) -> Iterator[Violation]:
    for capability, outcome in evidence.missing.items():
        if not isinstance(outcome.error, UnsupportedByVendor):
            yield Violation(f"{capability} is not stated, and is not refused.")


def _silent_refusals(evidence: Evidence) -> Iterator[Violation]:
    for capability, outcome in evidence.missing.items():
        if outcome.requests:
            yield Violation(f"{capability} is not stated, and sends {outcome.requests} requests.")


def _fault(name: str, *kinds: type[ConnectorError]) -> Callable[[Evidence], Iterator[Violation]]:
    """Return a check that a simulated fault raises one of these errors, or a repeat succeeds."""

    def check_evidence(evidence: Evidence) -> Iterator[Violation]:
        outcome = evidence.faults.get(name)
        if outcome is None or _is_made_good(outcome, evidence.usual_requests):
            return
        if outcome.error is None:
            yield Violation("The call succeeds in spite of this answer.")
        elif not isinstance(outcome.error, kinds):
            yield Violation(f"The call raises {_error_text(outcome.error)}")

    return check_evidence


def _is_made_good(outcome: Outcome, usual_requests: int) -> bool:
    """Return whether a call succeeded with more requests than usual, so that one was repeated."""
    return outcome.error is None and outcome.requests > usual_requests


def _single_effect(evidence: Evidence) -> Iterator[Violation]:
    outcome = evidence.faults.get("lost")
    if outcome is None or evidence.vendor.idempotency is not None:
        return
    if outcome.error is not None and outcome.effects > 1:
        yield Violation(f"The request is sent {outcome.effects} times without a key.")


def _foreign_errors(evidence: Evidence) -> Iterator[Violation]:
    for name, outcome in {**evidence.faults, **evidence.amounts}.items():
        if outcome.error is not None and not isinstance(outcome.error, ConnectorError):
            yield Violation(f"{name}: {type(outcome.error).__name__} is not an error of moorage.")


def _named_services(evidence: Evidence) -> Iterator[Violation]:
    for name, outcome in evidence.faults.items():
        if isinstance(outcome.error, ConnectorError) and not (outcome.error.service or ""):
            yield Violation(f"The error of {name} names no service.")


def _available_answers(evidence: Evidence) -> Iterator[Violation]:
    outcome = evidence.faults.get("422")
    error = None if outcome is None else outcome.error
    if isinstance(error, VendorRejected) and error.response is None:
        yield Violation("The error lacks the vendor's answer.")


def _echoed_secrets(evidence: Evidence) -> Iterator[Violation]:
    for name, outcome in evidence.faults.items():
        shown_text = f"{outcome.error!s}{outcome.error!r}"
        if any(secret in shown_text for secret in evidence.secrets if secret):
            yield Violation(f"The error of {name} shows a secret.")


def _pause(evidence: Evidence) -> Iterator[Violation]:
    outcome = evidence.faults.get("429")
    error = None if outcome is None else outcome.error
    if isinstance(error, RateLimitExceeded) and error.retry_at is None:
        yield Violation("The error does not state when to try again.")


def _sent_keys(evidence: Evidence) -> Iterator[Violation]:
    keys = evidence.vendor.idempotency
    headers = {service.idempotency_header for service in evidence.services.values()}
    if keys is not None and evidence.services and keys.header not in headers:
        yield Violation(f"No service sends keys in the header {keys.header}.")


def _amount(name: str) -> Callable[[Evidence], Iterator[Violation]]:
    """Return a check that an amount is sent exactly, or refused before sending."""

    def check_evidence(evidence: Evidence) -> Iterator[Violation]:
        outcome = evidence.amounts.get(name)
        if outcome is None or (isinstance(outcome.error, ConnectorError) and not outcome.requests):
            return
        if isinstance(outcome.error, (InvalidData, VendorRejected, UnsupportedByVendor)):
            return
        if re.search(rf"(?<![\d.])(?:{_DIGITS[name]})(?![\d.])", unquote(outcome.bodies)) is None:
            yield Violation("The digits of the amount are not in the request.")

    return check_evidence


def _webhook_scheme(evidence: Evidence) -> Iterator[Violation]:
    try:
        webhook_scheme(evidence.vendor.webhook or "")
    except ConnectorError as error:
        yield Violation(_error_text(error))


def _unsigned_webhooks(evidence: Evidence) -> Iterator[Violation]:
    if evidence.unsigned_events:
        yield Violation("The events of a webhook without a signature are accepted.")


def _mapped_webhooks(evidence: Evidence) -> Iterator[Violation]:
    vendor = evidence.vendor
    is_overridden = not vendor.events.__module__.startswith("moorage.contracts.vendor")
    is_table = vendor.events.__module__.startswith("moorage.vendor_sdk")
    if not is_overridden or (is_table and getattr(vendor, "event_reading", None) is None):
        yield Violation("Verified webhooks do not become events.")


def _damaged_events(evidence: Evidence) -> Iterator[Violation]:
    if evidence.events is not None and not isinstance(evidence.events, ConnectorError):
        yield Violation(f"A damaged webhook raises {_error_text(evidence.events)}")


def _error_text(error: Exception) -> str:
    text = " ".join(str(error).split())[:120]
    return f"{type(error).__name__}: {text}"


def _fault_rule(
    name: str,
    fault: str,
    sentence: str,
    remedy: str,
    *kinds: type[ConnectorError],
    applies_to: Callable[[Evidence], bool] = at_a_sandbox,
) -> Rule:
    return Rule(
        name=name,
        tier=Tier.SILVER,
        sentence=sentence,
        remedy=remedy,
        check=_fault(fault, *kinds),
        applies_to=applies_to,
    )


def _amount_rule(name: str, amount: str) -> Rule:
    return Rule(
        name=name,
        tier=Tier.SILVER,
        sentence=f"{amount} are charged in the vendor's units, or refused.",
        remedy="Use the exponent of the currency, with the vendor's exceptions.",
        check=_amount(name),
        applies_to=with_payments,
    )


_CLASSIFY: Final = "Correct the table of `refusals`."
_PARSE: Final = "Raise `malformed` for an answer that lacks a value that every success has."

RULES: Final = (
    Rule(
        name="account",
        tier=Tier.BRONZE,
        sentence="There is an account for tests.",
        remedy="Write a `fixture`, under the entry point group moorage.sandbox_fixtures.",
        check=_account,
        applies_to=applies_to_all,
    ),
    Rule(
        name="sandbox",
        tier=Tier.BRONZE,
        sentence="A vendor over HTTP has a sandbox on this machine.",
        remedy="Write a subclass of `Sandbox`.",
        check=_sandbox,
        applies_to=over_http,
    ),
    Rule(
        name="scenarios",
        tier=Tier.SILVER,
        sentence="The contract's scenarios reach the sandbox.",
        remedy="Give the sandbox the `hosts` of the services.",
        check=_exchanges,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="credentials",
        tier=Tier.SILVER,
        sentence="No secret is in the query of a URL, except a key stated by `query_key`.",
        remedy="Send the secret in a header, or use `query_key` if the vendor allows no other way.",
        check=_credentials,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="working capabilities",
        tier=Tier.SILVER,
        sentence="Each stated capability works.",
        remedy="Implement it, or leave it out of `capabilities`.",
        check=_working_capabilities,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="refused capabilities",
        tier=Tier.SILVER,
        sentence="Each other capability is refused by UnsupportedByVendor.",
        remedy="State the capability in `capabilities`, or do not implement it.",
        check=_refused_capabilities,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="silent refusals",
        tier=Tier.SILVER,
        sentence="Nothing is sent for a capability that is not stated.",
        remedy="State the capability in `capabilities`, or do not send anything.",
        check=_silent_refusals,
        applies_to=at_a_sandbox,
    ),
    _fault_rule(
        "status 401",
        "401",
        "A refusal of the credentials is AuthenticationFailed.",
        _CLASSIFY,
        AuthenticationFailed,
        applies_to=with_credentials,
    ),
    _fault_rule(
        "status 404",
        "404",
        "A 404 without content is a refusal.",
        _CLASSIFY,
        VendorRejected,
        VendorFailed,
    ),
    _fault_rule("status 422", "422", "A 422 is a refusal.", _CLASSIFY, VendorRejected),
    _fault_rule(
        "status 429",
        "429",
        "A 429 is RateLimitExceeded, or is repeated.",
        _CLASSIFY,
        RateLimitExceeded,
    ),
    _fault_rule(
        "status 503",
        "503",
        "An outage is not reported as a refusal.",
        _CLASSIFY,
        VendorFailed,
        OutcomeUnknown,
    ),
    _fault_rule(
        "HTML answer",
        "HTML answer",
        "A page of HTML with the status 200 is not taken for a success.",
        _PARSE,
        VendorFailed,
        OutcomeUnknown,
    ),
    _fault_rule(
        "null answer",
        "null answer",
        "The answer null is not taken for a success.",
        _PARSE,
        VendorFailed,
        OutcomeUnknown,
    ),
    _fault_rule(
        "lost answer",
        "lost",
        "A lost answer is reported as ConnectionFailed or OutcomeUnknown.",
        "Do not catch errors that the wire raises.",
        ConnectionFailed,
        OutcomeUnknown,
    ),
    Rule(
        name="single effect",
        tier=Tier.SILVER,
        sentence="Without keys, nothing is sent again after a lost answer.",
        remedy="Do not mark the request as idempotent.",
        check=_single_effect,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="errors of moorage",
        tier=Tier.SILVER,
        sentence="Every failure is an error of moorage.",
        remedy="Read answers with `read_answer`, which misses nothing.",
        check=_foreign_errors,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="named services",
        tier=Tier.SILVER,
        sentence="Every error names its service.",
        remedy="Raise the errors that `refusal` makes.",
        check=_named_services,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="vendor's answer",
        tier=Tier.SILVER,
        sentence="The error of a refusal has the vendor's answer.",
        remedy="Make it with `refusal`, or pass `response`.",
        check=_available_answers,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="echoed secrets",
        tier=Tier.SILVER,
        sentence="No error shows a secret, even if the vendor repeats it.",
        remedy="Mask the vendor's text with `masked_words`.",
        check=_echoed_secrets,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="pause",
        tier=Tier.SILVER,
        sentence="The error for HTTP 429 states when to try again.",
        remedy="Leave `retry_at` to the service, which reads Retry-After.",
        check=_pause,
        applies_to=at_a_sandbox,
    ),
    Rule(
        name="sent keys",
        tier=Tier.SILVER,
        sentence="Keys are sent in the stated header.",
        remedy="Create the service with **idempotency.settings.",
        check=_sent_keys,
        applies_to=with_keys,
    ),
    _amount_rule("yen", "1234 yen"),
    _amount_rule("dinar", "1.234 Kuwaiti dinars"),
    _amount_rule("huge", "123456.78 euros"),
    Rule(
        name="webhook scheme",
        tier=Tier.BRONZE,
        sentence="The scheme of the webhooks exists.",
        remedy="Name a scheme, or declare yours under moorage.webhook_schemes.",
        check=_webhook_scheme,
        applies_to=with_webhooks,
    ),
    Rule(
        name="unsigned webhooks",
        tier=Tier.SILVER,
        sentence="A webhook without a signature is refused.",
        remedy="Require the signature in the scheme.",
        check=_unsigned_webhooks,
        applies_to=with_webhooks,
    ),
    Rule(
        name="mapped webhooks",
        tier=Tier.SILVER,
        sentence="Webhooks become events of the contract.",
        remedy="State `event_reading`, or override `events`.",
        check=_mapped_webhooks,
        applies_to=with_webhooks,
    ),
    Rule(
        name="damaged webhooks",
        tier=Tier.SILVER,
        sentence="A webhook with damaged data raises no foreign error.",
        remedy="Read the data with `as_answer`.",
        check=_damaged_events,
        applies_to=with_webhooks,
    ),
)
"""The rules about a vendor's behaviour."""
