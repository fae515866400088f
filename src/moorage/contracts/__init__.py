"""Contracts: the vendor-neutral operations and values of each kind of vendor.

Each kind has a file: its values, its capabilities, and the protocol that its vendors implement.
Values are frozen; decisions about them are functions here. Contracts know no vendor and no port,
and do not differ between synchronous and asynchronous callers.
"""
