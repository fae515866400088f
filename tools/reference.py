"""Write the reference pages from the docstrings.

One page for each group of names. What a page says of a name is its signature, its docstring and
its public members, so nothing is written twice. A name that is exported and on no page, or on two,
is an error.

As a hook of mkdocs this adds the pages to the site, and puts what a class of error says about
itself under its heading in the page on troubleshooting. `python -m tools.reference FOLDER` writes
the pages to a folder.
"""

import enum
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import attrs

import mooring
from mooring import errors, testing
from mooring.domain import events
from mooring.wiring.catalog import vendor_class, vendor_names


class Page(NamedTuple):
    """One page: where it is, what it is called, and which names it holds.

    A name without a module is one that `mooring` exports; `module:name` is one to import from
    there, `module:*` is everything public that the module defines, and `module:` the module.
    """

    path: str
    title: str
    about: str
    names: tuple[str, ...]


def _public(home: ModuleType) -> Iterator[tuple[str, Any]]:
    """The classes that a module defines for others."""
    for own, value in vars(home).items():
        if inspect.isclass(value) and value.__module__ == home.__name__ and not own.startswith("_"):
            yield own, value


def _vendors(kind: str) -> Iterator[str]:
    """Our vendors of a kind, each with the one on this machine."""
    for name in vendor_names():
        found = vendor_class(name)
        if kind not in found.kinds or not found.__module__.startswith("mooring."):
            continue
        yield f"{found.__module__}:{found.__name__}"
        sandbox = f"mooring.testing.sandbox.{name}"
        if importlib.util.find_spec(sandbox) is not None:
            own = dict(_public(importlib.import_module(sandbox)))
            yield from (f"{sandbox}:{one}" for one in own if one.endswith("Sandbox"))


