"""A model of a worker fleet that shares one busy rate limit, with result tables.

`model` has the fleet whose workers ask Redis themselves, `brokers` the one in which a broker asks
for each host, `tenants` a Redis whose tenants share a core, `costs` the costs of single calls,
measured on this machine, and `page` the tables. `make fleet` measures, models and writes.
"""
