"""The design of a study: roles, ages, sex and protocol, donors and other units of replication."""
