"""Libraries are loaded by a thread that does not end."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.concurrency.lasting_imports import import_lastingly
from tests.support.intervening_thread import InterveningThread
from tests.support.threads import no_new_threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODULE = "a_library_of_this_test"


@pytest.fixture(name="library", autouse=True)
def _library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a library importable that records the thread that loads it."""
    text = "import threading\nTHREAD = threading.current_thread()\n"
    (tmp_path / f"{_MODULE}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop(_MODULE, None)


def loading_thread() -> threading.Thread:
    """Return the thread that loaded the library."""
    thread: threading.Thread = sys.modules[_MODULE].THREAD
    return thread


def test_main_thread_loads_libraries_itself() -> None:
    """The main thread loads a library itself, because it lives as long as the process."""
    import_lastingly(_MODULE)
    assert threading.main_thread() is loading_thread()


def test_library_of_a_short_thread_is_loaded_by_a_lasting_one() -> None:
    """A library that needs a lasting thread is loaded by a thread that does not end."""
    for _ in range(2):
        thread = InterveningThread(lambda: import_lastingly(_MODULE))
        thread.start()
        thread.result()
    assert loading_thread().is_alive()
    assert loading_thread().daemon


def test_missing_library_is_reported() -> None:
    """If a library is missing, the ImportError reaches the thread that requested the import."""
    thread = InterveningThread(lambda: import_lastingly("a_missing_library_of_this_test"))
    thread.start()
    with pytest.raises(ImportError, match="a_missing_library"):
        thread.result()


def test_library_is_loaded_without_further_threads() -> None:
    """If no further thread can be started, the thread that needs a library loads it itself."""
    may_import = threading.Event()

    def load() -> threading.Thread:
        may_import.wait(60)
        import_lastingly(_MODULE)
        return threading.current_thread()

    thread = InterveningThread(load)
    thread.start()
    with no_new_threads():
        may_import.set()
        used_thread = thread.result()
    assert used_thread is loading_thread()


_CALLS_IN_SHORT_THREADS = """
import threading
from moorage import Request, Timeouts
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.errors import ConnectionFailed

client = PyreqwestHttpClient()

def call():
    try:
        client.send(Request.get("/"), "http://127.0.0.1:9/", Timeouts(total=10))
    except ConnectionFailed:
        pass

for _ in range(30):
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
print("done")
"""


def test_short_threads_call_with_pyreqwest() -> None:
    """Threads that end after one call can use pyreqwest, even the thread that loads it first."""
    result = subprocess.run(
        [sys.executable, "-c", _CALLS_IN_SHORT_THREADS], capture_output=True, text=True, check=False
    )
    assert (0, "done\n") == (result.returncode, result.stdout)
