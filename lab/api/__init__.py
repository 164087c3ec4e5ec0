"""The HTTP side: routes, authentication, lists in pages, errors in the vendor's envelope."""
