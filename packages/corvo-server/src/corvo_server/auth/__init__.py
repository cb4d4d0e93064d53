"""Who calls: the text of keys, their roles and the queues that they may use. No I/O, no clock."""
