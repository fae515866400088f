"""Writes the pages of error messages, and the data for the site's search.

Each page has the messages of one subject, as a table: the message, its class, and what to do. The
search compares a query with the messages themselves, so that a line from a traceback leads to its
row although names and numbers in it are the reader's own.
"""

from __future__ import annotations

import json
import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from moorage import errors
from tools.message_sources import HOLE, Message, messages_of

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = {
    "": ROOT / "src/moorage",
    "django/": ROOT / "adapters-examples/moorage-django/src/moorage_django",
    "flask/": ROOT / "adapters-examples/moorage-flask/src/moorage_flask",
}


class Subject(NamedTuple):
    """A page about the error messages of one subject.

    Attributes:
        path: its path in the site, without `.md`.
        title: its title.
        guide: the path of the page that explains the subject, below `docs`.
        modules: the beginnings of the paths of its modules.
    """

    path: str
    title: str
    guide: str
    modules: tuple[str, ...]


def _subject(name: str, title: str, guide: str, *modules: str) -> Subject:
    return Subject(f"errors/{name}", title, f"{guide}.md", modules)


def _contract(name: str, title: str, guide: str, *modules: str) -> Subject:
    folders = (f"contracts/{name}", f"contracts/declared/{name}", f"vendors/{name}", *modules)
    return _subject(name, title, f"how-to/{guide}", *folders)


