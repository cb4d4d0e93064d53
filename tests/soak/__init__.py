"""Long runs of real servers under mixed load, whose memory and files must not grow."""
