"""What makes the cloud's objects real: nothing at all, or containers and network namespaces."""
