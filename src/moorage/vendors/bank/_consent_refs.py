"""References that name an account with its consent, or a page of an account's transactions."""

from __future__ import annotations

import re

from moorage import vendor_sdk as sdk


def consent_of(ref: sdk.Ref) -> str:
    """The id of the consent that an account belongs to.

    Raises:
        InvalidData: the reference does not come from a list of accounts.
    """
    consent = ref.other("consent")
    if consent:
        return consent
    raise sdk.InvalidData(
        "The reference does not contain the consent of the account.",
        field="ref",
        remedy="Pass the `ref` of an account from the result of `accounts`.",
    )


def page_of(ref: sdk.Ref, after: sdk.Ref, *, form: str = ".+") -> str:
    """The position of the next page of an account's transactions.

    Args:
        ref: the account.
        after: the `next` of the page before.
        form: the regular expression that the position matches.

    Raises:
        InvalidData: the reference is not the `next` of a page of this account.
    """
    page = after.other("page")
    if page and after.id == ref.id and re.fullmatch(form, page, re.ASCII):
        return page
    raise sdk.InvalidData(
        "`after` is not the `next` of a page of this account's transactions.",
        field="after",
        remedy="Pass the `next` of a page of this account.",
    )