PAGES: Final = (
    Page(
        "calling",
        "Calling services",
        "The two managers, what they are told, and what they answer.",
        (
            "ConnectorManager",
            "AsyncConnectorManager",
            "Service",
            "Endpoint",
            "Region",
            "Request",
            "Response",
            "Timeouts",
            "HttpMethod",
            "Headers",
            "BodyStream",
            "FormFile",
            "Result",
            "mooring.streams:StreamedAnswer",
            "mooring.streams:AsyncStreamedAnswer",
        ),
    ),
    Page(
        "parts",
        "One protection at a time",
        "The parts wrap any function, without a manager or a service.",
        (
            "RetryHandler",
            "mooring.parts.retry_handler:Attempt",
            "RateLimiter",
            "mooring.parts.rate_limiter:Reservation",
            "CircuitBreaker",
            "Bulkhead",
            "Idempotency",
            "mooring.parts.idempotency:Answered",
            "mooring.parts.guard:Entry",
        ),
    ),
    Page(
        "protections",
        "How calls are protected",
        "Plain values. A wrong one is refused when it is made, and the error names the field.",
        (
            "RetryPolicy",
            "Backoff",
            "Jitter",
            "RetryBudget",
            "RateLimitConfig",
            "mooring.domain.rate_limit:Calendar",
            "CircuitBreakerConfig",
            "CircuitBreakerState",
            "CircuitState",
            "BulkheadConfig",
            "HedgeConfig",
            "CachePolicy",
        ),
    ),
    Page(
        "oauth",
        "OAuth",
        "Tokens that renew themselves. *Get tokens by OAuth* shows them at work.",
        (
            "OAuthTokenRefresher",
            "AsyncOAuthTokenRefresher",
            "OAuthConsent",
            "PendingConsent",
            "DeviceConsent",
            "Granted",
            "OAuthClient",
            "ClientAuthentication",
            "AuthorizationServer",
            "mooring.discovery:discover",
            "mooring.discovery:adiscover",
            "ClientCredentials",
            "Consent",
            "JwtBearer",
            "TokenExchange",
        ),
    ),
    Page(
        "webhooks",
        "Webhooks",
        "What verifies webhooks, what they become, and how a scheme of one's own is written."
        " *Verify webhooks* shows them at work.",
        (
            "WebhookVerifier",
            "mooring.parts.webhook_verifier:Receipt",
            "WebhookEvent",
            "WebhookReason",
            "WebhookReply",
            "mooring.domain.webhooks.replies:reply_to",
            "WebhookScheme",
            "WebhookSigner",
            "mooring.adapters.webhook_secrets:generate_webhook_secret",
            "mooring.receiving:from_wsgi",
            "mooring.receiving:from_asgi",
            "mooring.receiving:from_starlette",
            "mooring.receiving:from_django",
            "mooring.receiving:from_flask",
            "mooring.domain.webhooks.algorithms:WebhookAlgorithm",
            "mooring.domain.webhooks.algorithms:WebhookEncoding",
            "mooring.domain.webhooks.algorithms:SecretForm",
            "mooring.domain.webhooks.choices:TimeForm",
            "mooring.domain.webhooks.choices:BodyForm",
            "mooring.domain.webhooks.choices:Handshake",
        ),
    ),
    Page(
        "identity",
        "Credentials and secrets",
        "Who we say we are to a service.",
        (
            "AuthMethod",
            "Credentials",
            "OAuthCredentials",
            "AwsSigV4",
            "AzureSharedKey",
            "HmacSigning",
            "JwtSigning",
            "MessageSignature",
            "Secret",
            "mooring.domain.sealing:KeyRing",
            "Redaction",
            "Personal",
        ),
    ),
    Page(
        "connections",
        "How connections are made",
        "Whom an HTTP client trusts, through whom it goes, and what its connections do.",
        (
            "Tls",
            "TlsVersion",
            "DangerouslyUnverified",
            "Proxy",
            "PoolStatistics",
            "OutgoingGuard",
        ),
    ),
    Page(
        "records",
        "What is recorded",
        "Events are handed to observers; the integration log keeps an entry for every call.",
        (
            "IntegrationLog",
            "IntegrationStatus",
            "mooring.domain.integration_log:LogQuery",
            "mooring.domain.integration_log:LogPage",
            "mooring.domain.integration_log:LogSummary",
            "mooring.domain.events:*",
        ),
    ),
    Page(
        "contracts",
        "Contracts",
        "Vendors behind words that none of them owns: the hub, its accounts and routes, and what a"
        " vendor is made of.",
        (
            "open",
            "aopen",
            "Hub",
            "AsyncHub",
            "Account",
            "Route",
            "Ref",
            "mooring.config:read_configuration",
            "mooring.config:Configured",
            "mooring.contracts.routes:Prefer",
            "mooring.contracts.vendor:*",
            "mooring.contracts.wire:*",
        ),
    ),
    Page(
        "email",
        "Mail",
        "What is sent, what became of it, and the vendors. *Send mail* shows them at work.",
        (
            "mooring.faces.email:Email",
            "mooring.faces.email:AsyncEmail",
            "mooring.contracts.email:*",
            "mooring.contracts.email_address:*",
            "mooring.contracts.email_bulk:*",
            "mooring.contracts.email_outcomes:*",
            *_vendors("email"),
            "mooring.adapters.smtp_transport:SmtpTransport",
            "mooring.adapters.smtp_transport:AsyncSmtpTransport",
            "mooring.testing.sandbox.mailbox:*",
            "mooring.testing.email_conformance:",
            "mooring.testing.email_conformance:EmailLab",
        ),
    ),
    Page(
        "sms",
        "Text messages",
        "What is sent, what became of it, and who sends. *Send text messages* shows them at work.",
        (
            "mooring.faces.sms:Sms",
            "mooring.faces.sms:AsyncSms",
            "mooring.contracts.sms:*",
            "mooring.contracts.sms:segments",
            "mooring.contracts.calling_codes:country_of",
            "mooring.contracts.sms:is_gsm",
            *_vendors("sms"),
            "mooring.testing.sms_conformance:SmsSubject",
        ),
    ),
    Page(
        "shipping",
        "Shipping",
        "What is sent, what it costs, its labels, and where it is. *Ship parcels* shows them at"
        " work.",
        (
            "mooring.faces.shipping:Shipping",
            "mooring.faces.shipping:AsyncShipping",
            "mooring.contracts.address:Address",
            "mooring.contracts.shipping.parcels:*",
            "mooring.contracts.shipping.units:*",
            "mooring.contracts.shipping.units:converted",
            "mooring.contracts.shipping.rates:*",
            "mooring.contracts.shipping.shipments:*",
            "mooring.contracts.shipping.tracking:*",
            "mooring.contracts.shipping.vendor:ShippingVendor",
            *_vendors("shipping"),
            "mooring.testing.shipping_conformance:ShippingSubject",
        ),
    ),
    Page(
        "storage",
        "Files",
        "What is kept, what is said of it, and who keeps it. *Keep files* shows them at work.",
        (
            "mooring.faces.storage:Storage",
            "mooring.faces.storage:AsyncStorage",
            "mooring.faces.storage:Download",
            "mooring.faces.storage:AsyncDownload",
            "mooring.contracts.storage:*",
            "mooring.contracts.checksum:Checksum",
            "mooring.contracts.checksum:ChecksumAlgorithm",
            "mooring.contracts.signed:*",
            *_vendors("storage"),
            "mooring.vendors.local_files:Grant",
            "mooring.testing.storage_conformance:Subject",
        ),
    ),
    Page(
        "payments",
        "Payments",
        "What is paid, what became of it, and who takes it. *Take payments* shows them at work.",
        (
            "mooring.faces.payments:Payments",
            "mooring.faces.payments:AsyncPayments",
            "mooring.contracts.payments.asking:*",
            "mooring.contracts.payments.values:*",
            "mooring.contracts.payments.states:*",
            "mooring.contracts.payments.news:PaymentEvent",
            "mooring.contracts.payments.news:advance",
            "mooring.contracts.payments.news:state_of",
            "mooring.contracts.payments.buyers:*",
            "mooring.contracts.payments.buyers:told_buyer",
            "mooring.contracts.payments.minor:MinorUnits",
            "mooring.contracts.payments.vendor:*",
            *_vendors("payments"),
            "mooring.testing.payments_conformance:PaymentsSubject",
        ),
    ),
    Page(
        "sandboxes",
        "Sandboxes",
        "What every sandbox of a vendor is made of, and how it is reached. Each vendor's own is on"
        " the page of its contract.",
        ("mooring.testing.sandbox.base:*",),
    ),
    Page("values", "Values", "What travels through calls.", ("Money",)),
    Page(
        "errors",
        "Errors",
        "Everything that can go wrong. *Troubleshooting* says what to do about each.",
        ("mooring.errors:*",),
    ),
    Page(
        "ports",
        "Ports",
        "What mooring asks of its host. An implementer keeps what the docstring says, and the"
        " conformance kits check it.",
        (
            "mooring.ports.http:*",
            "mooring.ports.state:*",
            "mooring.domain.state:Command",
            "mooring.ports.credentials:*",
            "mooring.ports.cipher:*",
            "mooring.ports.secret_manager:*",
            "mooring.ports.webhook_secrets:*",
            "mooring.ports.cache:*",
            "mooring.domain.caching:Found",
            "mooring.domain.caching:CacheEntry",
            "mooring.ports.integration_log:*",
            "mooring.ports.observer:*",
            "mooring.ports.clock:*",
            "mooring.ports.chance:*",
            "mooring.ports.locks:*",
            "mooring.ports.gather:*",
        ),
    ),
    Page(
        "adapters",
        "Adapters",
        "What stands behind the ports where a host gives nothing of its own.",
        (
            "mooring.opening:*",
            "mooring.adapters.environment_proxy:environment_proxy",
            "mooring.adapters.memory:*",
            "mooring.adapters.sqlite:SqliteStorage",
            "mooring.adapters.sqlite:AsyncSqliteStorage",
            "mooring.adapters.redis:RedisStorage",
            "mooring.adapters.redis:AsyncRedisStorage",
            "mooring.adapters.sql:SqlStorage",
            "mooring.adapters.sql:AsyncSqlStorage",
            "mooring.adapters.memory_cache:MemoryCache",
            "mooring.adapters.memory_cache:AsyncMemoryCache",
            "mooring.adapters.sealed_cache:SealedCache",
            "mooring.adapters.sealed_cache:AsyncSealedCache",
            "mooring.adapters.memory_log:*",
            "mooring.adapters.memory_credentials:MemoryCredentialProvider",
            "mooring.adapters.memory_credentials:AsyncMemoryCredentialProvider",
            "mooring.adapters.environment_credentials:EnvironmentCredentialProvider",
            "mooring.adapters.environment_credentials:AsyncEnvironmentCredentialProvider",
            "mooring.adapters.file_credentials:FileCredentialProvider",
            "mooring.adapters.file_credentials:AsyncFileCredentialProvider",
            "mooring.adapters.sqlite_credentials:SqliteCredentialProvider",
            "mooring.adapters.sqlite_credentials:AsyncSqliteCredentialProvider",
            "mooring.adapters.sql_credentials:SqlCredentialProvider",
            "mooring.adapters.sql_credentials:AsyncSqlCredentialProvider",
            "mooring.adapters.managed_credentials:ManagedCredentialProvider",
            "mooring.adapters.managed_credentials:AsyncManagedCredentialProvider",
            "mooring.adapters.hashicorp_vault:*",
            "mooring.adapters.aws_secrets_manager:*",
            "mooring.adapters.aws_identity:*",
            "mooring.adapters.gcp_secret_manager:*",
            "mooring.adapters.azure_key_vault:*",
            "mooring.adapters.keyring_credentials:KeyringCredentialProvider",
            "mooring.adapters.keyring_credentials:AsyncKeyringCredentialProvider",
            "mooring.adapters.cached_credentials:CachedCredentials",
            "mooring.adapters.cached_credentials:AsyncCachedCredentials",
            "mooring.adapters.webhook_secrets:StaticWebhookSecrets",
            "mooring.adapters.webhook_secrets:AsyncStaticWebhookSecrets",
            "mooring.adapters.aes_gcm:generate_keys",
            "mooring.adapters.aes_gcm:AesGcmCipher",
            "mooring.adapters.stdlib_http:StdlibHttpClient",
            "mooring.adapters.stdlib_http_async:AsyncStdlibHttpClient",
            "mooring.adapters.pyreqwest_http:PyreqwestHttpClient",
            "mooring.adapters.pyreqwest_http_async:AsyncPyreqwestHttpClient",
            "mooring.adapters.httpx2_http:Httpx2HttpClient",
            "mooring.adapters.httpx2_http:AsyncHttpx2HttpClient",
            "mooring.adapters.requests_http:RequestsHttpClient",
            "mooring.adapters.aiohttp_http:AsyncAiohttpHttpClient",
            "mooring.adapters.clock:*",
            "mooring.adapters.clock_async:*",
            "mooring.adapters.chance:*",
        ),
    ),
    Page(
        "testing",
        "Testing",
        "Vendors that do what they are told, time that passes when it is told, and kits that check"
        " adapters.",
        (
            *(f"mooring.testing:{name}" for name in testing.__all__),
            "mooring.testing.pytest_plugin:",
        ),
    ),
)

