"""Ports: the interfaces through which the core uses clocks, stores, networks and the like.

Each file holds one port in two forms, synchronous and asynchronous. A synchronous host implements
the plain protocol, and an asynchronous host the one whose name begins with `Async`. The docstrings
state what an implementation must do. Clock, ids and randomness are synchronous in both forms. Ports
use the domain's values and the errors, and know nothing of flows or adapters.
"""
