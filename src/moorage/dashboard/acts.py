"""The acts of the operations page: each needs a permission, a confirmation and often a reason."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.payments import KIND, SettledAs
from moorage.dashboard.people import Group
from moorage.dashboard.reading import OUTBOX, next_words
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.domain.idempotency.approval import Proposal, Propose
from moorage.domain.resilience.circuit import CircuitState
from moorage.errors import ConnectorError, InvalidData
from moorage.runtime.bridge import run_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.payments import UnsettledPayment
    from moorage.dashboard.people import Person
    from moorage.dashboard.reading import Reader

BATCH: Final = 500
"""Entries that one confirmation changes at most."""

_PAGE: Final = 100
_LONGEST_REASON: Final = 500
_LONGEST_VALUE: Final = 600
_PROPOSALS: Final = 400
"""Characters of a proposal's reason that are stored."""


@attrs.frozen(kw_only=True)
class Acting:
    """One act that a person performs.

    Attributes:
        reader: reads the present state.
        person: the person.
        values: the fields of the act.
        reason: the person's reason.
        four_eyes: True if a second person must confirm how a payment is closed.
    """

    reader: Reader
    person: Person
    values: Mapping[str, str]
    reason: str
    four_eyes: bool

    def get(self, name: str) -> str | None:
        """The value of a field; None without one."""
        return self.values.get(name) or None

    def need(self, name: str) -> str:
        """The value of a field.

        Raises:
            InvalidData: there is none.
        """
        value = self.values.get(name)
        if not value:
            raise InvalidData(
                f"The field {name} is missing.",
                field=name,
                remedy="Go back and begin with the button on the page.",
            )
        return value


@attrs.frozen(kw_only=True)
class Act:
    """A kind of act.

    Attributes:
        name: its name in URLs and audit records.
        group: function of the values that gives the permission it needs.
        title: the question of its confirmation.
        button: the words of its button.
        fields: the names of its fields; others are ignored.
        asks: the field that the person fills in on the confirmation, with its label, if any.
        needs_reason: True if it is refused without a reason.
        explain: the sentences of the confirmation.
        perform: does it, and returns the words of its success.
        back: the page to return to, with the fields that it takes over.
    """

    name: str
    group: Callable[[Mapping[str, str]], Group]
    title: str
    button: str
    fields: tuple[str, ...]
    asks: tuple[str, str] | None = None
    needs_reason: bool = False
    explain: Callable[[Acting], str]
    perform: Callable[[Acting], str]
    back: tuple[str, tuple[str, ...]]

    def values(self, form: Mapping[str, str]) -> dict[str, str]:
        """The values of this act's fields.

        Raises:
            InvalidData: a value is longer than any that we send.
        """
        names = (*self.fields, *((self.asks[0],) if self.asks else ()))
        values = {name: form[name].strip() for name in names if form.get(name, "").strip()}
        for name, value in values.items():
            if len(value) > _LONGEST_VALUE:
                raise InvalidData(
                    f"The field {name} is too long.", field=name, remedy="Give a shorter text."
                )
        return values


def checked_reason(act: Act, form: Mapping[str, str]) -> str:
    """The reason in a form.

    Raises:
        InvalidData: the act needs a reason and has none, or it is too long.
    """
    reason = form.get("reason", "").strip()
    if act.needs_reason and not reason:
        raise InvalidData(
            "The reason is missing.",
            field="reason",
            remedy="Say why, for those who read the record later.",
        )
    if len(reason) > _LONGEST_REASON:
        raise InvalidData(
            f"The reason is longer than {_LONGEST_REASON} characters.",
            field="reason",
            remedy="Give a shorter reason.",
        )
    return reason


# --- circuits and limits ----------------------------------------------------------------


def _whose(acting: Acting) -> str:
    service, tenant, region = acting.need("service"), acting.get("tenant"), acting.get("region")
    words = [service, f"in {region}" if region else "", f"for {tenant}" if tenant else ""]
    return " ".join(word for word in words if word)


def _set_circuit(state: CircuitState) -> Callable[[Acting], str]:
    def perform(acting: Acting) -> str:
        service = acting.need("service")
        tenant, region = acting.get("tenant"), acting.get("region")
        manager = acting.reader.hub.manager
        before = manager.circuit_state(service, tenant=tenant, region=region).state
        manager.set_circuit(
            service,
            state,
            tenant=tenant,
            region=region,
            actor=acting.person.name,
            reason=acting.reason,
        )
        return f"The circuit of {_whose(acting)} was {before.value} and is {state.value} now."

    return perform


