"""The operations of each contract, and the choice of the account."""