SUBJECTS: Final = (
    _subject("calls", "Calls", "troubleshooting", ""),
    _subject("http", "HTTP", "how-to/connections", "adapters/http/", "domain/http", "client_sdk"),
    _subject(
        "protections",
        "Retries, limits, circuits and keys",
        "tuning",
        *("domain/resilience", "domain/idempotency", "domain/cache", "domain/service", "parts"),
        *("services/calling", "adapters/concurrency"),
    ),
    _subject(
        "stores",
        "Stores",
        "how-to/stores",
        *("adapters/state", "adapters/databases", "adapters/sealed", "adapters/ciphers"),
        *("adapters/tables", "adapters/links", "adapters/cache", "domain/state", "wiring/store"),
        *("services/state", "services/core", "services/environment_guard", "config/store"),
    ),
    _subject(
        "configuration",
        "Configuration",
        "how-to/configuration",
        *("config/", "wiring/", "hub/reloading", "hub/hub", "contracts/routes", "contracts/route_"),
    ),
    _subject("commands", "Commands", "how-to/command-line", "cli/"),
    _subject("dashboard", "Page of operations", "how-to/operations-page", "dashboard/"),
    _subject(
        "credentials",
        "Credentials and secrets",
        "how-to/credentials",
        *("adapters/credentials", "adapters/secret_managers", "adapters/negotiators"),
        *("config/providers", "config/provider_order", "config/references", "config/plain_secrets"),
        *("domain/secrets", "domain/auth", "domain/signing", "contracts/secret_forms"),
    ),
    _subject(
        "oauth",
        "OAuth",
        "how-to/oauth",
        *("domain/oauth", "services/oauth", "cli/oauth", "cli/commands/oauth", "cli/loopback"),
        *("parts/oauth_consent", "parts/oauth_token_refresher"),
    ),
    _subject(
        "webhooks",
        "Webhooks",
        "how-to/webhooks",
        *("domain/webhooks", "services/webhooks", "adapters/webhook_secrets", "hub/receiving"),
        *("hub/certificates", "cli/webhook", "parts/webhook_verifier"),
    ),
    _subject(
        "entries",
        "Inbox and outbox",
        "how-to/outbox",
        *("domain/entries", "services/entries", "adapters/entries", "hub/inbox", "hub/outbox"),
        *("hub/worker", "wiring/entry_stores", "cli/commands/entries"),
    ),
    _subject(
        "observing",
        "Events, logs, alerts and health",
        "how-to/observing",
        *("adapters/observers", "adapters/logs", "adapters/metrics", "adapters/audit", "hub/alert"),
        *("domain/observation", "domain/monitoring", "services/monitoring", "hub/audit"),
        *("config/monitoring", "config/alerts", "wiring/observers"),
    ),
    _subject(
        "databases",
        "SQL and MongoDB",
        "how-to/sql",
        *("adapters/sql", "adapters/mongodb", "domain/connectors/sql", "domain/connectors/mongo"),
    ),
    _subject(
        "brokers",
        "Brokers and messages",
        "how-to/queues",
        *("adapters/messages", "adapters/redis_streams", "adapters/mqtt", "adapters/sqs"),
        *("domain/messages", "domain/asyncapi", "client_sdk/channels"),
    ),
    _subject(
        "protocols",
        "Connectors, GraphQL, gRPC, IMAP, LDAP, OData, SOAP, WebSocket and XML-RPC",
        "how-to/connectors",
        *("adapters/graphql", "adapters/grpc", "adapters/http_operations", "adapters/websocket"),
        *("adapters/ldap", "adapters/imap"),
        *("domain/connectors", "domain/graphql", "domain/odata", "domain/soap", "hub/connectors"),
        *("config/connectors", "wiring/installed_connectors", "domain/service/xml_rpc"),
    ),
    _subject("openapi", "OpenAPI", "how-to/openapi", "domain/openapi", "config/openapi"),
    _subject(
        "pipelines",
        "Pipelines",
        "how-to/pipelines",
        *("pipelines/", "domain/pipelines", "adapters/dead_letters", "adapters/sql/checkpoints"),
        *("config/pipeline", "cli/stream", "hub/streams"),
    ),
    _subject(
        "steps",
        "Steps",
        "how-to/steps",
        *("adapters/steps", "domain/steps", "hub/step", "config/steps", "wiring/installed_pl"),
        *("wiring/step",),
    ),
    _subject("tenants", "Tenants", "how-to/tenants", "config/tenants", "wiring/tenants"),
    _subject(
        "vendors",
        "All contracts",
        "how-to/vendors",
        *("contracts/", "vendors/", "services/contracts", "services/transfers", "vendor_sdk"),
        *("operations/", "grading/", "exporting/"),
    ),
    _contract("accounting", "Accounting", "accounting"),
    _contract("bank", "Bank accounts and files", "bank-accounts"),
    _contract("calendars", "Calendars", "calendars"),
    _contract("chat", "Chat", "chat"),
    _contract("crm", "Customers", "customers"),
    _contract("currencies", "Exchange rates", "currencies"),
    _contract("einvoices", "Delivery of electronic invoices", "einvoices"),
    _contract("email", "Mail", "email", "adapters/mail"),
    _contract("inference", "Language models", "language-models", "services/contracts/token_budget"),
    _contract("payments", "Payments", "payments", "services/contracts/payment"),
    _contract("people", "People", "people"),
    _contract("push", "Push notifications", "push"),
    _contract("shipping", "Shipping", "shipping", "contracts/address"),
    _contract("shops", "Shops", "shops"),
    _contract("signatures", "Signatures", "signatures", "contracts/signed"),
    _contract("sms", "Text messages", "sms"),
    _contract("storage", "Files", "storage", "adapters/files", "operations/_object_files"),
    _contract("tax", "Taxes", "tax", "contracts/vat_forms"),
    _subject("invoices", "Electronic invoices", "how-to/e-invoices", "invoices/"),
    _subject("scim", "SCIM server", "how-to/scim-server", "scim/"),
    _subject("testing", "Testing", "how-to/testing", "testing/"),
    _subject("django", "Django", "how-to/django", "django/"),
    _subject("flask", "Flask", "how-to/flask", "flask/"),
)

_MEANINGS: Final = {
    "HealthReason": "health",
    "RuntimeWarning": "a warning",
    "AttributeError": "a mistake in the program",
    "RuntimeError": "a mistake in the program",
    "TypeError": "a mistake in the program",
    "ValueError": "a mistake in the program",
}
_MARKS: Final = re.compile(r"([\\*_<\[\]|~$])")


