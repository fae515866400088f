"""The tests, as a package: some run parts of themselves in processes of their own.

Else a package called `tests`, which an old release of a dependency installs, would be found first.
"""
