"""HTTP requests, responses and their parts."""
