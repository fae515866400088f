"""Ports: the interfaces through which the core uses its host.

Each file holds one port, synchronous and asynchronous: a synchronous host implements the plain
protocol, an asynchronous host the one prefixed `Async`. Their docstrings state the contract of an
implementation. Clock, ids and randomness are synchronous in both. Ports know the domain's values
and the errors, and nothing of flows or adapters.
"""
