"""Known mistakes in official API descriptions, and differences from the vendors' pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

QUIRKS: Final[Mapping[str, frozenset[str]]] = {
    # Amazon's models describe no way to authenticate; its library sends the token in this header.
    "amazon_sp_api": frozenset({"The header x-amz-access-token is not known."}),
    # The description is of an earlier version, whose requests are the same. The list of an empty
    # container has an empty element, which is an empty list.
    "azure_blob": frozenset(
        {"body.Segment has no BlobItems.", "headers.x-ms-version cannot be '2025-01-05'."}
    ),
    # A scheduled email has the number of its batch.
    "brevo": frozenset({"body.batchId is not known."}),
    # The register documents the class of each entry.
    "brreg": frozenset({"body.respons_klasse is not known."}),
    # The documented landed cost has a charge without a type, which is the value of the goods.
    "dhl_express": frozenset({"body.products[0].items[0].breakdown[0] has no typeCode."}),
    # Each documented example of a rated shipment has its currency.
    "fedex": frozenset(
        {
            f"body.output.rateReplyDetails[{rate}].ratedShipmentDetails[{detail}].currency"
            " is not known."
            for rate in range(3)
            for detail in range(2)
        }
    ),
    # Firebase's reference of messages has these names, which protocol buffers take in JSON too.
    "firebase": frozenset(
        {
            "body.message.android.collapse_key is not known.",
            "body.message.android.notification.notification_count is not known.",
            "body.message.apns.fcm_options is not known.",
            "body.message.webpush.fcm_options is not known.",
        }
    ),
    # GoCardless documents the banks of a transaction, and real requisitions have no `ssn`.
    "gocardless": frozenset(
        {
            "body.ssn is no string.",
            "body.transactions.booked[0].debtorAgent is not known.",
            "body.transactions.booked[1].creditorAgent is not known.",
        }
    ),
    # HMRC's published source code has up to five lines in an address.
    "hmrc": frozenset({"body.target.address.line2 is not known."}),
    # The query's pages are documented.
    "mailgun": frozenset({"body.pagination is not known."}),
    # Mailtrap's OpenAPI description has both texts in one message, and a sender in each message of
    # a batch.
    "mailtrap": frozenset(
        {
            "body.html is not known.",
            "body.requests[0].from is not known.",
            "body.requests[1].from is not known.",
        }
    ),
    # Mandrill's own description has these fields of a message, and `website` only as an example.
    "mandrill": frozenset(
        {
            "body.diag is not known.",
            "body.message.metadata has no website.",
            "body.reject is not known.",
            "body.resends is not known.",
            "body.subaccount is not known.",
        }
    ),
    # A completion has `choices`; the base of all responses demands the `data` of other operations.
    "mistral": frozenset({"body has no data."}),
    # The library takes other headers in a field of its own.
    "unisender_go": frozenset(
        {
            "body.message.headers.X-Invoice is not known.",
            "body.message.headers.to is not known.",
        }
    ),
    # Microsoft documents the query of a calendar view, which its metadata lack, and the names of
    # this action's parameters with small initials.
    "microsoft_calendar": frozenset(
        {
            "The query's endDateTime is not known.",
            "The query's startDateTime is not known.",
            "body.endTime is not known.",
            "body.schedules is not known.",
            "body.startTime is not known.",
        }
    ),
    # Mollie's description has these fields of mandates and cards, but its library's types lack
    # them.
    "mollie": frozenset(
        {
            "body._embedded.mandates[0].customerId is not known.",
            "body.customerId is not known.",
            "body.details.cardExpiryDate is not known.",
        }
    ),
    # PayPal documents these fields, which its published files lack. Its published requests accept a
    # claim in JSON, and have evidence in the part `input`; the files have only documents.
    "paypal": frozenset(
        {
            "The body is not described.",
            "body.input is not known.",
            "body.payment_source.card.attributes.verification is not known.",
            "body.processor_response is not known.",
            "body.purchase_units[0].payments.authorizations[0].supplementary_data is not known.",
            "body.purchase_units[0].payments.captures[0].supplementary_data is not known.",
        }
    ),
    # The account of the sandbox accepts euros too. Paystack's documentation of pagination has this
    # name for all lists.
    "paystack": frozenset({"body.currency cannot be 'EUR'.", "The query's perPage is not known."}),
    # Plaid documents this IBAN as a string; its library expects an object without fields.
    "plaid": frozenset(
        {"body.transactions[1].counterparties[0].account_numbers.international.iban is no object."}
    ),
    # The length of a message, the kind of a look-up and the time that a message is valid are
    # documented so.
    "plivo": frozenset(
        {
            "The query's type is not known.",
            "body.message_expiry is not known.",
            "body.units is no string.",
        }
    ),
    # Only attachments in the HTML have an id, and queries are documented in small letters.
    "postmark": frozenset(
        {
            "The query's fromdate is not known.",
            "The query's todate is not known.",
            "body.Attachments[0] has no ContentID.",
        }
    ),
    # Intuit documents the type of a reference, and its examples have rates as numbers and ids as
    # texts. Only French companies need a journal's code.
    "quickbooks": frozenset(
        {
            "body.AttachableResponse[0].Attachable.AttachableRef[0].EntityRef.type is not known.",
            "body.AttachableResponse[0].Attachable.Id is no number.",
            "body.Line[0].JournalEntryLineDetail has no JournalCodeRef.",
            "body.Line[1].JournalEntryLineDetail has no JournalCodeRef.",
            "body.QueryResponse.TaxRate[0].RateValue is no string.",
        }
    ),
    # Empty notes are a list in each documented example, and these numbers are numbers. The customer
    # of a link may be missing, and orders of recurring payments have the capture.
    "razorpay": frozenset(
        {
            "body has no customer.",
            "body.created_at is no string.",
            "body.items[0].notes is no object.",
            "body.items[0].remaining_count is no string.",
            "body.notes is no object.",
            "body.payment_capture is not known.",
            "body.remaining_count is no string.",
        }
    ),
    # A template brings its subject; a batch of lenient validation lists its errors; the page of
    # received mails documents the format.
    "resend": frozenset(
        {
            "body has no subject.",
            "body.errors is not known.",
            "The query's html_format is not known.",
        }
    ),
    # Custom arguments are an object in each documented example.
    "sendgrid": frozenset({"body.custom_args is no string."}),
    # Numbers may be sent as texts, as in each documented example, and shipments by their id alone.
    # `is_return` is documented.
    "easypost": frozenset(
        {
            "body.scan_form.shipments[0].id is not known.",
            "body.shipment.customs_info.customs_items[0].value is no number.",
            "body.shipment.customs_info.customs_items[0].weight is no number.",
            "body.shipment.is_return is not known.",
            *(
                f"body.shipment.parcel.{name} is no number."
                for name in ("height", "length", "weight", "width")
            ),
        }
    ),
    # Both alternatives of a shipment require the number of an existing one.
    "shipengine": frozenset({"body has no shipment_id.", "body.shipment is not known."}),
    # Each method takes JSON too, and messages have all fields in each documented example; the
    # description of 2021 has forms, and some of the fields.
    "slack": frozenset(
        {
            "The body is not described.",
            "body.message.blocks is no object.",
            # The token is sent as the Authorization header, as documented.
            "The headers have no token.",
            *(f"body.message.{name} is not known." for name in ("blocks", "bot_id", "ts", "type")),
        }
    ),
    # The page about scheduled messages has this status, which the types of a message lack.
    "telnyx": frozenset({"body.data.to[0].status cannot be 'scheduled'."}),
    # The error of a line type is null in each documented example.
    "twilio": frozenset({"body.line_type_intelligence.error_code is no integer."}),
    # The key may be sent by HTTP Basic, as documented for each of these operations.
    "vonage": frozenset(
        {
            "The query has no api_key.",
            "The query has no api_secret.",
            "body has no api_key.",
        }
    ),
    # Each documented example has these fields, and files are sent with their own media types.
    "xero": frozenset(
        {
            "The body is not described.",
            *(f"body.{name} is not known." for name in ("DateTimeUTC", "Id", "ProviderName")),
            "body.Invoices[0].DateString is not known.",
            "body.Status is not known.",
        }
    ),
    # The newest available file is of August 2023; these fields and moves are newer, and Stripe's
    # library has them. Card tokens are documented, but not described.
    "stripe": frozenset(
        {
            "body has no current_period_end.",
            "body has no current_period_start.",
            "body.amount_details is not known.",
            "body.data[0] has no current_period_end.",
            "body.data[0] has no current_period_start.",
            "body.data[0].balance_type is not known.",
            "body.data[0].items.data[0].current_period_end is not known.",
            "body.data[0].items.data[0].current_period_start is not known.",
            "body.data[1].balance_type is not known.",
            "body.data[1].source.payment_method_details.card.capture_before is not known.",
            "body.final_capture is not known.",
            "body.items.data[0].current_period_end is not known.",
            "body.items.data[0].current_period_start is not known.",
            "body.latest_charge.payment_method_details.card.capture_before is not known.",
            "body.line_items[0] has no price.",
            "body.line_items[0].price_data is not known.",
            "body.line_items[1] has no price.",
            "body.line_items[1].price_data is not known.",
            "body.payment_intent_data.metadata is not known.",
            "body.payment_method_data.card is not known.",
            "body.payment_method_data.type cannot be 'card'.",
            "body.restrictions is not known.",
        }
    ),
    # The fixtures in a later version of the same repository have the field.
    "stripe_tax": frozenset({"body.ship_from_details is not known."}),
    # The recorded answers in the tests of the same library have texts.
    "taxjar": frozenset(
        f"body.{record}{name} is no number."
        for record in ("order.", "refund.")
        for name in (
            *("amount", "sales_tax", "shipping"),
            *(
                f"line_items[{number}].{amount}"
                for number in (0, 1)
                for amount in ("discount", "sales_tax", "unit_price")
            ),
        )
    ),
    # UPS requires either field, its rating takes the option that shipping describes, and its landed
    # cost requires fields where it describes none.
    "ups": frozenset(
        {
            "body has no alVersion.",
            "body has no perfStats.",
            "body has no transID.",
            "body.LabelRecoveryRequest has no ReferenceValues.",
            "body.LabelRecoveryRequest has no TrackingNumbers.",
            "body.RateRequest.Request.RequestOption is not known.",
        }
    ),
}
"""Problems of descriptions that contradict themselves or the vendor's documentation."""
