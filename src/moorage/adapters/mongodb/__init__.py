"""The connector of MongoDB, over pymongo."""
