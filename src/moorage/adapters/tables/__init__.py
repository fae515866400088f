"""Tables that store inbox and outbox entries and the integration log, in every database."""
