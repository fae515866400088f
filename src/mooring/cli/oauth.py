"""`mooring oauth login` and `revoke`: a person's consent from the command line, and its end."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from mooring.adapters.aes_gcm import AesGcmCipher
from mooring.adapters.sqlite_credentials import SqliteCredentialProvider
from mooring.adapters.stdlib_http import StdlibHttpClient
from mooring.cli.loopback import Loopback
from mooring.discovery import discover
from mooring.domain.oauth.client import OAuthClient
from mooring.domain.oauth.grants import Consent
from mooring.domain.oauth.server import AuthorizationServer
from mooring.domain.sealing import KeyRing
from mooring.domain.secret import Secret
from mooring.errors import ConfigurationError
from mooring.opening import open_storage
from mooring.parts.oauth_consent import OAuthConsent
from mooring.parts.oauth_token_refresher import OAuthTokenRefresher

if TYPE_CHECKING:
    import argparse

    from mooring.domain.oauth.token_answer import Granted

_SQLITE: Final = "sqlite:///"
_TIMEOUT: Final = 600.0


def add_oauth(commands: Any) -> None:
    """Add the commands to those there are."""
    oauth = commands.add_parser(
        "oauth",
        help="get tokens by a person's consent, or give them back",
        description="Get tokens by a person's consent, or give them back.",
    ).add_subparsers(required=True, metavar="command")
    entering = oauth.add_parser(
        "login",
        help="have a person consent, and store the tokens",
        description="Have a person consent in a browser, or with another device, and store the"
        " tokens that this brings, sealed with MOORING_KEYS.",
    )
    _add_common(entering)
    entering.add_argument("--authorize-url", help="where the person is sent, without --issuer")
    entering.add_argument("--device-url", help="where a device begins, without --issuer")
    entering.add_argument("--scope", default="", help="what to ask for, separated by spaces")
    entering.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what else to say, such as prompt=consent or audience=…; may be repeated",
    )
    entering.add_argument("--device", action="store_true", help="show a code for another device")
    entering.add_argument(
        "--port", type=int, default=0, help="of 127.0.0.1 to come back to; any by default"
    )
    entering.add_argument("--open", action="store_true", help="open the URL in a browser here")
    entering.add_argument(
        "--timeout", type=float, default=_TIMEOUT, help="seconds to wait for the person"
    )
    entering.set_defaults(run=login)
    leaving = oauth.add_parser(
        "revoke",
        help="give stored tokens back to the server",
        description="Give stored tokens back to the server, so that nobody can use them any more.",
    )
    _add_common(leaving)
    leaving.add_argument("--revoke-url", help="where tokens are given back, without --issuer")
    leaving.add_argument(
        "--state", metavar="URL", help="where those who renew agree, such as redis://…"
    )
    leaving.set_defaults(run=revoke)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--issuer", help="of the authorisation server, which describes itself")
    parser.add_argument("--token-url", help="its token endpoint, without --issuer")
    parser.add_argument("--client-id", required=True, help="who we are there")
    parser.add_argument(
        "--secret-env", metavar="NAME", help="the environment variable with the client's secret"
    )
    parser.add_argument("--service", required=True, help="the service that the tokens are for")
    parser.add_argument("--tenant", help="whose tokens they are")
    parser.add_argument(
        "--credentials",
        required=True,
        metavar="URL",
        help="where tokens are kept: sqlite:///file.db, postgresql://…, mariadb://… or mysql://…",
    )


def login(given: argparse.Namespace) -> int:
    """Have a person consent, and store what that brings."""
    parameters = dict(_pair(one) for one in given.parameter)
    vault = _vault(given.credentials)
    # Before anybody is bothered.
    vault.has(given.service, given.tenant)
    consent = OAuthConsent(_client(given, scope=given.scope))
    if given.device:
        granted = _with_device(consent, parameters, given)
    else:
        granted = _with_browser(consent, parameters, given)
    vault.rotate(given.service, given.tenant, granted.credentials)
    print(f"tokens stored for {_named(given)}")
    return 0


def revoke(given: argparse.Namespace) -> int:
    """Give stored tokens back."""
    client = _client(given, grant=Consent())
    with ExitStack() as closing:
        http = closing.enter_context(StdlibHttpClient())
        storage = None if given.state is None else closing.enter_context(open_storage(given.state))
        tokens = OAuthTokenRefresher(
            {(given.service, given.tenant): client},
            vault=_vault(given.credentials),
            storage=storage,
            http=http,
        )
        tokens.revoke(given.service, given.tenant)
    print(f"tokens revoked for {_named(given)}")
    return 0


def _with_browser(
    consent: OAuthConsent, parameters: dict[str, str], given: argparse.Namespace
) -> Granted:
    with Loopback(given.port) as listener:
        url, pending = consent.begin(listener.url, parameters=parameters)
        print(f"Open this URL in a browser on this machine:\n\n{url}\n", flush=True)
        if given.open:
            import webbrowser  # noqa: PLC0415 - asks the machine what it has

            webbrowser.open(url)
        callback = listener.wait(given.timeout)
    return consent.finish(callback, pending)


def _with_device(
    consent: OAuthConsent, parameters: dict[str, str], given: argparse.Namespace
) -> Granted:
    device = consent.begin_device(parameters=parameters)
    print(f"Visit {device.verification_uri} and enter the code {device.user_code}", flush=True)
    if given.open:
        import webbrowser  # noqa: PLC0415 - asks the machine what it has

        webbrowser.open(device.verification_uri_complete or device.verification_uri)
    return consent.finish_device(device, timeout=given.timeout)


def _client(given: argparse.Namespace, **how: Any) -> OAuthClient:
    return OAuthClient(
        server=_server(given), client_id=given.client_id, secret=_secret(given.secret_env), **how
    )


def _server(given: argparse.Namespace) -> AuthorizationServer:
    if (given.issuer is None) == (given.token_url is None):
        raise ConfigurationError(
            "the authorisation server must be named once.",
            path="--issuer",
            remedy="Give --issuer; or --token-url and the other endpoints that are needed.",
        )
    if given.issuer is not None:
        return discover(given.issuer)
    return AuthorizationServer(
        token_endpoint=given.token_url,
        authorization_endpoint=getattr(given, "authorize_url", None),
        device_authorization_endpoint=getattr(given, "device_url", None),
        revocation_endpoint=getattr(given, "revoke_url", None),
    )


def _secret(name: str | None) -> Secret | None:
    if name is None:
        return None
    if not os.environ.get(name):
        raise ConfigurationError(
            f"the environment variable {name} is empty or not set.",
            path="--secret-env",
            remedy="Put the client's secret into it; or leave the option out for a public client.",
        )
    return Secret(os.environ[name])


def _vault(url: str) -> Any:
    cipher = AesGcmCipher(KeyRing.from_environment(os.environ))
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return SqliteCredentialProvider(url.removeprefix(_SQLITE), cipher)
    if "://" not in url or url.startswith(_SQLITE):
        raise ConfigurationError(
            "this names no store of credentials.",
            path="--credentials",
            remedy="Give sqlite:///file.db, postgresql://…, mariadb://… or mysql://….",
        )
    try:
        from mooring.adapters.sql_credentials import (  # noqa: PLC0415 - needs an extra
            SqlCredentialProvider,
        )
    except ImportError as error:
        raise ConfigurationError(
            f"a store of credentials in a database needs {error.name}, which is not installed.",
            path="--credentials",
            remedy="Install mooring[postgresql] or mooring[mysql].",
        ) from None
    return SqlCredentialProvider(url, cipher)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigurationError(
            "a parameter is not of the form NAME=VALUE.",
            path="--parameter",
            remedy="Give for instance --parameter prompt=consent.",
        )
    return name, value


def _named(given: argparse.Namespace) -> str:
    return given.service if given.tenant is None else f"{given.service} of {given.tenant}"
