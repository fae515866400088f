"""The grades of vendors, and the API changes that affect a vendor."""
