"""Imports libraries that crash when the thread that loaded them has ended.

The allocator mimalloc 3.3, which such libraries contain, takes the thread that loads it for the
main thread of the process. Once that thread has ended, another thread may get its identifier, and
then crashes the process.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from threading import Lock, Thread, current_thread, main_thread


def import_lastingly(name: str) -> None:
    """Import a module in a thread that lasts as long as the process, such as the main thread.

    Raises:
        ImportError: the module cannot be imported.
    """
    if name not in sys.modules and current_thread() is not main_thread():
        is_over = Lock()
        is_over.acquire()
        thread = Thread(
            target=_import_and_stay, args=(name, is_over), name="moorage-library", daemon=True
        )
        with suppress(RuntimeError):  # the system has no more threads, or the interpreter is ending
            thread.start()
            is_over.acquire()
    import_module(name)


def _import_and_stay(name: str, is_over: Lock) -> None:
    """Import a module, and then wait forever."""
    try:
        with suppress(Exception):  # the caller gets the same error
            import_module(name)
    finally:
        is_over.release()
    if name in sys.modules:
        is_forever = Lock()
        is_forever.acquire()
        is_forever.acquire()
