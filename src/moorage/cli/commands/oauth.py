"""`moorage oauth login`: a person's consent from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.loopback import LoopbackListener
from moorage.cli.numbers import Port, Seconds
from moorage.cli.oauth_client import Client
from moorage.cli.vaults import open_vault
from moorage.errors import ConfigurationError
from moorage.parts.oauth_consent import OAuthConsent

if TYPE_CHECKING:
    from moorage.domain.oauth.token_answer import Granted

_TIMEOUT: Final = 600.0


def login(
    *,
    client: Client,
    authorize_url: str | None = None,
    device_url: str | None = None,
    scope: str = "",
    parameter: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = (),
    device: bool = False,
    port: Port = 0,
    open_browser: Annotated[bool, Parameter("--open")] = False,
    timeout: Seconds = _TIMEOUT,
    migrate: bool = False,
    context: Context,
) -> CommandResult:
    """Ask a person for consent and store the resulting tokens.

    The person consents in a browser or on another device. The tokens are encrypted with
    MOORAGE_KEYS.

    Args:
        client: the OAuth client and its authorisation server.
        authorize_url: the authorisation endpoint, without --issuer.
        device_url: the device authorisation endpoint, without --issuer.
        scope: the scopes to request, separated by spaces.
        parameter: a further parameter, as NAME=VALUE, such as prompt=consent; may be repeated.
        device: show a code to enter on another device.
        port: the redirect port on 127.0.0.1; by default any free one.
        open_browser: open the URL in this machine's browser.
        timeout: seconds to wait for the person.
        migrate: update the schema of the credential store first.
        context: the options that all commands share.
    """
    parameters = dict(_pair(pair) for pair in parameter)
    vault = open_vault(client.credentials, migrate=migrate)
    # Errors must be raised before the person is asked to act.
    vault.has(client.service, client.tenant)
    endpoints = {
        "authorization_endpoint": authorize_url,
        "device_authorization_endpoint": device_url,
    }
    consent = OAuthConsent(client.at(endpoints, scope=scope))
    if device:
        prompt = consent.begin_device(parameters=parameters)
        context.print_progress(
            f"Visit {prompt.verification_uri} and enter the code {prompt.user_code}"
        )
        if open_browser:
            _browse(prompt.verification_uri_complete or prompt.verification_uri)
        grant = consent.finish_device(prompt, timeout=timeout)
    else:
        grant = _with_browser(
            consent, parameters, port, timeout, context, open_browser=open_browser
        )
    vault.rotate(client.service, client.tenant, grant.credentials)
    return CommandResult(client.owner, [f"tokens stored for {client.owner_text}"])


def _with_browser(
    consent: OAuthConsent,
    parameters: dict[str, str],
    port: int,
    timeout: float,
    context: Context,
    *,
    open_browser: bool,
) -> Granted:
    with LoopbackListener(port) as listener:
        url, pending_consent = consent.begin(listener.url, parameters=parameters)
        context.print_progress(f"Open this URL in a browser on this machine:\n\n{url}\n")
        if open_browser:
            _browse(url)
        callback = listener.wait(timeout)
    return consent.finish(callback, pending_consent)


def _browse(url: str) -> None:
    import webbrowser  # noqa: PLC0415 - searches for browsers when it is imported

    webbrowser.open(url)


def _pair(text: str) -> tuple[str, str]:
    name, equals_sign, value = text.partition("=")
    if not name or not equals_sign:
        raise ConfigurationError(
            "--parameter needs the form NAME=VALUE.",
            path="--parameter",
            remedy="Pass for example --parameter prompt=consent.",
        )
    return name, value
