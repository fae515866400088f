"""Calls with cached responses in memory and in a file, for the search for leaked secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage import CachePolicy, Credentials, Request, Service
from moorage.adapters.cache.sealed import AsyncSealedCache, SealedCache
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.testing.fakes.http_server import Behaviour, VendorServer

if TYPE_CHECKING:
    from moorage.testing.fakes.http_server import ReceivedRequest
    from tests.security.day import Observations


class FailingStore:
    """A store whose error message repeats its command."""

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Raise an error that repeats the command."""
        raise LookupError(command.keys)

    def post(self, command: Any, /) -> None:
        """Do nothing."""


class AsyncFailingStore(FailingStore):
    """An asynchronous store whose error message repeats its command."""

    async def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Raise an error that repeats the command."""
        raise LookupError(command.keys)


async def cached_responses(day: Observations, _: VendorServer) -> None:
    """Cache responses with secrets, for callers with several credentials."""
    add_secret = day.plant
    fields = {
        "Set-Cookie": f"sid={add_secret('kept-cookie')}",
        "Cache-Control": "max-age=60, stale-if-error=60",
        "ETag": f'"{add_secret("kept-tag")}"',
    }
    body = {"note": add_secret("kept-body")}
    good_behaviour = Behaviour.of_json(body, headers=fields)
    stale_behaviour = Behaviour.of_json(body, headers={**fields, "Age": "60"})
    cipher = AesGcmCipher(generate_keys())
    file_cache = day.pick(SqliteStorage, AsyncSqliteStorage)(day.folder / "cache.db")
    day.closing.append(file_cache)
    sealed_cache = day.pick(SealedCache, AsyncSealedCache)
    caches = {
        "memory": None,
        "file": sealed_cache(file_cache, cipher),
        "broken": sealed_cache(day.pick(FailingStore, AsyncFailingStore)(), cipher),
    }

    def answer(received: ReceivedRequest) -> Behaviour:
        if "if-none-match" in received.headers:
            return Behaviour(503)
        return stale_behaviour if "/stale" in received.target else good_behaviour

    with VendorServer() as vendor:
        vendor.always(answer)
        for kind, cache in caches.items():
            secret = Credentials.api_key(add_secret(f"kept-key-{kind}"), query="ident")
            service = Service(
                "kept", base_url=vendor.url, credentials=secret, retry=None, cache=CachePolicy()
            )
            manager = day.manager(service, cache=cache)
            day.keep(f"cache {kind}", (cache, service.cache))
            for path in ("/ok", "/stale"):
                request = Request.get(
                    path,
                    query={"token": add_secret(f"kept-query-{kind}{path[1:]}")},
                    headers={
                        "Authorization": f"Bearer {add_secret(f'kept-user-{kind}{path[1:]}')}"
                    },
                )
                for turn in ("first", "second"):
                    await day.call(f"kept {kind}{path} {turn}", manager, "kept", request)
                single_request = request.with_header("Cache-Control", "only-if-cached, no-store")
                await day.call(f"kept {kind}{path} only", manager, "kept", single_request)
                write = Request.put(
                    path, query=request.query, json={"note": add_secret(f"n-{kind}{path[1:]}")}
                )
                await day.call(f"kept {kind}{path} written", manager, "kept", write)
