"""What the verbs of a store do within a transaction: once, over the tables of any engine."""
