"""What the core asks of its host, answered with one technology a file.

An adapter keeps the contract that its port's docstring states, and decides nothing else. Here live
threads, event loops, files, sockets and drivers, each created by a constructor or a call and never
by an import. Adapters know ports, the domain's values and the errors; they never see flows,
contracts or vendors.
"""
