"""One vendor a file: requests built, answers read, failures told apart, and nothing else.

A vendor knows its contract and the values of the domain. It reaches the world through the wire that
each operation is given, and knows no port, no colour and no other vendor.
"""
