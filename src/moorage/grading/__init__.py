"""The grading of vendors, and the changes of official API descriptions that affect a vendor."""
