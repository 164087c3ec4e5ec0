"""The management interface: what tests and people do to the embedded cloud that nobody can do to the real one."""
