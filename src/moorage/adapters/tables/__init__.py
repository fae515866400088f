"""Tables of entries and of the integration log, in every database."""
