"""Implementations of the core's ports, with one technology per file.

An adapter fulfils the contract in its port's docstring, and decides nothing else. Only adapters use
threads, event loops, files, sockets and drivers. A constructor or a call creates these, never an
import. Adapters import ports, the domain's values and the errors, but no flows, contracts or
vendors.
"""