_SECTIONS: Final = {"Args": "Parameters", "Attributes": "Attributes", "Raises": "Raises"}
_ITEM: Final = re.compile(r"([*\w][\w*., ]*): (.*)", re.DOTALL)
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
_HEADING: Final = re.compile(r"^## `?(\w+)`?$", re.MULTILINE)


# What mooring makes and a user only holds: how it is built is nobody's business.
_HELD: Final = frozenset(
    {
        "AsyncDownload",
        "AsyncStreamedAnswer",
        "Attempt",
        "Download",
        "Entry",
        "Receipt",
        "Reservation",
        "StreamedAnswer",
    }
)


class _Shown(NamedTuple):
    """An annotation that is written as it was, without quotes."""

    text: str

    def __repr__(self) -> str:
        return self.text

    @classmethod
    def of(cls, parameter: inspect.Parameter) -> Any:
        shown = _annotation(parameter.annotation, "")
        return cls(shown) if shown else inspect.Parameter.empty


def found(name: str) -> list[tuple[str, Any]]:
    """What an entry of a page stands for: names and objects."""
    module, colon, wanted = name.partition(":")
    if not colon:
        return [(name, getattr(mooring, name))]
    home = importlib.import_module(module)
    if not wanted:
        return [(module, home)]
    if wanted != "*":
        return [(wanted, getattr(home, wanted))]
    return list(_public(home))


