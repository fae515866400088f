"""What the core asks of its host.

Each file holds one port in both colours: the plain protocol is what a synchronous host supplies,
the one prefixed `Async` what an asynchronous host does. Their docstrings carry what an
implementer must keep. Clock, ids and randomness are plain calls in both. Ports know the domain's
values and the errors, and nothing of flows or adapters.
"""
