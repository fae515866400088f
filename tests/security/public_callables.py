"""All public classes and functions that may receive a secret, found by their parameters."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import moorage
from moorage.domain.secrets.sensitive import is_sensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOMS: Final = ("adapters", "vendors")
_ALONE: Final = ("wiring.store_urls", "domain.state.sealing", "testing.cassettes.cassette")
_ADDRESSES: Final = frozenset({"url", "base_url", "dsn", "address", "where", "source"})
_EXEMPT: Final = {
    "moorage.domain.http.response.Response": "made for every answer, of nothing that a host gives",
    "moorage.domain.http.body.BodyStream.of": "takes a body, which is no secret",
}


def modules() -> Iterator[Any]:
    """Return the public modules, from which applications import."""
    yield moorage
    for name in _ALONE:
        yield import_module(f"moorage.{name}")
    for room in _ROOMS:
        package = import_module(f"moorage.{room}")
        yield package
        for result in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part.startswith("_") for part in result.name.split(".")):
                yield import_module(result.name)


def public_callables() -> dict[str, Callable[..., Any]]:
    """Return the public callables that take a secret, by name."""
    fields: dict[str, Callable[..., Any]] = {}
    for module in modules():
        exported_names = [*getattr(module, "__all__", ())]
        if module is moorage:
            exported_names.append("open")  # not for a star import
        for name in exported_names or [*vars(module)]:
            value = getattr(module, name)
            text = str(getattr(value, "__module__", "")).startswith("moorage")
            if name.startswith("_") or not text or not callable(value):
                continue
            if value.__module__ != module.__name__ and module is not moorage:
                continue
            home_directory = f"{value.__module__}.{name}"
            if inspect.isclass(value) and not issubclass(value, BaseException):
                fields[home_directory] = value
                for maker, raw_value in vars(value).items():
                    if isinstance(raw_value, (classmethod, staticmethod)) and not maker.startswith(
                        "_"
                    ):
                        fields[f"{home_directory}.{maker}"] = getattr(value, maker)
            elif inspect.isfunction(value) and module.__name__ in {
                "moorage",
                "moorage.wiring.store_urls",
            }:
                fields[home_directory] = value
    return {
        name: function
        for name, function in fields.items()
        if name not in _EXEMPT and (name.endswith("open") or takes_secret(function))
    }


def parameters(made: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a callable."""
    try:
        return [*inspect.signature(made).parameters.values()]
    except (TypeError, ValueError):
        return []


def takes_secret(made: Callable[..., Any]) -> bool:
    """Return whether a callable has a parameter that is, or may contain, a secret."""
    return any(
        is_sensitive(parameter.name)
        or parameter.name in _ADDRESSES
        or "Secret" in str(parameter.annotation)
        for parameter in parameters(made)
    )
