"""The operations of each contract, such as payments, and the choice of the vendor's account."""
