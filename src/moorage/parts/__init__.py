"""The parts on their own: one protection at a time, in both colours.

Each wraps a plain function or an asynchronous one, called or decorated; where a `with` body makes
sense, a part is a guard too. They know the flows and the wiring, and not the managers.
"""
