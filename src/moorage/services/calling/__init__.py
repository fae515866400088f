"""The steps of one call to a service, from its arguments to the response."""
