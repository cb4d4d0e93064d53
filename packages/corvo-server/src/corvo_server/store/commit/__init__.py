"""Group commit: the writer, and the verbs that decide what is eligible and what a duplicate."""
