"""An independent model of the server on plain dicts, which tests compare with the real one."""
