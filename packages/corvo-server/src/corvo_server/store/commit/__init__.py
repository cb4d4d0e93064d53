"""Group commit: the writer, the transaction, and the verbs that run in it."""