def _reset_limits(acting: Acting) -> str:
    left = acting.reader.hub.manager.reset_limits(
        acting.need("service"),
        tenant=acting.get("tenant"),
        actor=acting.person.name,
        reason=acting.reason,
    )
    if not left:
        return f"The limits of {_whose(acting)} were not paused; nothing was changed."
    return f"Calls of {_whose(acting)} go on. The pause had {left:.0f} s left."


# --- entries ----------------------------------------------------------------------------


def _change_entry(verb: str, words: str) -> Callable[[Acting], str]:
    def perform(acting: Acting) -> str:
        entry = getattr(acting.reader.box(acting.need("box")), verb)(acting.need("id"))
        return f"The entry {entry.id} ({entry.target}: {entry.operation}) {words}."

    return perform


def _explain_entry(words: str) -> Callable[[Acting], str]:
    def explain(acting: Acting) -> str:
        entry = acting.reader.entry(acting.need("box"), acting.need("id"))
        doubt = (
            " Its outcome is unknown: it may have been done. Look it up at the vendor first."
            if entry.state is EntryState.UNKNOWN
            else ""
        )
        return f"The entry {entry.id} ({entry.target}: {entry.operation}) {words}.{doubt}"

    return explain


def dead_letters(values: Mapping[str, str], until: datetime | None) -> EntryQuery:
    """The filter of a batch: dead entries only, added before a time.

    Raises:
        InvalidData: a value of the filter is invalid.
    """
    return EntryQuery(
        states={EntryState.DEAD},
        target=values.get("target"),
        operation=values.get("operation"),
        tenant=values.get("tenant"),
        until=until,
        limit=_PAGE,
    )


def _until(acting: Acting) -> datetime:
    try:
        until = datetime.fromisoformat(acting.need("until"))
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        raise InvalidData(
            "The time of the filter cannot be read.",
            field="until",
            remedy="Go back and begin with the button on the page.",
        )
    return until


def _change_entries(verb: str, words: str) -> Callable[[Acting], str]:
    def perform(acting: Acting) -> str:
        box, query = (
            acting.reader.box(acting.need("box")),
            dead_letters(acting.values, _until(acting)),
        )
        ids: list[str] = []
        more = False
        while len(ids) < BATCH:
            page = box.find(query)
            ids += [entry.id for entry in page.items]
            more = page.next is not None
            if not more:
                break
            query = attrs.evolve(query, after=page.next)
        changed, problems = 0, list[str]()
        for id in ids[:BATCH]:
            try:
                getattr(box, verb)(id)
            except ConnectorError as error:
                problems.append(str(error))
            else:
                changed += 1
        if problems and not changed:
            raise InvalidData(
                f"None of {len(problems)} entries was changed. The first problem: {problems[0]}",
                field="entries",
                remedy="Look at the entries, then try again.",
            )
        rest = " More match: confirm again for the next batch." if more else ""
        failed = f" {len(problems)} could not be changed: {problems[0]}" if problems else ""
        return f"{_entries(changed)} {words}.{failed}{rest}"

    return perform


def _explain_entries(words: str) -> Callable[[Acting], str]:
    def explain(acting: Acting) -> str:
        name = acting.need("box")
        count = acting.reader.count(name, dead_letters(acting.values, _until(acting)))
        filters = ", ".join(
            f"{field} {acting.values[field]}"
            for field in ("target", "operation", "tenant")
            if field in acting.values
        )
        number = f"{count.text} dead {'entry' if count.text == '1' else 'entries'}"
        at_most = f" At most {BATCH} at a time." if count.more else ""
        return f"{number} of the {name}{f' with {filters}' if filters else ''} {words}.{at_most}"

    return explain


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


# --- payments ---------------------------------------------------------------------------


def described(payment: UnsettledPayment) -> str:
    """The name of a payment: its operation, amount and reference."""
    amount = "the whole amount" if payment.amount is None else str(payment.amount)
    name = payment.reference or payment.payment or payment.idempotency_key
    return f"{payment.operation} of {amount} ({name})"


def _payment(acting: Acting) -> UnsettledPayment:
    return acting.reader.evidence(acting.need("key"), acting.get("tenant")).payment


