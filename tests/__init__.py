"""The tests are a package, so that processes which the tests start can import them.

Otherwise Python would find a package `tests` that an old release of a dependency installs.
"""
