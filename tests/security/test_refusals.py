"""Errors for misused functions contain no secret, neither in their text nor in their frames."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConnectorError, Response
from moorage.domain.webhooks.delivery import json_of
from tests.security.canaries import Canaries
from tests.security.public_callables import parameters, public_callables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CALLABLES = public_callables()
CANARIES = Canaries()
SECRET = CANARIES.plant("given")


def values() -> Iterator[Any]:
    """Return the forms in which a secret may be passed."""
    yield from (
        SECRET,
        f"{SECRET}\n",
        f" {SECRET}",
        SECRET.encode(),
        f"{SECRET}\udc80",
        f"§{SECRET}",
    )
    yield from ([SECRET], (SECRET,), {SECRET}, {1: SECRET.encode()}, {"key": SECRET}, {SECRET: 1})
    yield from ({1: {"key": [SECRET]}}, [("key", SECRET)], {"version": 1, "state": {"url": SECRET}})
    for scheme in ("https", "redis", "postgresql", "sqlite", "nonsense"):
        yield f"{scheme}://user:{SECRET}@127.0.0.1:1/x"
    yield from (f"redis://{SECRET}@127.0.0.1:1", f"https://{SECRET}@[127.0.0.1:99999/ x")


def attempts(made: Callable[..., Any]) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Yield wrong calls of a function, with unknown, missing, extra and swapped arguments."""
    taken_parameters = [
        parameter
        for parameter in parameters(made)
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    positional_names = [
        ticket.name for ticket in taken_parameters if ticket.kind is not ticket.KEYWORD_ONLY
    ]
    needed_names = [ticket.name for ticket in taken_parameters if ticket.default is ticket.empty]
    yield "unknown", (), {"unheard_of": SECRET}
    yield "too many", (SECRET,) * (len(positional_names) + 1), {}
    for value in values():
        type_name = type(value).__name__
        yield (
            f"unknown too, {type_name}",
            (),
            {**dict.fromkeys(needed_names, value), "api_key": SECRET},
        )
        yield (
            f"all, {type_name}",
            (),
            dict.fromkeys([ticket.name for ticket in taken_parameters], value),
        )
        yield f"needed, {type_name}", (), dict.fromkeys(needed_names, value)
        for item in taken_parameters:
            yield f"{item.name} alone, {type_name}", (), {item.name: value}
            yield (
                f"{item.name} first, {type_name}",
                (),
                {**dict.fromkeys(needed_names, "x"), item.name: value},
            )


@pytest.mark.untraced
@pytest.mark.parametrize("name", CALLABLES)
def test_refusal_holds_no_secret(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of any misused public class or function shows no secret."""
    monkeypatch.chdir(tmp_path)
    function = CALLABLES[name]
    fields: dict[str, None] = {}
    for description, args, options in attempts(function):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = function(*args, **options)
                if inspect.iscoroutine(result):
                    asyncio.run(result)
        except Exception as error:  # noqa: BLE001 - whatever it is
            fields |= dict.fromkeys(CANARIES.search(description, error))

    assert [] == list(fields)[:20]


def test_public_names_are_found() -> None:
    """The list of public callables is complete, and not empty."""
    names = {name.rpartition(".")[2] for name in CALLABLES}

    assert {"Service", "Credentials", "OAuthClient", "Proxy", "KeyRing", "open"} <= names
    assert {"RedisStorage", "AwsSigV4", "WebhookVerifier", "basic", "bearer"} <= names


@pytest.mark.parametrize("opened", [moorage.open, moorage.aopen])
def test_no_frame_of_configuration_error_keeps_configuration(opened: Callable[..., Any]) -> None:
    """No frame of a configuration error keeps the configuration, which may hold secrets."""
    service = {"base_url": "https://x.example", "credentials": SECRET}
    options = {"version": 1, "services": {"x": service}}
    hub = opened(options)

    async def reload(source: object) -> None:
        result = hub.reload(source)
        if inspect.isawaitable(result):
            await result

    for wrong_configuration in ({**options, "nonsense": SECRET}, {**options, SECRET: 1}, [SECRET]):
        with pytest.raises(ConnectorError) as excinfo:
            asyncio.run(reload(wrong_configuration))
        assert [] == CANARIES.search("reload", excinfo.value)
    assert [] == CANARIES.search("hub", vars(hub))


def test_parser_error_is_not_kept_as_cause() -> None:
    """A parser's error contains the whole document, so it is not the cause of the raised error."""
    document = f'{{"token": "{SECRET}", '.encode()
    for read in (Response(200, body=document).json, lambda: json_of(document)):
        with pytest.raises(ConnectorError) as excinfo:
            read()
        assert (None, None) == (excinfo.value.__cause__, excinfo.value.__context__)
