"""The contracts' classes for users, each in a synchronous and an asynchronous version.

They contain no logic: their methods are made from the flows in `services`.
"""