def text_of(page: Page) -> str:
    """A page as markdown."""
    parts = [f"# {page.title}", page.about]
    for entry in page.names:
        for name, value in found(entry):
            homes = (mooring, testing)
            exported = [home.__name__ for home in homes if name in home.__all__]
            home = exported[0] if exported else getattr(value, "__module__", "")
            parts.extend(_described(name, value, home))
    return "\n\n".join(parts) + "\n"


def _described(name: str, value: Any, home: str) -> Iterator[str]:
    yield f"## {name}"
    if inspect.ismodule(value):
        yield _prose(value)
        return
    yield f"```text\nfrom {home} import {name}\n```"
    if isinstance(value, type) and issubclass(value, enum.Enum):
        yield _prose(value)
        yield "\n".join(f"- `{name}.{member.name}`" for member in value)
    elif isinstance(value, type):
        shown = _shape(name, value)
        if shown and name not in _HELD:
            yield f"```text\n{shown}\n```"
        yield _prose(value)
    for member, thing, kind in _members(value):
        about = _prose(thing)
        if not about and _is_protocol(value):
            continue  # Its signature stands above, and the port's docstring speaks for all.
        yield f"### {name}.{member}"
        if kind != "property":
            yield f"```text\n{kind}{_of_call(member, thing)}\n```"
        if about:
            yield about


