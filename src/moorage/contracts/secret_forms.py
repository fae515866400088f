"""Patterns of vendors' secrets, used to detect a secret in the wrong setting.

Only vendors that moorage brings along are checked: another vendor's keys may look like these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.values.patterns import late_pattern
from moorage.errors import Problem

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping, Sequence

    from moorage.domain.secrets.secret import Secret


class SecretForm(NamedTuple):
    """The form of a secret that a vendor issues, such as the prefix of its API keys.

    Attributes:
        pattern: matches the beginning of the value.
        description: a description of the value, as the end of a sentence.
        vendor: the vendor whose API key the value is; None if it is not an API key.
        is_webhook_secret: whether it signs webhooks.
    """

    pattern: re.Pattern[str]
    description: str
    vendor: str | None = None
    is_webhook_secret: bool = False


_FORMS: Final = (
    SecretForm(late_pattern("whsec_"), "the secret of a webhook", is_webhook_secret=True),
    SecretForm(late_pattern("[rs]k_(?:live|test)_"), "a secret key of Stripe", "stripe"),
    SecretForm(late_pattern("pk_(?:live|test)_"), "a publishable key of Stripe"),
    SecretForm(late_pattern("sk_sbox_"), "a secret key of Checkout.com", "checkout_com"),
    SecretForm(late_pattern("pk_sbox_"), "a public key of Checkout.com"),
    SecretForm(late_pattern("acct_"), "the id of an account at Stripe"),
    SecretForm(late_pattern(r"(?:live|test)_\w{20}"), "an API key of Mollie", "mollie"),
    SecretForm(late_pattern("pfl_"), "the id of a profile at Mollie"),
    SecretForm(late_pattern("(?:sandbox-)?sq0id[bp]-"), "the id of an application at Square"),
    SecretForm(late_pattern("(?:sandbox-)?sq0cs[bp]-"), "the secret of an application at Square"),
    SecretForm(late_pattern("rzp_(?:live|test)_"), "the id of an API key of Razorpay"),
    SecretForm(late_pattern(r"SG\."), "an API key of SendGrid", "sendgrid"),
    SecretForm(late_pattern("re_"), "an API key of Resend", "resend"),
    SecretForm(late_pattern(r"mlsn\."), "an API token of MailerSend", "mailersend"),
    SecretForm(late_pattern("xkeysib-"), "an API key of Brevo", "brevo"),
    SecretForm(late_pattern("xsmtpsib-"), "an SMTP key of Brevo"),
    SecretForm(late_pattern("AC[0-9a-f]{32}$"), "the SID of an account at Twilio"),
    SecretForm(late_pattern("SK[0-9a-f]{32}$"), "the SID of an API key of Twilio"),
    SecretForm(late_pattern("shippo_(?:live|test)_"), "a token of Shippo", "shippo"),
    SecretForm(late_pattern("EZ[AT]K"), "an API key of EasyPost", "easypost"),
    SecretForm(late_pattern("A[KS]IA[0-9A-Z]{16}$"), "the id of an access key of AWS"),
    SecretForm(
        late_pattern("(?i:app|bearer|basic|token|shippotoken|accesskey) "),
        "a key after the name of its scheme, which is added when it is sent",
    ),
)

_KEYS: Final[Mapping[str, str]] = {
    "adyen": "the API key of the web service user",
    "amazon_ses": "the secret access key",
    "amazon_sns": "the secret access key",
    "anthropic": "the API key of the workspace, which begins with sk-ant-",
    "bird": "the access key of the workspace",
    "braintree": "the private key of the API key",
    "brevo": "the API key, which begins with xkeysib-",
    "checkout_com": "the secret key, which begins with sk_",
    "easypost": "the API key, which begins with EZAK or EZTK",
    "gocardless_payments": "the access token of the account",
    "razorpay": "the secret of the API key",
    "infobip": "the API key of the account",
    "mailersend": "the API token, which begins with mlsn.",
    "mailgun": "the API key of the account or the domain",
    "mailjet": "the secret key of the API key",
    "mailtrap": "the API token of the account",
    "mandrill": "the API key of the account",
    "messagemedia": "the secret of the API key",
    "mistral": "the API key of the workspace",
    "mollie": "the API key, which begins with live_ or test_",
    "plivo": "the auth token of the account",
    "postal": "the API key of the mail server",
    "openai": "the API key of the project, which begins with sk-",
    "postmark": "the API token of the server",
    "resend": "the API key, which begins with re_",
    "s3": "the secret access key",
    "scaleway": "the secret key of the API key",
    "sendgrid": "the API key, which begins with SG.",
    "shipengine": "the API key",
    "shippo": "the API token, which begins with shippo_live_ or shippo_test_",
    "sinch": "the API token of the service plan",
    "sparkpost": "the API key",
    "square": "the access token",
    "stripe": "the secret key, which begins with sk_live_ or sk_test_",
    "telnyx": "the API key of the account",
    "twilio": "the auth token, or the secret of the API key",
    "unisender_go": "the API key of the account or the project",
    "vonage": "the API secret",
}
"""The API key of a vendor, in words."""


def misplaced_secrets(
    vendor: str, keys: Mapping[str, Secret], webhook_secrets: Sequence[Secret]
) -> Iterator[Problem]:
    """Yield a problem for each secret that certainly belongs in another setting.

    Args:
        vendor: the name of the vendor.
        keys: the secrets of its options, by their names.
        webhook_secrets: the secrets that sign its webhooks.
    """
    if vendor not in _KEYS:
        return
    for name, key in keys.items():
        form = _form_of(key)
        if form is not None and form.vendor != vendor:
            yield Problem(
                name,
                f"The value looks like {form.description}, not like an API key of {vendor}.",
                f"Give {_KEYS[vendor]}."
                if not form.is_webhook_secret
                else f"Give {_KEYS[vendor]}; put this value into webhook_secrets.",
            )
    for secret in webhook_secrets:
        form = _form_of(secret)
        if form is not None and not form.is_webhook_secret:
            yield Problem(
                "webhook_secrets",
                f"The value looks like {form.description}, not like the secret of a webhook.",
                "Give the signing secret that the vendor shows for the webhook.",
            )


def _form_of(secret: Secret) -> SecretForm | None:
    """Return the pattern that matches a secret; None if no known pattern matches."""
    content = secret.reveal_bytes().decode(errors="replace")
    return next((form for form in _FORMS if form.pattern.match(content)), None)
