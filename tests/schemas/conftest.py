"""Run the coroutine tests of schemas, each in an event loop of its own."""

import asyncio
import inspect

import pytest

from tests.schemas.registry_server import MANAGERS


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function, and close the managers that it used."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - pytest has no public name for it

    async def run_test_and_close_managers() -> None:
        try:
            await pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
        finally:
            while MANAGERS:
                await MANAGERS.pop().close()

    asyncio.run(run_test_and_close_managers())
    return True
