"""What a business system asks of a kind of vendor, in words that no vendor owns.

Each kind has a file: its values, its capabilities, and the protocol that vendors of the kind fill.
Values are frozen; decisions about them are functions here. Nobody here knows a vendor, a port or a
colour.
"""
