"""The steps of one call, from its arguments to its answer."""
