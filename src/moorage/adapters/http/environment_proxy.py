"""Reads the proxy from environment variables, for callers that request this."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from moorage.domain.http.transport import Proxy
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def environment_proxy(
    scheme: Literal["http", "https"] = "https", *, environ: Mapping[str, str] | None = None
) -> Proxy | None:
    """Return the proxy that the environment sets for URLs with this scheme; None if unset.

    `https_proxy`, or else `all_proxy`, contains the proxy's URL, and `no_proxy` the hosts to reach
    directly; each name may be in capitals. `HTTP_PROXY` in capitals is ignored in a CGI program,
    because the sender of the request sets it.

    Raises:
        ConfigurationError: the variable is not a valid proxy. The message does not repeat it.
    """
    for name in _names(scheme, cgi=_read_variable("REQUEST_METHOD", environ) is not None):
        url = _read_variable(name, environ)
        if url:
            return _proxy(name, url, environ)
    return None


def _names(scheme: str, *, cgi: bool) -> Iterator[str]:
    for name in (f"{scheme}_proxy", "all_proxy"):
        yield name
        if not (cgi and name == "http_proxy"):
            yield name.upper()


def _read_variable(name: str, environ: Mapping[str, str] | None) -> Secret | None:
    value = (os.environ if environ is None else environ).get(name)
    return None if value is None else Secret(value.strip())


def _proxy(name: str, url: Secret, environ: Mapping[str, str] | None) -> Proxy:
    if "://" not in url.reveal():
        url = Secret(f"http://{url.reveal()}")
    bypass = (
        _read_variable("no_proxy", environ) or _read_variable("NO_PROXY", environ) or Secret("")
    )
    try:
        return Proxy.at(url, bypass=bypass.reveal())
    except ConfigurationError as error:
        location = "no_proxy" if error.path == "bypass" else name
        raise ConfigurationError(error.message, path=location, remedy=error.remedy) from None
