"""The requests that a configuration's accounts and services send."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

import attrs

from moorage.contracts.email_address import EmailAddress
from moorage.domain.auth.methods import AuthMethod, Credentials
from moorage.domain.secrets.sensitive import is_secret_segment, is_sensitive
from moorage.errors import ConfigurationError
from moorage.exporting.described_requests import (
    DescribedRequest,
    Description,
    Slot,
    VariablePrefixes,
    variable,
    variable_in_braces,
)
from moorage.exporting.hiding import ValueHiding, texts_of
from moorage.exporting.paths import path_of
from moorage.exporting.recording import recorded_exchanges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.config import Configured
    from moorage.contracts.routes import Account
    from moorage.contracts.vendor import Vendor
    from moorage.domain.service.settings import Endpoint, Service
    from moorage.exporting.described_requests import Pairs
    from moorage.exporting.recording import Exchange

_COMPUTED_METHODS: Final = frozenset(
    {
        AuthMethod.NONE,
        AuthMethod.MTLS,
        AuthMethod.DIGEST,
        AuthMethod.NEGOTIATE,
        AuthMethod.API_KEY_PATH,
        AuthMethod.API_KEY_BODY,
    }
)
"""The methods for which no fixed value of a header or the query can be written down."""

_NO_HTTP: Final = "The vendor of this account is not called over HTTP."


def describe_requests(configured: Configured) -> Description:
    """Return all requests that a configuration's accounts and services send."""
    requests: list[DescribedRequest] = []
    variables: dict[str, str] = {}
    silence_reasons: dict[str, str] = {}
    exchanges_by_vendor: dict[str, list[Exchange]] = {}
    prefixes = VariablePrefixes()
    for account in configured.accounts:
        prefix = prefixes.add(account.name)
        vendor = account.vendor.name
        try:
            exchanges = (
                exchanges_by_vendor[vendor]
                if vendor in exchanges_by_vendor
                else recorded_exchanges(vendor)
            )
        except ConfigurationError as error:
            silence_reasons[account.name] = str(error)
            continue
        exchanges_by_vendor[vendor] = exchanges
        if not exchanges:
            silence_reasons[account.name] = _NO_HTTP
        for exchange in exchanges:
            request, used_variables = _of_account(account, exchange, prefix)
            requests.append(request)
            variables = {**used_variables, **variables}
    for service in configured.services:
        for request, used_variables in _of_service(service, prefixes):
            requests.append(request)
            variables = {**used_variables, **variables}
    return Description(
        sent=tuple(_distinct_requests(requests)),
        variables=dict(sorted(variables.items())),
        silent=silence_reasons,
    )


def _distinct_requests(sent: Iterable[DescribedRequest]) -> Iterable[DescribedRequest]:
    """Drop requests that differ only in purpose, keeping the first."""
    first_requests: dict[str, DescribedRequest] = {}
    for request in sent:
        first_requests.setdefault(repr(attrs.evolve(request, use="")), request)
    return first_requests.values()


def _of_account(
    account: Account, exchange: Exchange, prefix: str
) -> tuple[DescribedRequest, dict[str, str]]:
    """Return a request of an account with its variables, whose names begin with `prefix`."""
    names_by_value = dict(texts_of(exchange.options, prefix))
    own_services, foreign_services = exchange.vendor.services(), account.vendor.services()
    key_headers = {
        sent_request.idempotency_header
        for sent_request in own_services.values()
        if sent_request.idempotency_header
    }
    hiding = ValueHiding(prefix, names_by_value, frozenset(name.lower() for name in key_headers))
    parts = urlsplit(exchange.url)
    service_name = _server(exchange.url, own_services)
    if service_name is None:
        server, url, base = variable(prefix, parts.netloc), f"https://{parts.netloc}", ""
    else:
        server = variable(prefix, service_name, "url")
        url = (
            str(foreign_services[service_name].base_url)
            if service_name in foreign_services
            else str(own_services[service_name].base_url)
        )
        base = urlsplit(str(own_services[service_name].base_url)).path.rstrip("/")
    path, slots = path_of(parts.path, exchange.route, base, prefix, names_by_value)
    media, body = hiding.body(exchange.request)
    sent_request = DescribedRequest(
        owner=account.name,
        use=exchange.use,
        method=exchange.request.method.value,
        server=server,
        path=path,
        query=hiding.pairs(parse_qsl(parts.query, keep_blank_values=True)),
        headers=(
            *hiding.headers(exchange.request),
            *(
                (name, hiding.put(variable_name))
                for name, variable_name in _own_headers(account, prefix).items()
            ),
        ),
        media=media,
        body=body,
        status=exchange.response.status,
    )
    public_values = _public_names(account.vendor, prefix)
    slots = {name: value for name, value in slots.items() if name not in names_by_value.values()}
    used_variables = {name: public_values.get(name, "") for name in hiding.used | _variables(path)}
    url, secrets = _without_secrets(url.rstrip("/"), prefix)
    return sent_request, {**used_variables, **slots, **secrets, server: url}


def _variables(path: Iterable[str | Slot]) -> set[str]:
    return {part.variable for part in path if isinstance(part, Slot)}


