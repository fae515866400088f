"""GoCardless Bank Account Data: accounts at many banks, by agreements and requisitions.

GoCardless has no idempotency key: a request that may have made a requisition is not sent again.
Banks allow as few as four reads of an account in a day, counted separately for balances and
transactions; listing the accounts does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import (
    BankAccount,
    BankCapability,
    BankConsent,
    ConsentStatus,
    TransactionPage,
    maybe_iban,
)
from moorage.vendors.bank._psd2 import quoted_path_step, read_balances, read_page, stable_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.bank import ConsentRequest, CurrentBalance, TransactionQuery

CONSENTS: Final[Mapping[str, ConsentStatus]] = {
    **dict.fromkeys(("CR", "GC", "UA", "SA", "GA"), ConsentStatus.PENDING),
    "LN": ConsentStatus.GRANTED,
    "RJ": ConsentStatus.REFUSED,
    "EX": ConsentStatus.EXPIRED,
    "SU": ConsentStatus.SUSPENDED,
}
_API: Final = "/api/v2"
_TOKENS: Final = f"{_API}/token/new/"
_NAMES: Final = {
    "client_id": "secret_id",
    "client_secret": "secret_key",
    "grant_type": "",
    "access_token": "access",
    "expires_in": "access_expires",
}
"""GoCardless' names for the fields of a token request and its response, by the names in OAuth."""
_REQUISITIONS: Final = f"{_API}/requisitions/"
_SCOPES: Final = ("balances", "details", "transactions")
_CONSENT_SUMMARIES: Final = (
    "End User Agreement (EUA)",
    "No valid End User Agreement",
    "Account suspended",
)
"""The beginnings of error texts that have no type and mean that a new consent is needed."""
_DAILY_LIMIT: Final = "RateLimitError"
_REMAINING_HEADER: Final = "HTTP_X_RATELIMIT_ACCOUNT_SUCCESS_REMAINING"
_RESET_HEADER: Final = "HTTP_X_RATELIMIT_ACCOUNT_SUCCESS_RESET"


def _error_words(response: sdk.Response) -> tuple[str | None, str | None]:
    """Return the error type and message of an error response.

    If the response reports errors of single fields, the message contains those.
    """
    answer = sdk.error_answer(response)
    words = [answer.text("summary"), answer.text("detail")]
    if not any(words):
        for name in answer.raw:
            part = answer.object(name) or next(answer.objects(name), answer.object(""))
            texts = answer.texts(name) or (part.text("summary"), part.text("detail"))
            words += [f"{name}: {text}" for text in texts if text]
    return answer.text("type"), sdk.masked_words(". ".join(text for text in words if text))


