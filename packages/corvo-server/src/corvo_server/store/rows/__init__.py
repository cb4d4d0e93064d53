"""How records become rows and rows records, as far as both engines share it."""
