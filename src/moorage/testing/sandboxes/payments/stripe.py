"""A local sandbox that imitates Stripe.

Magic means of payment, as in Stripe's own test mode, each also as a token (`tok_...`):
`pm_card_visa` pays; `pm_card_chargeDeclined` and its variants (`InsufficientFunds`, `LostCard`,
`StolenCard`, `ExpiredCard`, `IncorrectCvc`, `ProcessingError`, `Fraudulent`,
`VelocityLimitExceeded`) are declined; `pm_card_threeDSecure2Required` and
`pm_card_authenticationRequired` wait for the buyer, whose part `authenticate` plays;
`pm_usBankAccount_success` is pending until `arrive`; `pm_card_createDispute` is disputed
immediately; refunds to `pm_card_pendingRefund` are pending until `arrive_refund`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import Refusal, Replays, Routes, SandboxRequest
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.payments._stripe_ledger import StripeLedger
from moorage.testing.sandboxes.payments._stripe_objects import stripe_reply
from moorage.testing.sandboxes.payments._stripe_rules import (
    ASKS,
    BALANCE,
    CANCEL,
    CAPTURE,
    CLOSE_LINK,
    CONFIRM,
    CREATE,
    DECLINES,
    EVIDENCE,
    LINK,
    LIST,
    METHODS,
    REFUND,
    SETUP,
    SHOW,
    SLOW,
    STEPS,
    TRANSFER,
    VERSION,
    StoredRefusal,
    after_cursor,
    amount_of,
    capture_method_of,
    check_currency,
    check_lines,
    details_of,
    error,
    expanded_fields,
    fields_of,
    flag_of,
    is_selected,
    link_items,
    magic,
    means_of,
    refusal,
    resource_in,
    stored_refusal,
)
from moorage.testing.sandboxes.payments._stripe_subscriptions import (
    CANCEL_SUBSCRIPTION,
    PRODUCT,
    SUBSCRIBE,
    SUBSCRIPTIONS,
    StripeSubscriptions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.contracts.ref import Ref
    from moorage.domain.http.requests import Response


_KEY: Final = 255
_KEY_MEMORY: Final = 86_400.0
_CANCELLATIONS: Final = frozenset(("abandoned", "duplicate", "fraudulent", "requested_by_customer"))


class StripeSandbox(StripeLedger):
    """A sandbox of Stripe: payment intents, refunds, disputes, payouts and webhooks.

    Args:
        api_key: credentials that requests must have.
        restricted_key: a key that permits read requests only.
        webhook_secret: secret with which webhooks are signed.
        webhook_url: URL that webhooks are sent to.
        now: returns the time, in seconds since 1970.

    Attributes:
        bank: URL at which buyers confirm a payment.
        intents, charges, refunds, disputes, payouts, transactions, transfers, methods, links: all
            objects, by id.
        billing: products and subscriptions; its `renew` charges a subscription.
    """

    hosts = ("api.stripe.com",)

    def __init__(
        self,
        api_key: str = "sk_test_sandbox",
        restricted_key: str = "rk_test_sandbox",
        webhook_secret: str = "whsec_sandbox",
        webhook_url: str = "https://shop.example/webhooks/stripe",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.billing = StripeSubscriptions(self)
        super().__init__(webhook_secret, webhook_url, now)
        self.api_key = api_key
        self.restricted_key = restricted_key
        self.bank = "https://hooks.stripe.com/3d_secure_2"
        self._replays = Replays(
            _other_parameters,
            headers={"Idempotent-Replayed": "true"},
            memory=_KEY_MEMORY,
            now=self.now,
        )

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        path = "/v1/payment_intents"
        return {
            f"POST {path}": self._changes(CREATE, self._create),
            f"GET {path}": self._lists(lambda: self.intents),
            f"GET {path}/{{id}}": self._shows(lambda: self.intents),
            f"POST {path}/{{id}}/confirm": self._changes(CONFIRM, self._confirm),
            f"POST {path}/{{id}}/capture": self._changes(CAPTURE, self._capture),
            f"POST {path}/{{id}}/cancel": self._changes(CANCEL, self._cancel),
            "POST /v1/refunds": self._changes(REFUND, self._refund),
            "GET /v1/refunds/{id}": self._shows(lambda: self.refunds),
            "GET /v1/disputes": self._lists(lambda: self.disputes),
            "GET /v1/disputes/{id}": self._shows(lambda: self.disputes),
            "POST /v1/disputes/{id}": self._changes(EVIDENCE, self._submit_evidence),
            "POST /v1/disputes/{id}/close": self._changes(SHOW, self._close_dispute),
            "GET /v1/payouts": self._lists(lambda: self.payouts),
            "GET /v1/balance_transactions": self._lists(lambda: self.transactions, BALANCE),
            "POST /v1/transfers": self._changes(TRANSFER, self._transfer),
            "GET /v1/transfers/{id}": self._shows(lambda: self.transfers),
            "POST /v1/products": self._changes(PRODUCT, self.billing.create_product),
            "POST /v1/subscriptions": self._changes(SUBSCRIBE, self.billing.create),
            "GET /v1/subscriptions": self._lists(self._subscriptions, SUBSCRIPTIONS),
            "GET /v1/subscriptions/{id}": self._shows(self._subscriptions),
            "POST /v1/subscriptions/{id}": self._changes(SUBSCRIBE, self.billing.change),
            "DELETE /v1/subscriptions/{id}": self._changes(
                CANCEL_SUBSCRIPTION, self.billing.cancel
            ),
            "POST /v1/setup_intents": self._changes(SETUP, self._set_up),
            "GET /v1/customers/{customer}/payment_methods": self._lists(self._methods_of, METHODS),
            "POST /v1/payment_methods/{id}/detach": self._changes(SHOW, self._detach),
            "POST /v1/payment_links": self._changes(LINK, self._create_link),
            "GET /v1/payment_links/{id}": self._shows(lambda: self.links),
            "POST /v1/payment_links/{id}": self._changes(CLOSE_LINK, self._change_link),
        }

    def unknown(self, request: SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return error(404, "invalid_request_error", f"Unrecognized request URL ({request.path})")

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return error(400, "invalid_request_error", problem)

    # --- how it is asked ---------------------------------------------------

    def _changes(
        self, allowed: frozenset[str], handle: Callable[..., Response]
    ) -> Callable[..., Response]:
        def answer(request: SandboxRequest, **names: str) -> Response:
            key = request.headers.get("idempotency-key")

            def execute() -> Response:
                try:
                    return handle(fields_of(request.form, allowed), **names)
                except StoredRefusal as late_refusal:
                    return late_refusal.response

            if key is None:
                return execute()
            if not 0 < len(key) <= _KEY:
                text = f"Idempotency keys have 1 to {_KEY} characters."
                raise refusal(400, "idempotency_error", text)
            return self._replays.respond(key, (request.path, request.body), execute)

        return answer

    def _shows(self, resources: Callable[[], dict[str, dict[str, Any]]]) -> Callable[..., Response]:
        def answer(request: SandboxRequest, id: str) -> Response:
            return self._shown_response(
                resource_in(resources(), id), fields_of(request.query, SHOW)
            )

        return answer

    def _lists(
        self,
        lookup: Callable[..., dict[str, dict[str, Any]]],
        allowed: frozenset[str] = LIST,
    ) -> Callable[..., Response]:
        def answer(request: SandboxRequest, **names: str) -> Response:
            fields = fields_of(request.query, allowed)
            resources = lookup(**names)
            limit = amount_of(fields, "limit", 10)
            if not 1 <= limit <= 100:
                raise refusal(400, "invalid_request_error", "This limit is out of range.")
            resources = after_cursor(resources, fields)
            start_time, end_time = (
                amount_of(fields, "created[gte]", 0),
                amount_of(fields, "created[lt]", 99_999_999_999),
            )
            matches = [
                resource
                for resource in resources.values()
                if start_time <= resource["created"] < end_time
                and fields.get("payout") in {None, self.payout_of.get(resource["id"])}
                and is_selected(resource, fields)
            ]
            expand = [name.removeprefix("data.") for name in expanded_fields(fields)]
            is_backward = "ending_before" in fields
            page = matches[-limit:] if is_backward else matches[:limit]
            has_more = len(matches) > limit
            page = [self._with_charge(resource, expand) for resource in page]
            return stripe_reply(
                {"object": "list", "data": page, "has_more": has_more, "url": request.path}
            )

        return answer

    def check_access(self, request: SandboxRequest) -> None:
        """Check a request's API key and version, and the key's permission to write."""
        if request.bearer() not in {self.api_key, self.restricted_key}:
            raise refusal(401, "invalid_request_error", "Invalid API Key provided.")
        if VERSION.fullmatch(request.headers.get("stripe-version") or "") is None:
            raise refusal(400, "invalid_request_error", "Invalid Stripe API version.")
        if request.method == "POST" and request.bearer() == self.restricted_key:
            raise refusal(
                403,
                "invalid_request_error",
                "The provided key does not have the required permissions for this endpoint.",
                code="secret_key_required",
            )

    def _shown_response(self, resource: dict[str, Any], fields: Mapping[str, str]) -> Response:
        return stripe_reply(
            self._with_charge(resource, expanded_fields(fields)), request_id="req_sandbox"
        )

    def _with_charge(self, resource: dict[str, Any], expand: list[str]) -> dict[str, Any]:
        charge = resource.get("latest_charge")
        if "latest_charge" in expand and charge is not None:
            return {**resource, "latest_charge": self.charges[charge]}
        if "source" in expand:
            sources = self.charges | self.refunds | self.payouts
            return {**resource, "source": sources[resource["source"]]}
        return resource

    # --- what it does ------------------------------------------------------

    def _create(self, fields: dict[str, str]) -> Response:
        amount, currency = amount_of(fields, "amount"), fields.get("currency", "")
        check_currency(currency)
        if amount <= 0 or amount % STEPS.get(currency, 1):
            raise refusal(400, "invalid_request_error", "Invalid amount.", param="amount")
        check_lines(fields)
        capture_method = capture_method_of(fields)
        if "shipping[address][country]" in fields and "shipping[name]" not in fields:
            text = "Missing required param: shipping[name]."
            raise refusal(400, "invalid_request_error", text, code="parameter_missing")
        confirm = flag_of(fields, "confirm")
        for name in ("return_url", "off_session"):
            if name in fields and not confirm:
                text = f"The parameter `{name}` can only be used with confirm=true."
                raise refusal(400, "invalid_request_error", text, param=name)
        is_lasting = fields.get("automatic_payment_methods[allow_redirects]") == "never"
        if (
            confirm
            and flag_of(fields, "automatic_payment_methods[enabled]")
            and not (is_lasting or "return_url" in fields)
        ):
            text = "You must provide a `return_url`, or set allow_redirects to never."
            raise refusal(400, "invalid_request_error", text, param="return_url")
        key = f"pi_{self.number():08d}"
        intent: dict[str, Any] = {
            "id": key,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_received": 0,
            "cancellation_reason": None,
            "capture_method": capture_method or "automatic",
            "client_secret": f"{key}_secret_sandbox",
            "created": int(self.now()),
            "currency": currency,
            "customer": fields.get("customer"),
            "description": fields.get("description"),
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": {
                name[9:-1]: text for name, text in fields.items() if name.startswith("metadata[")
            },
            "next_action": None,
            "payment_method": means_of(fields),
            "status": "requires_payment_method",
        }
        if intent["payment_method"] is not None:
            magic(intent["payment_method"])
            intent["status"] = "requires_confirmation"
        self.intents[key] = intent
        self.emit_event("payment_intent.created", intent)
        return self._confirmed(intent, fields) if confirm else self._shown_response(intent, fields)

    def _confirm(self, fields: dict[str, str], id: str) -> Response:
        intent = resource_in(self.intents, id)
        self.check_state(intent, "confirm", "requires_payment_method", "requires_confirmation")
        payment_method, capture_method = means_of(fields), capture_method_of(fields)
        if capture_method is not None:
            intent["capture_method"] = capture_method
        if payment_method is not None:
            magic(payment_method)
            intent["payment_method"] = payment_method
        return self._confirmed(intent, fields)

    def _confirmed(self, intent: dict[str, Any], fields: Mapping[str, str]) -> Response:
        if intent["payment_method"] is None:
            text = "You cannot confirm this PaymentIntent because it's missing a payment method."
            raise refusal(400, "invalid_request_error", text)
        kind = magic(intent["payment_method"])
        is_off_session = flag_of(fields, "off_session")
        options = fields.get("payment_method_options[card][request_three_d_secure]")
        if kind in DECLINES:
            self.decline(intent, *DECLINES[kind])
        if kind in ASKS and is_off_session:
            self.decline(intent, "authentication_required", "authentication_required")
        if kind in ASKS or options == "any":
            url = f"{self.bank}/{intent['id']}"
            return_url = fields.get("return_url")
            if return_url is None:
                action: dict[str, Any] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"source": 1}}
            else:
                details = {"url": url, "return_url": return_url}
                action = {"type": "redirect_to_url", "redirect_to_url": details}
            intent |= {"status": "requires_action", "next_action": action}
            self.emit_event("payment_intent.requires_action", intent)
        elif kind == SLOW:
            intent["status"] = "processing"
            self.emit_event("payment_intent.processing", intent)
        else:
            self.succeed(intent)
        if kind == "createDispute":
            self.dispute(intent["id"])
        return self._shown_response(intent, fields)

    def _capture(self, fields: dict[str, str], id: str) -> Response:
        intent = resource_in(self.intents, id)
        self.check_state(intent, "capture", "requires_capture")
        capturable_amount = intent["amount_capturable"]
        amount = amount_of(fields, "amount_to_capture", capturable_amount)
        if not 0 < amount <= capturable_amount:
            text = f"The amount_to_capture must be between 1 and {capturable_amount}."
            raise stored_refusal(400, text, code="amount_too_large", param="amount_to_capture")
        is_final = "final_capture" not in fields or flag_of(fields, "final_capture")
        self.take(intent, amount, final=is_final or amount == capturable_amount)
        return self._shown_response(intent, fields)

    def _cancel(self, fields: dict[str, str], id: str) -> Response:
        intent = resource_in(self.intents, id)
        reason = fields.get("cancellation_reason", "abandoned")
        if reason not in _CANCELLATIONS:
            text = f"Invalid cancellation_reason: {reason}"
            raise refusal(400, "invalid_request_error", text, param="cancellation_reason")
        self.check_state(
            intent,
            "cancel",
            "requires_payment_method",
            "requires_confirmation",
            "requires_action",
            "requires_capture",
            "processing",
        )
        intent |= {"status": "canceled", "amount_capturable": 0, "next_action": None}
        intent["cancellation_reason"] = fields.get("cancellation_reason")
        charge = self.charges.get(intent["latest_charge"] or "")
        if charge is not None and not charge["captured"]:
            charge |= {"refunded": True, "amount_refunded": charge["amount"]}
        self.emit_event("payment_intent.canceled", intent)
        return self._shown_response(intent, fields)

    def _refund(self, fields: dict[str, str]) -> Response:
        intent = resource_in(self.intents, fields.get("payment_intent", ""))
        charge = self.charges.get(intent["latest_charge"] or "", {"captured": False})
        if not charge["captured"]:
            text = "This PaymentIntent does not have a successful charge to refund."
            raise stored_refusal(400, text, code="charge_not_captured")
        if self.is_disputed(charge["id"]):
            text = f"Charge {charge['id']} has been charged back; cannot issue a refund."
            raise stored_refusal(400, text, code="charge_disputed")
        refundable_amount = charge["amount_captured"] - charge["amount_refunded"]
        if refundable_amount == 0:
            raise stored_refusal(
                400, f"Charge {charge['id']} has been refunded.", code="charge_already_refunded"
            )
        amount = amount_of(fields, "amount", refundable_amount)
        if amount <= 0 or amount % STEPS.get(charge["currency"], 1):
            raise refusal(400, "invalid_request_error", "Invalid amount.", param="amount")
        if amount > refundable_amount:
            text = (
                f"Refund amount ({amount}) is greater than unrefunded amount ({refundable_amount})."
            )
            raise stored_refusal(400, text, code="amount_too_large", param="amount")
        reasons = ("duplicate", "fraudulent", "requested_by_customer")
        if fields.get("reason", reasons[0]) not in reasons:
            raise refusal(400, "invalid_request_error", "Invalid reason.", param="reason")
        is_slow = magic(intent["payment_method"]) == "pendingRefund"
        key = f"re_{self.number():08d}"
        refund = {
            "id": key,
            "object": "refund",
            "amount": amount,
            "charge": charge["id"],
            "created": int(self.now()),
            "currency": charge["currency"],
            "payment_intent": intent["id"],
            "reason": fields.get("reason"),
            "status": "pending" if is_slow else "succeeded",
        }
        self.refunds[key] = refund
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self.emit_event("refund.created", refund)
        self.emit_event("charge.refunded", charge)
        return self._shown_response(refund, fields)

    # --- means of payment and links ------------------------------------------

    def _set_up(self, fields: dict[str, str]) -> Response:
        source, customer = means_of(fields), fields.get("customer")
        if source is None or customer is None or not flag_of(fields, "confirm"):
            raise refusal(400, "invalid_request_error", "Nothing to set up.", param="customer")
        kind = magic(source)
        if kind in DECLINES:
            code, decline_code = DECLINES[kind]
            raise StoredRefusal(
                error(402, "card_error", "Declined.", code=code, decline_code=decline_code)
            )
        key = f"pm_{self.number():08d}_{kind}"
        method = {
            "id": key,
            "object": "payment_method",
            "created": int(self.now()),
            "customer": None if kind in ASKS else customer,
            **details_of(source),
        }
        self.methods[key] = method
        setup: dict[str, Any] = {
            "id": f"seti_{self.number():08d}",
            "object": "setup_intent",
            "client_secret": "seti_secret_sandbox",
            "created": int(self.now()),
            "customer": customer,
            "last_setup_error": None,
            "next_action": None,
            "payment_method": method if "payment_method" in expanded_fields(fields) else key,
            "status": "succeeded",
            "usage": fields.get("usage", "off_session"),
        }
        if kind in ASKS:
            details = {"url": f"{self.bank}/{key}", "return_url": fields.get("return_url")}
            action = {"type": "redirect_to_url", "redirect_to_url": details}
            setup |= {"status": "requires_action", "next_action": action}
        return stripe_reply(setup)

    def _subscriptions(self) -> dict[str, dict[str, Any]]:
        return self.billing.subscriptions

    def _methods_of(self, customer: str) -> dict[str, dict[str, Any]]:
        return {
            key: method for key, method in self.methods.items() if method["customer"] == customer
        }

    def _detach(self, _: dict[str, str], id: str) -> Response:
        method = resource_in(self.methods, id)
        if method["customer"] is None:
            text = "The payment method you provided is not attached to a customer."
            raise refusal(400, "invalid_request_error", text)
        method["customer"] = None
        return stripe_reply(method)

    def _transfer(self, fields: dict[str, str]) -> Response:
        amount, currency = amount_of(fields, "amount"), fields.get("currency", "")
        check_currency(currency)
        if amount <= 0 or not fields.get("destination", "").startswith("acct_"):
            raise refusal(400, "invalid_request_error", "No such destination.", param="destination")
        key = f"tr_{self.number():08d}"
        self.transfers[key] = {
            "id": key,
            "object": "transfer",
            "amount": amount,
            "amount_reversed": 0,
            "created": int(self.now()),
            "currency": currency,
            "description": fields.get("description"),
            "destination": fields["destination"],
            "metadata": {"reference": fields.get("metadata[reference]")},
            "reversals": {"object": "list", "data": [], "url": f"/v1/transfers/{key}/reversals"},
            "reversed": False,
        }
        return stripe_reply(self.transfers[key])

    def _submit_evidence(self, fields: dict[str, str], id: str) -> Response:
        dispute = self._open_dispute(id)
        evidence = {
            name[9:-1]: text for name, text in fields.items() if name.startswith("evidence[")
        }
        dispute["evidence"] = dispute.get("evidence", {}) | evidence
        if flag_of(fields, "submit"):
            is_inquiry = dispute["status"] == "warning_needs_response"
            dispute["status"] = "warning_under_review" if is_inquiry else "under_review"
            dispute["evidence_details"] |= {"has_evidence": True, "submission_count": 1}
        return stripe_reply(dispute)

    def _close_dispute(self, _: dict[str, str], id: str) -> Response:
        dispute = self._open_dispute(id)
        self.close_dispute(id, "lost")
        return stripe_reply(dispute)

    def _open_dispute(self, id: str) -> dict[str, Any]:
        dispute = resource_in(self.disputes, id)
        if dispute["status"] not in {"needs_response", "warning_needs_response"}:
            raise refusal(400, "invalid_request_error", "This dispute is already closed.")
        return dispute

    def _create_link(self, fields: dict[str, str]) -> Response:
        key = f"plink_{self.number():08d}"
        limit = amount_of(fields, "restrictions[completed_sessions][limit]")
        items = list(link_items(fields, key))
        currency = items[0]["currency"]
        self.links[key] = {
            "id": key,
            "object": "payment_link",
            "active": True,
            "currency": currency,
            "line_items": {
                "object": "list",
                "data": items,
                "url": f"/v1/payment_links/{key}/line_items",
            },
            "metadata": {
                name[9:-1]: text for name, text in fields.items() if name.startswith("metadata[")
            },
            "restrictions": {"completed_sessions": {"count": 0, "limit": limit}},
            "url": f"https://buy.stripe.com/test_{key}",
        }
        return stripe_reply(self.links[key])

    def _change_link(self, fields: dict[str, str], id: str) -> Response:
        link = resource_in(self.links, id)
        link["active"] = flag_of(fields, "active")
        return stripe_reply(link)


def _other_parameters() -> Refusal:
    return refusal(
        400,
        "idempotency_error",
        "Keys for idempotent requests can only be used with the same parameters"
        " they were first used with.",
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = StripeSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        sandbox.authenticate(payment.ref.id)
        return {"payment_intent": payment.ref.id}

    def open_dispute(payment: Ref) -> str:
        return sandbox.dispute(payment.id)

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
            "volatile_keys": True,
        },
        vendor_values={
            "asks": "pm_card_threeDSecure2Required",
            "billed": "tok_visa",
            "payee": "acct_payee1",
            "subscriber": "pm_card_visa",
            "dispute": open_dispute,
            "pay_out": sandbox.pay_out_charges,
        },
        token="pm_card_visa",
        buyer=buyer,
    )
