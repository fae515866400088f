"""The default adapters of ports, which are imported and created on first use."""

from __future__ import annotations

import os
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import ForkSafeLock, in_child
from moorage.domain.values.loading import LOADING_ERRORS, not_loaded_error
from moorage.errors import CredentialNotFound, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable


_ADAPTERS: Final = "moorage.adapters."


class LazyAdapter:
    """An adapter that is created when it is first used.

    Args:
        name: the name of the adapter in messages, such as "moorage's MemoryCache".
        make: imports the adapter's module and creates the adapter.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self._name = name
        self._make = make
        self._adapter: Any = None
        self._closed = False
        self._lock = ForkSafeLock()

    def get(self) -> Any:
        """Return the adapter, and create it at the first use.

        Raises:
            LocalFailure: a module of the adapter could not be loaded, or the adapter was closed
                before its first use.
        """
        if self._adapter is None:
            with self._lock.current:
                if self._adapter is None:
                    self._adapter = self._create()
        return self._adapter

    def _create(self) -> Any:
        if self._closed:
            raise LocalFailure(
                "The manager or hub is closed.",
                remedy="Create a new manager or hub, or close this one later.",
            )
        try:
            return self._make()
        except LOADING_ERRORS as error:
            failure = error
        raise not_loaded_error(self._name, failure)

    def end(self) -> Any:
        """Return the adapter for its owner to close; if there is none, create none from now on."""
        with self._lock.current:
            self._closed = True
            return self._adapter


def is_ours(adapter: object) -> bool:
    """Return whether an adapter is one of moorage's."""
    return isinstance(adapter, LazyAdapter) or type(adapter).__module__.startswith(_ADAPTERS)


class Reporter:
    """The name under which this process reports statistics; a forked process gets a new one."""

    def __init__(self, token: Callable[[], int]) -> None:
        self._token = token
        self._name_this_process()
        in_child(self, Reporter._name_this_process)

    def _name_this_process(self) -> None:
        self._name = f"{os.getpid()}-{self._token()}"

    def __call__(self) -> str:
        """Return the name of this process, creating it at the first use."""
        return self._name


class NoCredentials:
    """The credential provider that is used if the host passes none."""

    def get(self, service: str, _: str | None, /) -> Any:
        """Raise the error for a missing credential, because this provider has none."""
        raise CredentialNotFound(
            f"The service {service!r} needs credentials, but there is no credential provider.",
            remedy="Pass `credentials=` to the manager, or set the credentials of the service.",
        )


def memory_storage(clock: Any = None) -> Any:
    """Create the store of shared state in memory."""
    from moorage.adapters.state.memory import MemoryStorage

    return MemoryStorage(clock)


def memory_cache(clock: Any = None) -> Any:
    """Create the cache in memory."""
    from moorage.adapters.cache.memory import MemoryCache

    return MemoryCache(clock)


_DEFAULTS: Final = {
    "clock": ("clocks.system", "SystemClock"),
    "sleeper": ("clocks.system", "ThreadSleeper"),
    "async sleeper": ("clocks.system_async", "AsyncioSleeper"),
    "http": ("http.stdlib.client", "StdlibHttpClient"),
    "async http": ("http.stdlib.client_async", "AsyncStdlibHttpClient"),
    "locks": ("concurrency.locks", "ThreadLocks"),
    "async locks": ("concurrency.locks_async", "AsyncioLocks"),
    "gather": ("concurrency.gather", "ThreadGather"),
    "async gather": ("concurrency.gather_async", "AsyncioGather"),
    "negotiator": ("negotiators.kerberos", "KerberosNegotiator"),
    "async negotiator": ("negotiators.kerberos", "AsyncKerberosNegotiator"),
    "ids": ("randomness", "UlidIds"),
    "randomness": ("randomness", "SystemRandomness"),
}
"""The module and the class of each embedded adapter."""


def default_adapter(name: str) -> Any:
    """Return the default adapter of a port."""
    module, kind = _DEFAULTS[name]
    return getattr(import_module(f"moorage.adapters.{module}"), kind)()


def default_adapter_name(name: str) -> str:
    """Return the name of a port's default adapter."""
    return _DEFAULTS[name][1]


def lazy_adapter(name: str) -> LazyAdapter:
    """Return a default adapter that is created when it is first used."""
    return LazyAdapter(f"moorage's {default_adapter_name(name)}", partial(default_adapter, name))