def _is_protocol(value: object) -> bool:
    return bool(getattr(value, "_is_protocol", False))


def _shape(name: str, kind: type[Any]) -> str:
    """How a class is called, or what a port asks for."""
    if _is_protocol(kind):
        lines = [
            f"{member}{_annotation(inspect.signature(thing.fget).return_annotation, ': ')}"
            if how == "property"
            else f"{how}{_of_call(member, thing)}"
            for member, thing, how in _members(kind)
        ]
        return "\n".join(lines)
    return _of_attrs(kind) if attrs.has(kind) else _of_call(name, kind)


def _of_call(name: str, value: Callable[..., Any]) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    given = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.name not in {"self", "cls"}
    ]
    if not given and isinstance(value, type):
        return ""
    returns = "" if isinstance(value, type) else _annotation(signature.return_annotation, " -> ")
    given = [parameter.replace(annotation=_Shown.of(parameter)) for parameter in given]
    # Laid out by `Signature` itself, so that `/` and `*` stand where they belong.
    line = str(signature.replace(parameters=given, return_annotation=inspect.Signature.empty))
    line = _ADDRESS.sub("", f"{name}{line}{returns}")
    if len(line) <= 90 or not given:
        return line
    shown = line[len(name) + 1 : line.rindex(")")]
    return f"{name}(\n    " + ",\n    ".join(_split(shown)) + f"\n){returns}"


def _split(parameters: str) -> Iterator[str]:
    depth, begin = 0, 0
    for place, letter in enumerate(parameters):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            yield parameters[begin:place].strip()
            begin = place + 1
    yield parameters[begin:].strip()


def _of_attrs(kind: type[Any]) -> str:
    lines: list[str] = []
    keywords = False
    for field in attrs.fields(kind):
        if not field.init:
            continue
        if field.kw_only and not keywords:
            lines.append("*,")
            keywords = True
        shown = f"{(field.alias or field.name).lstrip('_')}: {_annotation(field.type, '')}"
        if field.default is not attrs.NOTHING:
            shown += f" = {_default(field)}"
        lines.append(shown + ",")
    return f"{kind.__name__}(\n    " + "\n    ".join(lines) + "\n)" if lines else ""