class Row(NamedTuple):
    """An error message as a row on a page.

    Attributes:
        subject: its page.
        anchor: its place there.
        kinds: the classes of its errors.
        text: the message.
        remedies: sentences with the advice to the reader.
    """

    subject: Subject
    anchor: str
    kinds: tuple[str, ...]
    text: str
    remedies: tuple[str, ...]


@cache
def rows() -> tuple[Row, ...]:
    """Return all error messages in the order of the pages; each is on one page."""
    by_text: dict[str, list[Message]] = {}
    for prefix, package in PACKAGES.items():
        for message in messages_of(package):
            placed = message._replace(module=prefix + message.module)
            by_text.setdefault(message.text, []).append(placed)
    unordered_rows = [_row(text, messages) for text, messages in by_text.items()]
    return tuple(
        sorted(unordered_rows, key=lambda row: (SUBJECTS.index(row.subject), row.text.lower()))
    )


def pages() -> dict[str, str]:
    """Return the pages by their path in the site."""
    return {f"{subject.path}.md": _page(subject) for subject in SUBJECTS}


def search_data() -> str:
    """Return the search script, with all messages and the pages of the error classes."""
    names = [name for name in vars(errors) if isinstance(getattr(errors, name), type)]
    kinds = [name for name in names if issubclass(getattr(errors, name), errors.ConnectorError)]
    data = {
        "pages": [[subject.path, _title(subject)] for subject in SUBJECTS],
        "messages": [
            [row.text, SUBJECTS.index(row.subject), row.anchor, row.kinds] for row in rows()
        ],
        "classes": [name for name in kinds if not name.startswith("_")],
    }
    return f"var MESSAGES = {json.dumps(data, ensure_ascii=False, separators=(',', ':'))};\n"


def _row(text: str, messages: list[Message]) -> Row:
    remedies = dict.fromkeys(message.remedy or _remedy(message.kind) for message in messages)
    kinds = tuple(dict.fromkeys(message.kind for message in messages))
    anchor = f"m{sha256(text.encode()).hexdigest()[:8]}"
    return Row(_subject_of(messages[0].module), anchor, kinds, text, tuple(filter(None, remedies)))


def _remedy(kind: str) -> str:
    """Return the advice that an error class gives to its reader."""
    return str(getattr(getattr(errors, kind, None), "remedy", ""))


def _subject_of(module: str) -> Subject:
    """Return the subject whose module path is the longest prefix of this module's path."""
    lengths = [
        max((len(start) for start in subject.modules if module.startswith(start)), default=-1)
        for subject in SUBJECTS
    ]
    return SUBJECTS[lengths.index(max(lengths))]


def _title(subject: Subject) -> str:
    return f"Messages: {subject.title}"


def _page(subject: Subject) -> str:
    table = [
        f'| <a id="{row.anchor}"></a>{_escape_markdown(row.text)} | {_kinds(row.kinds)}'
        f" | {'<br>'.join(map(_escape_markdown, row.remedies))} |"
        for row in rows()
        if row.subject is subject
    ]
    description = (
        f"The subject has [a page of its own](../{subject.guide}). In these messages, {HOLE}"
        " stands for a value, such as a name."
    )
    return "\n".join(
        [
            f"# {_title(subject)}",
            "",
            description,
            "",
            "| message | class | what to do |",
            "|---|---|---|",
            *table,
            "",
        ]
    )


def _kinds(kinds: tuple[str, ...]) -> str:
    return ", ".join(
        _MEANINGS.get(kind) or f"[{kind}](../troubleshooting.md#{kind.lower()})" for kind in kinds
    )


def _escape_markdown(text: str) -> str:
    """Return a text escaped for Markdown, except for its code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return _MARKS.sub(r"\\\1", text).replace("`", "\\`")
    parts[::2] = [_MARKS.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [part.replace("|", "\\|") for part in parts[1::2]]
    return "`".join(parts)
