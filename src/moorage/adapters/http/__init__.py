"""HTTP clients on top of several libraries."""
