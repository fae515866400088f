"""`moorage oauth login`: a person's consent from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.loopback import Loopback
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
    port: int = 0,
    open_browser: Annotated[bool, Parameter("--open")] = False,
    timeout: float = _TIMEOUT,
    migrate: bool = False,
    desk: Desk,
) -> Answer:
    """Have a person consent, and store the tokens that this brings.

    The person consents in a browser, or with another device. The tokens are sealed with
    MOORAGE_KEYS.

    Args:
        client: who we are, and where.
        authorize_url: where the person is sent, without --issuer.
        device_url: where a device begins, without --issuer.
        scope: what to ask for, separated by spaces.
        parameter: what else to say, as NAME=VALUE, such as prompt=consent; may be repeated.
        device: show a code for another device.
        port: of 127.0.0.1 to come back to; any that is free by default.
        open_browser: open the URL in a browser here.
        timeout: seconds to wait for the person.
        migrate: bring the schema of the store of credentials up to date first.
        desk: what all commands share.
    """
    parameters = dict(_pair(one) for one in parameter)
    vault = open_vault(client.credentials, migrate=migrate)
    # Before anybody is bothered.
    vault.has(client.service, client.tenant)
    endpoints = {
        "authorization_endpoint": authorize_url,
        "device_authorization_endpoint": device_url,
    }
    consent = OAuthConsent(client.at(endpoints, scope=scope))
    if device:
        shown = consent.begin_device(parameters=parameters)
        desk.tell(f"Visit {shown.verification_uri} and enter the code {shown.user_code}")
        if open_browser:
            _browse(shown.verification_uri_complete or shown.verification_uri)
        granted = consent.finish_device(shown, timeout=timeout)
    else:
        granted = _with_browser(consent, parameters, port, timeout, desk, opening=open_browser)
    vault.rotate(client.service, client.tenant, granted.credentials)
    return Answer(client.found, [f"tokens stored for {client.named}"])


def _with_browser(
    consent: OAuthConsent,
    parameters: dict[str, str],
    port: int,
    timeout: float,
    desk: Desk,
    *,
    opening: bool,
) -> Granted:
    with Loopback(port) as listener:
        url, pending = consent.begin(listener.url, parameters=parameters)
        desk.tell(f"Open this URL in a browser on this machine:\n\n{url}\n")
        if opening:
            _browse(url)
        callback = listener.wait(timeout)
    return consent.finish(callback, pending)


def _browse(url: str) -> None:
    import webbrowser  # noqa: PLC0415 - asks the machine what it has

    webbrowser.open(url)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigurationError(
            "a parameter is not of the form NAME=VALUE.",
            path="--parameter",
            remedy="Give for instance --parameter prompt=consent.",
        )
    return name, value
