"""The argument `at_once`, the number of concurrent requests, is at least one."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import Account, ConfigurationError, Hub
from moorage.contracts.email import EmailMessage
from moorage.contracts.email_bulk import BulkMessage
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.vendors.email.sendgrid import SendGrid
from moorage.vendors.payments.stripe import Stripe
from moorage.vendors.shipping.easypost import EasyPost
from moorage.vendors.sms.twilio import Twilio
from moorage.vendors.storage.local_files import LocalFiles

BULK = BulkMessage(base=EmailMessage(text="Hello."), recipients=["ada@example.com"])
KEYS = {"shipping": {"idempotency_key": "k"}}
BATCHES: list[tuple[str, str, Any]] = [
    ("email", "send_bulk", BULK),
    ("sms", "send_bulk", []),
    ("payments", "settle", []),
    ("shipping", "create_many", []),
    ("storage", "delete_many", ["a"]),
]


@pytest.mark.untraced
@pytest.mark.parametrize("at_once", [0, -1, 1.5, "3", None, True])
@pytest.mark.parametrize("contract, operation, batch", BATCHES)
def test_at_once_must_be_positive(
    tmp_path: Any,
    contract: str,
    operation: str,
    batch: Any,
    at_once: Any,
) -> None:
    """A value of `at_once` below one is refused with the argument's name."""
    mail, texts, money = SendGridSandbox(), TwilioSandbox(), StripeSandbox()
    parcels = EasyPostSandbox()
    sandboxes = mail, texts, money, parcels
    hub = Hub(
        [
            Account("mail", SendGrid(credentials=mail.api_key)),
            Account("texts", Twilio(account_sid=texts.account_sid, credentials=texts.auth_token)),
            Account("money", Stripe(credentials=money.api_key), settings={"volatile_keys": True}),
            Account("parcels", EasyPost(credentials=parcels.api_key)),
            Account("files", LocalFiles(root=str(tmp_path))),
        ],
        http=SandboxHttpClient(*sandboxes),
    )

    ask = getattr(getattr(hub, contract)(), operation)
    with pytest.raises(ConfigurationError) as excinfo:
        ask(batch, at_once=at_once, **KEYS.get(contract, {}))

    assert "at_once" == excinfo.value.path
    assert [] == [request for sandbox in sandboxes for request in sandbox.requests]
