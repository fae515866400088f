"""HTTP requests, answers and their parts."""