def _default(field: Any) -> str:
    default = field.default
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class in truth
        return str(default) if isinstance(default, enum.Enum) else repr(default)
    if default.takes_self:
        return "…"
    made = default.factory()
    return f"{type(made).__name__}()"


def _annotation(annotation: object, before: str) -> str:
    if annotation is inspect.Signature.empty or annotation is None:
        return ""
    shown = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", None)
    return before + (shown or str(annotation))


def _members(value: Any) -> Iterator[tuple[str, Any, str]]:
    """Public methods and properties, of the class itself and of what it shares with its kind."""
    seen: set[str] = set()
    for kind in value.__mro__ if isinstance(value, type) else ():
        if not kind.__module__.startswith("mooring") or issubclass(kind, enum.Enum) is not (
            issubclass(value, enum.Enum)
        ):
            continue
        for name, thing in vars(kind).items():
            if name.startswith("_") or name in seen:
                continue
            seen.add(name)
            if isinstance(thing, property):
                yield name, thing, "property"
            elif isinstance(thing, (classmethod, staticmethod)):
                yield name, thing.__func__, ""
            elif inspect.isfunction(thing):
                yield name, thing, "async " if inspect.iscoroutinefunction(thing) else ""


def _prose(value: object) -> str:
    """A docstring as markdown: its sections become lists."""
    own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
    lines = inspect.cleandoc(own or "").split("\n")
    parts: list[str] = []
    place = 0
    while place < len(lines):
        section = _SECTIONS.get(lines[place].rstrip().removesuffix(":"))
        if section is None or not lines[place].endswith(":"):
            parts.append(lines[place])
            place += 1
            continue
        place += 1
        block: list[str] = []
        while place < len(lines) and (lines[place].startswith("    ") or not lines[place]):
            block.append(lines[place][4:])
            place += 1
        parts.extend(("", f"{section}:", "", *_items(block), ""))
    return "\n".join(parts).strip()


def _items(block: list[str]) -> Iterator[str]:
    for item in re.split(r"\n(?=\S)", "\n".join(block).strip()):
        known = _ITEM.fullmatch(item)
        text = re.sub(r"\s*\n\s*", " ", known[2] if known else item)
        names = ", ".join(f"`{name}`" for name in known[1].split(", ")) if known else ""
        yield f"- {names}: {text}" if names else f"- {text}"


def pages() -> dict[str, str]:
    """Every page of the reference, by its path in the site."""
    return {f"reference/{page.path}.md": text_of(page) for page in PAGES}


def error_facts(name: str) -> str | None:
    """What an error class says about itself, for the page on troubleshooting."""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.ConnectorError)):
        return None
    happened = inspect.cleandoc(kind.__dict__["__doc__"]).split("\n\n")[0].replace("\n", " ")
    later = "yes" if kind.retryable else "no"
    return (
        f"**What happened.** {happened}\n\n**What to do.** {kind.remedy}\n\n"
        f"**May succeed later.** {later.capitalize()}, unless the error itself says otherwise."
    )


def with_error_facts(markdown: str) -> str:
    """The page on troubleshooting, with the facts under the heading of each error."""

    def told(heading: re.Match[str]) -> str:
        facts = error_facts(heading[1])
        return heading[0] if facts is None else f"{heading[0]}\n\n{facts}"

    return _HEADING.sub(told, markdown)


def event_classes() -> list[str]:
    """The names of all events."""
    return [name for name, _ in found(f"{events.__name__}:*")]


def on_files(files: Any, config: Any) -> Any:
    """Add the reference to the site: a hook that mkdocs calls."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - only the docs build has mkdocs

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Let the errors speak for themselves: a hook that mkdocs calls."""
    if page.file.src_uri == "troubleshooting.md":
        return with_error_facts(markdown)
    return markdown


def main(folder: Path) -> None:
    """Write every page below `folder`."""
    for path, text in pages().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/reference"))