def _ask(acting: Acting) -> str:
    payment = _payment(acting)
    settled = acting.reader.hub.settle_payment(payment.idempotency_key, tenant=payment.tenant)
    if settled is None:
        return (
            f"The vendor cannot tell what became of the {described(payment)}. Nothing was changed."
            " Ask again later, or look at the vendor's web page."
        )
    return {
        SettledAs.DONE: f"The vendor says that the {described(payment)} was done. It is settled.",
        SettledAs.REFUSED: f"The vendor says that the {described(payment)} was refused. It is"
        " settled.",
        SettledAs.NOT_DONE: f"The {described(payment)} was never sent. It is settled as not done.",
    }[settled.outcome]


def _close(acting: Acting, payment: UnsettledPayment, *, done: bool, receipt: str) -> str:
    acting.reader.hub.close_payment(
        payment.idempotency_key,
        done=done,
        receipt=receipt or None,
        tenant=payment.tenant,
        actor=acting.person.name,
        reason=acting.reason,
    )
    _propose(acting, payment, None)
    outcome = "done" if done else "not done"
    return f"The {described(payment)} is closed as {outcome}."


def _propose(acting: Acting, payment: UnsettledPayment, proposal: Proposal | None) -> None:
    command = Propose(KIND, payment.tenant, payment.idempotency_key, proposal)
    run_now(acting.reader.hub.manager.flows.core.execute(command, None))


def _decide(*, done: bool) -> Callable[[Acting], str]:
    def perform(acting: Acting) -> str:
        payment, receipt = _payment(acting), acting.get("receipt") or ""
        if not acting.four_eyes:
            return _close(acting, payment, done=done, receipt=receipt)
        reason = acting.reason[:_PROPOSALS]
        _propose(acting, payment, Proposal(acting.person.name, done, receipt, reason))
        return (
            f"You propose that the {described(payment)} was {'' if done else 'not '}done."
            " A second person has to confirm it."
        )

    return perform


def proposal_stamp(proposal: Proposal) -> str:
    """A text that differs for two proposals that differ."""
    return sha256(repr(proposal[:4]).encode()).hexdigest()


def _confirm(acting: Acting) -> str:
    payment = _payment(acting)
    proposal = acting.reader.proposal(payment)
    if proposal is None or proposal_stamp(proposal) != acting.need("stamp"):
        raise InvalidData(
            "The proposal has changed since you read it, or was withdrawn.",
            field="proposal",
            remedy="Read the page again.",
        )
    if acting.person.is_same(proposal.person):
        raise InvalidData(
            "You proposed this outcome yourself.",
            field="person",
            remedy="Ask another person to confirm it.",
        )
    return _close(acting, payment, done=proposal.done, receipt=proposal.receipt)


def _withdraw(acting: Acting) -> str:
    payment = _payment(acting)
    _propose(acting, payment, None)
    return f"The proposal for the {described(payment)} is withdrawn."


def _explain_decision(*, done: bool) -> Callable[[Acting], str]:
    consequence = (
        "Every repeat of its key gets the receipt, and the vendor is not called again."
        if done
        else "Its key may be used again: the next call with it carries out the operation."
    )

    def explain(acting: Acting) -> str:
        second = " A second person has to confirm it." if acting.four_eyes else ""
        words = f"The {described(_payment(acting))} was {'' if done else 'not '}done."
        return f"{words} {consequence}{second}"

    return explain


def _explain_confirmation(acting: Acting) -> str:
    payment = _payment(acting)
    proposal = acting.reader.proposal(payment)
    if proposal is None:
        return "The proposal was withdrawn. Go back and read the page again."
    outcome = "done" if proposal.done else "not done"
    return (
        f"{proposal.person} says that the {described(payment)} was {outcome}."
        f" Reason: {proposal.reason} Confirm it only if you have looked at the vendor yourself."
    )


# --- the table --------------------------------------------------------------------------


def _always(group: Group) -> Callable[[Mapping[str, str]], Group]:
    return lambda _: group


def _of_box(values: Mapping[str, str]) -> Group:
    return Group.OUTBOX if values.get("box") == OUTBOX else Group.INBOX


