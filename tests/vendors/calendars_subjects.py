"""Test subjects of the calendar vendors, with values from their documentation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage import (
    AlreadyExists,
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    Response,
    VendorRejected,
)
from moorage.testing.kits.calendars_conformance import CalendarsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.calendars.google_calendar import GoogleCalendarSandbox
from moorage.testing.sandboxes.calendars.microsoft_calendar import MicrosoftCalendarSandbox
from moorage.vendors.calendars.google_calendar import GoogleCalendar
from moorage.vendors.calendars.microsoft_calendar import MicrosoftCalendar

if TYPE_CHECKING:
    from collections.abc import Callable

RULES: Final = (
    "FREQ=DAILY;INTERVAL=2;COUNT=5",
    "FREQ=WEEKLY;BYDAY=MO,WE",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;WKST=SU",
    "FREQ=MONTHLY;BYMONTHDAY=2",
    "FREQ=MONTHLY;BYMONTHDAY=28",
    "FREQ=MONTHLY;BYMONTHDAY=28,29;BYSETPOS=-1",
    "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=MONTHLY;COUNT=3;BYDAY=1MO",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1",
    "FREQ=YEARLY;BYMONTHDAY=2;BYMONTH=3",
    "FREQ=YEARLY;BYMONTHDAY=30;BYMONTH=4",
    "FREQ=YEARLY;BYMONTHDAY=31;BYMONTH=12",
    "FREQ=YEARLY;BYMONTHDAY=-1;BYMONTH=2",
    "FREQ=YEARLY;BYDAY=1MO;BYMONTH=3",
    "FREQ=DAILY;UNTIL=20260310T225959Z",
)
ONLY_OF_GOOGLE: Final = (
    "FREQ=MONTHLY;BYMONTHDAY=29",
    "FREQ=MONTHLY;BYMONTHDAY=31",
    "FREQ=MONTHLY;BYMONTHDAY=-2",
    "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTHDAY=29;BYMONTH=2",
    "FREQ=YEARLY;BYMONTHDAY=31;BYMONTH=6",
    "FREQ=MONTHLY;BYMONTHDAY=1,15",
    "FREQ=MONTHLY;BYDAY=MO,TU",
    "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,2",
    "FREQ=MONTHLY;BYDAY=5MO",
    "FREQ=MONTHLY;BYDAY=1MO;BYSETPOS=1",
    "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=1",
    "FREQ=MONTHLY;BYMONTH=3",
    "FREQ=YEARLY;BYDAY=1MO",
    "FREQ=YEARLY;BYMONTH=3,4",
    "FREQ=YEARLY;BYMONTHDAY=15",
    "FREQ=DAILY;BYDAY=MO",
    "FREQ=WEEKLY;BYMONTH=3",
)


def google_error(status: int, reason: str, **headers: str) -> Response:
    """Return an error response in Google's format."""
    entry = {"domain": "global", "reason": reason, "message": "Refused."}
    error = {"code": status, "message": "Refused.", "errors": [entry]}
    return reply({"error": error}, status, **headers)


def graph_error(status: int, code: str, **headers: str) -> Response:
    """Return an error response in the format of Microsoft Graph."""
    error: dict[str, Any] = {"code": code, "message": "Refused.", "innerError": {}}
    return reply({"error": error}, status, **headers)


def google_calendar() -> CalendarsSubject:
    """Return a test subject of Google Calendar with a new sandbox."""
    sandbox = GoogleCalendarSandbox()
    key_file = sandbox.key_file()
    return CalendarsSubject(
        vendor=GoogleCalendar(credentials=key_file, user=sandbox.calendar),
        sandbox=sandbox,
        refusals=(
            (google_error(400, "invalid"), InvalidRequest),
            (google_error(403, "forbidden"), AuthenticationFailed),
            (google_error(403, "rateLimitExceeded"), RateLimitExceeded),
            (google_error(404, "notFound"), VendorRejected),
            (google_error(409, "duplicate"), AlreadyExists),
            (google_error(410, "deleted"), VendorRejected),
            (Response(404, body=b"<html></html>"), VendorRejected),
        ),
        pause=(google_error(429, "rateLimitExceeded", Retry_After="7"), 7.0),
        rules=(*RULES, *ONLY_OF_GOOGLE),
        secrets=(json.loads(key_file)["private_key"],),
    )


def microsoft_calendar() -> CalendarsSubject:
    """Return a test subject of Microsoft's calendars with a new sandbox."""
    sandbox = MicrosoftCalendarSandbox()
    return CalendarsSubject(
        vendor=MicrosoftCalendar(
            user=sandbox.user,
            directory=sandbox.directory,
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
        ),
        sandbox=sandbox,
        refusals=(
            (graph_error(400, "ErrorInvalidRequest"), InvalidRequest),
            (graph_error(403, "ErrorAccessDenied"), AuthenticationFailed),
            (graph_error(404, "ErrorItemNotFound"), VendorRejected),
            (graph_error(409, "ErrorDuplicate"), VendorRejected),
            (Response(404, body=b"<html></html>"), VendorRejected),
        ),
        pause=(graph_error(429, "ApplicationThrottled", Retry_After="7"), 7.0),
        rules=RULES,
        refused_rules=ONLY_OF_GOOGLE,
        secrets=(sandbox.client_secret,),
    )


SUBJECTS: tuple[Callable[[], CalendarsSubject], ...] = (google_calendar, microsoft_calendar)
