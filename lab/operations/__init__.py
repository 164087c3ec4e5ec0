"""The rules of each kind of resource: what is allowed, what follows, and what the driver has to do."""
