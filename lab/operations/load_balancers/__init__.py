"""Load balancers: what is allowed, and what the driver has to do."""
