"""The grade of a vendor, and the changes of its official description that touch it."""
