"""The tests are a package, so that processes which the tests start can import them.

Else a package called `tests`, which an old release of a dependency installs, would be found first.
"""
