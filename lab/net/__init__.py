"""The embedded cloud's wires: namespaces, routers, the internet and the way out of it."""