def _server(url: str, services: Mapping[str, Service]) -> str | None:
    """Return the service whose base URL is the longest one that a URL begins with."""
    matching_services = [
        (len(service.base_url), name)
        for name, service in services.items()
        if service.base_url is not None and url.startswith(service.base_url)
    ]
    return max(matching_services)[1] if matching_services else None


def _public_names(vendor: Vendor, owner: str) -> dict[str, str]:
    """Return an account's options that are not secret, by the variables that replace them."""
    fields = attrs.fields(cast("Any", type(vendor)))
    options = {field.name: getattr(vendor, field.name) for field in fields}
    texts = {
        name: value.email if isinstance(value, EmailAddress) else value
        for name, value in options.items()
    }
    return {
        variable(owner, name): value
        for name, value in texts.items()
        if isinstance(value, str) and not is_sensitive(name)
    }


def _own_headers(account: Account, prefix: str) -> dict[str, str]:
    """Return the headers that the configuration adds, with variables in place of values."""
    headers: Mapping[str, str] = account.settings.get("headers", {})
    return {name: variable(prefix, name) for name in headers}


def _of_service(
    service: Service, prefixes: VariablePrefixes
) -> Iterable[tuple[DescribedRequest, dict[str, str]]]:
    prefix = prefixes.add(service.name)
    for region in service.regions:
        server = prefixes.add(variable(prefix, region.name))
        yield from _of_server(service, region.base_url, server, prefix)
    if service.base_url is not None:
        yield from _of_server(service, service.base_url, prefix, prefix)


def _of_server(
    service: Service, base_url: str, server_prefix: str, prefix: str
) -> Iterable[tuple[DescribedRequest, dict[str, str]]]:
    """Yield the requests to one server of a service, with the variables of each.

    Args:
        service: the service.
        base_url: the URL of the server.
        server_prefix: the prefix of the variables of the server.
        prefix: the prefix of the variables of the service.
    """
    server = variable(server_prefix, "url")
    url, secrets = _without_secrets(base_url.rstrip("/"), server_prefix)
    headers, query, used_variables = _identity(service, prefix)
    for endpoint in service.endpoints or (None,):
        path, slots = _of_endpoint(endpoint, prefix)
        request = DescribedRequest(
            owner=service.name,
            use="anything" if endpoint is None else endpoint.name,
            method="GET" if endpoint is None else str(endpoint.method or "GET"),
            server=server,
            path=path,
            query=query,
            headers=headers,
        )
        yield request, {**used_variables, **slots, **secrets, server: url}


def _without_secrets(base_url: str, owner: str) -> tuple[str, dict[str, str]]:
    """Return a service's URL with variables instead of credentials, and these variables."""
    address, *segments = re.split(r"(?<=[^/:])/", base_url)
    masked_segments = [address]
    variables: dict[str, str] = {}
    for previous_segment, segment in pairwise(["", *segments]):
        name = variable(owner, f"url_secret_{len(masked_segments)}")
        secret = is_secret_segment(segment, previous_segment)
        masked_segments.append(variable_in_braces(name) if secret else segment)
        variables |= {name: ""} if secret else {}
    return "/".join(masked_segments), variables


def _of_endpoint(
    endpoint: Endpoint | None, owner: str
) -> tuple[tuple[str | Slot, ...], dict[str, str]]:
    text = "/" if endpoint is None or endpoint.path is None else endpoint.path
    pieces: list[str | Slot] = []
    for previous_segment, part in pairwise(text.split("/")):
        pieces.append("/")
        if part[:1] == "{" and part[-1:] == "}":
            name = part[1:-1]
            if any(isinstance(piece, Slot) and piece.name == name for piece in pieces):
                name = f"{name}_{len(pieces)}"
            pieces.append(Slot(name, variable(owner, name)))
        elif is_secret_segment(part, previous_segment):
            name = f"secret_{len(pieces)}"
            pieces.append(Slot(name, variable(owner, name)))
        elif part:
            pieces.append(part)
    return tuple(pieces), dict.fromkeys(_variables(pieces), "")


def _identity(service: Service, prefix: str) -> tuple[Pairs, Pairs, dict[str, str]]:
    """Return a service's credentials and fixed headers, with empty variables in place of values."""
    names = {name: variable(prefix, name) for name in service.headers}
    headers = [(name, variable_in_braces(variable_name)) for name, variable_name in names.items()]
    query: list[tuple[str, str]] = []
    credentials = service.credentials if isinstance(service.credentials, Credentials) else None
    method = AuthMethod.BEARER if credentials is None else credentials.method
    secret = variable(prefix, "credentials")
    if credentials is not None and credentials.name and method is AuthMethod.API_KEY_HEADER:
        headers.append((credentials.name, variable_in_braces(secret)))
    elif credentials is not None and credentials.name and method is AuthMethod.API_KEY_QUERY:
        query.append((credentials.name, variable_in_braces(secret)))
    elif method in _COMPUTED_METHODS or (
        service.credentials is None and not service.needs_credentials
    ):
        return tuple(headers), (), dict.fromkeys(names.values(), "")
    else:
        scheme = {AuthMethod.BASIC: "Basic ", AuthMethod.BEARER: "Bearer "}.get(method, "")
        headers.append(("Authorization", f"{scheme}{variable_in_braces(secret)}"))
    return tuple(headers), tuple(query), dict.fromkeys((*names.values(), secret), "")