_CIRCUIT: Final[dict[str, Any]] = {
    "group": _always(Group.CIRCUITS),
    "fields": ("service", "tenant", "region"),
    "needs_reason": True,
    "back": ("/service", ("service", "tenant")),
}
_ENTRY: Final[dict[str, Any]] = {
    "group": _of_box,
    "fields": ("box", "id"),
    "back": ("/entry", ("box", "id")),
}
_ENTRIES: Final[dict[str, Any]] = {
    "group": _of_box,
    "fields": ("box", "target", "operation", "tenant", "until"),
    "back": ("/dead", ("box", "target", "operation", "tenant")),
}
_PAYMENT: Final[dict[str, Any]] = {
    "group": _always(Group.PAYMENTS),
    "fields": ("key", "tenant"),
    "back": ("/payment", ("key", "tenant")),
}
_CONFIRMATION: Final[dict[str, Any]] = {**_PAYMENT, "fields": ("key", "tenant", "stamp")}

_ALL: Final = (
    Act(
        **_CIRCUIT,
        name="circuit-open",
        title="Hold the circuit open?",
        button="Hold open",
        explain=lambda acting: f"All calls of {_whose(acting)} are refused until you reset it.",
        perform=_set_circuit(CircuitState.FORCED_OPEN),
    ),
    Act(
        **_CIRCUIT,
        name="circuit-disable",
        title="Disable the circuit?",
        button="Disable",
        explain=lambda acting: (
            f"Calls of {_whose(acting)} go on despite failures until you reset it."
        ),
        perform=_set_circuit(CircuitState.DISABLED),
    ),
    Act(
        **_CIRCUIT,
        name="circuit-reset",
        title="Reset the circuit?",
        button="Reset",
        explain=lambda acting: (
            f"The circuit of {_whose(acting)} closes, and its counts begin anew."
        ),
        perform=_set_circuit(CircuitState.CLOSED),
    ),
    Act(
        name="limits-reset",
        group=_always(Group.LIMITS),
        fields=("service", "tenant"),
        needs_reason=True,
        back=("/service", ("service", "tenant")),
        title="End the pause?",
        button="End the pause",
        explain=lambda acting: (
            f"The vendor asked for a pause. Calls of {_whose(acting)} go on at once."
        ),
        perform=_reset_limits,
    ),
    Act(
        **_ENTRY,
        name="entry-replay",
        title="Do it again?",
        button="Do it again",
        explain=_explain_entry("is done again, with a full set of attempts"),
        perform=_change_entry("replay", "is due again"),
    ),
    Act(
        **_ENTRY,
        name="entry-drop",
        title="Drop it?",
        button="Drop",
        needs_reason=True,
        explain=_explain_entry("is cancelled and not tried again"),
        perform=_change_entry("drop", "is dropped"),
    ),
    Act(
        **_ENTRIES,
        name="entries-replay",
        title="Do them all again?",
        button="Do all again",
        explain=_explain_entries("will be done again, with a full set of attempts"),
        perform=_change_entries("replay", "due again"),
    ),
    Act(
        **_ENTRIES,
        name="entries-drop",
        title="Drop them all?",
        button="Drop all",
        needs_reason=True,
        explain=_explain_entries("will be cancelled and not tried again"),
        perform=_change_entries("drop", "dropped"),
    ),
    Act(
        **_PAYMENT,
        name="payment-ask",
        title="Ask the vendor?",
        button="Ask the vendor",
        explain=lambda acting: next_words(_payment(acting)),
        perform=_ask,
    ),
    Act(
        **_PAYMENT,
        name="payment-done",
        title="Was it done?",
        button="It was done",
        asks=("receipt", "The vendor's id of it; empty to look for it by its reference"),
        needs_reason=True,
        explain=_explain_decision(done=True),
        perform=_decide(done=True),
    ),
    Act(
        **_PAYMENT,
        name="payment-not-done",
        title="Was it not done?",
        button="It was not done",
        needs_reason=True,
        explain=_explain_decision(done=False),
        perform=_decide(done=False),
    ),
    Act(
        **_CONFIRMATION,
        name="payment-confirm",
        title="Confirm the proposal?",
        button="Confirm",
        explain=_explain_confirmation,
        perform=_confirm,
    ),
    Act(
        **_PAYMENT,
        name="payment-withdraw",
        title="Withdraw the proposal?",
        button="Withdraw",
        explain=lambda acting: f"The {described(_payment(acting))} stays unknown.",
        perform=_withdraw,
    ),
)

ACTS: Final = {act.name: act for act in _ALL}
"""Every act, by its name."""
