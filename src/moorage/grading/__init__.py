"""The grades of vendors, and the changes of API descriptions that affect a vendor."""
