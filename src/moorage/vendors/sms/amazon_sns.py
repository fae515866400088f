"""Amazon SNS: text messages and opt-outs.

The Query API of 2010-03-31, with forms signed by AWS SigV4 and responses in XML. SNS takes no
idempotency key, so a message that may have been sent is not sent again. It can neither query nor
cancel a message, and reports the outcome only to CloudWatch logs.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import SmsCapability, SmsMessage, SmsReceipt, SmsStatus
from moorage.vendors.sms import _sns_opt_outs as sns_opt_outs
from moorage.vendors.sms._common import as_field, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendors.sms._common import Kind


_ATTRIBUTE: Final = "AWS."
_PRICE: Final = "AWS.SNS.SMS.MaxPrice"
_DIGITS: Final = re.compile(r"\+?[0-9]+")
_WRONG: Final = sdk.word_set(
    "InvalidAction InvalidParameter InvalidParameterCombination InvalidParameterValue"
    " InvalidQueryParameter MalformedQueryString MissingAction MissingParameter"
    " ParameterValueInvalid ValidationError ValidationException"
)


def _read_xml(response: sdk.Response) -> sdk.XmlElement | None:
    try:
        return sdk.read_xml(response.body)
    except sdk.NotXmlError:
        return None


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response's code, which is more specific than the status."""
    if sdk.is_success(response.status) or response.status >= 500:
        return None
    root = _read_xml(response)
    error = None if root is None else next(root.all("Error"), None)
    code = None if error is None else error.text("Code")
    if error is None or code is None:
        return None
    kind: Kind = sdk.InvalidRequest if code in _WRONG else sdk.VendorRejected
    return refusal(
        sdk.aws_refusal(code) or kind, "Amazon SNS", response, code, error.text("Message")
    )


@attrs.frozen(kw_only=True)
class AmazonSns(sdk.ApiVendor):
    """An account at Amazon SNS, in one region.

    Attributes:
        region: AWS region, such as `eu-central-1`; not every region sends text messages.
        access_key_id: id of the access key.
        credentials: secret access key; by default the credential provider supplies `Credentials`,
            signed by `AwsSigV4` for the service `sns`.
        session_token: session token of temporary credentials.
        sender: sender of messages that name none: a name, or a number of yours; by default SNS
            chooses.
        message_type: Transactional or Promotional; by default the account's setting.
        base_url: URL of SNS; by default that of the region.
    """

    name = "amazon_sns"
    kinds = ("sms",)
    api_version = sns_opt_outs.VERSION
    capabilities = frozenset({SmsCapability.OPT_OUTS})
    limits: ClassVar[Mapping[str, int]] = {"text": 1600}

    urls: ClassVar[Mapping[str, str]] = {"": "_url"}
    refusals = staticmethod(classify)

    region: str
    access_key_id: str | None = attrs.field(default=None, repr=False)
    session_token: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    sender: str | None = None
    message_type: str | None = attrs.field(
        default=None, metadata=sdk.choices("Transactional", "Promotional")
    )
    base_url: str | None = None

    @property
    def _url(self) -> str:
        return self.base_url or f"https://sns.{self.region}.amazonaws.com"

    def static_credentials(self) -> sdk.Credentials | None:
        """The access key that signs requests."""
        return sdk.aws_credentials(
            "sns", self.region, self.access_key_id, self.credentials, self.session_token
        )

    async def send(self, wire: sdk.Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send one message."""
        request = sdk.Request.post("/", form=message_form(self, message))
        return await wire.send(request, key=key, parse=partial(read_receipt, wire))

    opt_outs = staticmethod(sns_opt_outs.list_opt_outs)
    find_opt_outs = staticmethod(sns_opt_outs.opt_outs_of)
    remove_opt_out = staticmethod(sns_opt_outs.opt_in)


def message_form(vendor: AmazonSns, message: SmsMessage) -> dict[str, str]:
    """The form that sends a message; options starting with `AWS.` become attributes."""
    sender = message.sender or vendor.sender
    attributes: dict[str, Any] = {"AWS.SNS.SMS.SMSType": vendor.message_type}
    if sender is not None and _DIGITS.fullmatch(sender):
        attributes["AWS.MM.SMS.OriginationNumber"] = sender
    else:
        attributes["AWS.SNS.SMS.SenderID"] = sender
    form: dict[str, Any] = {
        "Action": "Publish",
        "Version": sns_opt_outs.VERSION,
        "PhoneNumber": message.to,
        "Message": message.text,
    }
    for name, value in sdk.extra_for("amazon_sns", message.extra).items():
        (attributes if name.startswith(_ATTRIBUTE) else form)[name] = value
    present_pairs = [(name, value) for name, value in attributes.items() if value is not None]
    for number, (name, value) in enumerate(present_pairs, 1):
        entry = f"MessageAttributes.entry.{number}"
        form |= {
            f"{entry}.Name": name,
            f"{entry}.Value.DataType": "Number" if name == _PRICE else "String",
            f"{entry}.Value.StringValue": value,
        }
    return {name: as_field(value) for name, value in form.items() if value is not None}


def read_receipt(wire: sdk.Wire, response: sdk.Response) -> SmsReceipt:
    """Parse the receipt of an accepted message, which contains only an id."""
    root = _read_xml(response)
    result = None if root is None else next(root.all("PublishResult"), None)
    id_ = None if result is None else result.text("MessageId")
    if root is None or id_ is None:
        raise sdk.malformed(response, "MessageId")
    return SmsReceipt(ref=wire.ref(id_), status=SmsStatus.QUEUED, raw=root.as_dict())