_REFUSALS: Final = sdk.Refusals(
    vendor="GoCardless",
    codes={
        "AccessExpiredError": sdk.ConsentRequired,
        "AccountInactiveError": sdk.ConsentRequired,
        "AccountAccessForbidden": sdk.VendorRejected,
        _DAILY_LIMIT: sdk.RateLimitExceeded,
    },
    statuses=sdk.error_statuses("400", login="401 403"),
    read=_error_words,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for an error response; its text or path may indicate an expired consent."""
    summary = sdk.error_answer(response).text("summary") or ""
    is_ended = response.status in {401, 403, 409} and summary.startswith(_CONSENT_SUMMARIES)
    is_unknown = response.status == 404 and request.path.startswith(_REQUISITIONS)
    if is_ended or is_unknown:
        code, words = _error_words(response)
        return sdk.refusal(sdk.ConsentRequired, "GoCardless", response, code, words)
    error = _REFUSALS(request, response)
    if isinstance(error, sdk.RateLimitExceeded) and _is_daily(error, response):
        # The limit applies to one account at its bank. A retry time in the error would pause all
        # accounts.
        error.retryable = False
        seconds = response.header(_RESET_HEADER)
        error.remedy = (
            f"Read this account again in {seconds} seconds."
            if seconds is not None and seconds.isascii() and seconds.isdecimal()
            else "Read this account again after the end of the bank's day."
        )
    return error


def _is_daily(error: sdk.RateLimitExceeded, response: sdk.Response) -> bool:
    return error.vendor_code == _DAILY_LIMIT or response.header(_REMAINING_HEADER) == "0"


@attrs.frozen(kw_only=True)
class GoCardless(sdk.Vendor):
    """A company's access to GoCardless Bank Account Data.

    Attributes:
        secret_id: id of a user secret.
        secret_key: key of the user secret; without both, the credential provider supplies a token.
        institution: GoCardless' id of the bank, for requests that name no bank.
        history_days: number of days before the consent for which transactions can be read.
        base_url: URL of GoCardless.
    """

    name: ClassVar[str] = "gocardless"
    kinds: ClassVar[tuple[str, ...]] = ("bank",)
    api_version: ClassVar[str | None] = "v2"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {BankCapability.INSTITUTION, BankCapability.PENDING, BankCapability.END_TO_END}
    )

    secret_id: str | None = attrs.field(default=None, repr=False)
    secret_key: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    institution: str | None = None
    history_days: int = attrs.field(default=90, validator=sdk.whole_number(most=730))
    base_url: str = "https://bankaccountdata.gocardless.com"

    def __attrs_post_init__(self) -> None:
        """Refuse an id without its key, or a key without its id."""
        if (self.secret_id is None) is not (self.secret_key is None):
            raise sdk.ConfigurationError(
                "GoCardless needs the id and the key of a user secret, but only one of them"
                " is set.",
                path="secret_id",
                remedy="Set both `secret_id` and `secret_key`, or remove both and use a"
                " credential provider.",
            )

    def services(self) -> Mapping[str, sdk.Service]:
        """The GoCardless API."""
        return {
            "": sdk.Service(self.name, self.base_url, needs_credentials=True, classify=classify)
        }

    def clients(self) -> Mapping[str, sdk.OAuthClient]:
        """The OAuth client, which exchanges the user secret for tokens."""
        if self.secret_id is None or self.secret_key is None:
            return {}
        server = sdk.AuthorizationServer(
            token_endpoint=f"{self.base_url.rstrip('/')}{_TOKENS}", own_names=_NAMES
        )
        return {
            "": sdk.OAuthClient(
                server=server,
                client_id=self.secret_id,
                secret=self.secret_key,
                authentication=sdk.ClientAuthentication.POST,
            )
        }

    async def start_consent(
        self, wire: sdk.Wire, request: ConsentRequest, /, *, key: str | None
    ) -> BankConsent:
        """Create an agreement with the owner, and a requisition with the owner's link."""
        institution = request.institution or self.institution
        if institution is None:
            raise sdk.InvalidData(
                "GoCardless requires a bank for a consent.",
                field="institution",
                remedy="Set the request's or the account's `institution`.",
            )
        terms = {
            "institution_id": institution,
            "max_historical_days": self.history_days,
            "access_valid_for_days": request.days,
            "access_scope": list(_SCOPES),
        }
        agreement = await wire.send(
            sdk.Request.post(f"{_API}/agreements/enduser/", json=terms),
            key=None if key is None else sdk.part_key(key, "agreement"),
            parse=_read_id,
        )
        unique_text = wire.new_id() if key is None else f"{wire.tenant or ''}\n{key}"
        body = {
            "redirect": request.return_url,
            "institution_id": institution,
            "agreement": agreement,
            "reference": stable_uuid(unique_text),
            **({} if request.language is None else {"user_language": request.language.upper()}),
        }
        body = sdk.merged(body, sdk.extra_for(self.name, request.extra))

        def read(response: sdk.Response) -> BankConsent:
            return _read_consent(wire.ref, response)

        requisition = sdk.Request.post(_REQUISITIONS, json=body)
        return await wire.send(requisition, key=key, parse=read)

    async def get_consent(self, wire: sdk.Wire, ref: sdk.Ref, /) -> BankConsent:
        """Get a requisition."""
        path = f"{_REQUISITIONS}{quoted_path_step(ref.id)}/"
        return _read_consent(wire.ref, await wire.send(sdk.Request.get(path)))

    async def revoke_consent(self, wire: sdk.Wire, ref: sdk.Ref, /) -> BankConsent:
        """Delete a requisition with its agreement."""
        try:
            request = sdk.Request.delete(f"{_REQUISITIONS}{quoted_path_step(ref.id)}/")
            await wire.send(request, parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if refusal.status != 404:
                raise
        return BankConsent(ref=ref, status=ConsentStatus.REVOKED)

    async def accounts(self, wire: sdk.Wire, ref: sdk.Ref, /) -> tuple[BankAccount, ...]:
        """List the accounts of a requisition to which the owner has agreed."""
        consent = await self.get_consent(wire, ref)
        if consent.status is not ConsentStatus.GRANTED:
            raise sdk.ConsentRequired(
                f"The consent is {consent.status}, so its accounts cannot be read.",
                vendor_code=consent.vendor_status,
            )
        accounts: list[BankAccount] = []
        for id_ in sdk.as_answer(consent.raw).texts("accounts"):
            response = await wire.send(sdk.Request.get(f"{_API}/accounts/{quoted_path_step(id_)}/"))
            accounts.append(_read_account(wire.ref, response))
        return tuple(accounts)

    async def balances(self, wire: sdk.Wire, ref: sdk.Ref, /) -> tuple[CurrentBalance, ...]:
        """Get the balances of an account."""
        path = f"{_API}/accounts/{quoted_path_step(ref.id)}/balances/"
        return read_balances(await wire.send(sdk.Request.get(path)))

    async def transactions(
        self, wire: sdk.Wire, ref: sdk.Ref, query: TransactionQuery, /, *, after: sdk.Ref | None
    ) -> TransactionPage:
        """Get all transactions of a period; GoCardless sends them in a single response."""
        if after is not None:
            raise sdk.InvalidData(
                "GoCardless sends all transactions at once, so there is no next page.",
                field="after",
                remedy="Leave it out.",
            )
        days = {"date_from": query.since, "date_to": query.until}
        request = sdk.Request.get(
            f"{_API}/accounts/{quoted_path_step(ref.id)}/transactions/",
            query=[(name, day.isoformat()) for name, day in days.items() if day is not None],
        )
        response = await wire.send(request)
        return read_page(
            response, ("internalTransactionId", "transactionId"), pending=query.pending
        )


def _read_id(response: sdk.Response) -> str:
    return sdk.required(sdk.read_answer(response).text("id"), response, "id")


def _read_consent(ref: sdk.MakeRef, response: sdk.Response) -> BankConsent:
    answer: sdk.Answer = sdk.read_answer(response)
    id_ = sdk.required(answer.text("id"), response, "id")
    vendor_status = sdk.required(answer.text("status"), response, "status")
    status = CONSENTS.get(vendor_status, ConsentStatus.UNKNOWN)
    return BankConsent(
        ref=ref(id_),
        status=status,
        vendor_status=vendor_status,
        link=answer.text("link") if status is ConsentStatus.PENDING else None,
        raw=answer.raw,
    )


def _read_account(ref: sdk.MakeRef, response: sdk.Response) -> BankAccount:
    answer = sdk.read_answer(response)
    id_ = sdk.required(answer.text("id"), response, "id")
    number = answer.text("iban")
    return BankAccount(
        ref=ref(id_),
        iban=maybe_iban(number),
        number=number,
        owner=answer.text("owner_name"),
        vendor_status=answer.text("status"),
        raw=answer.raw,
    )
