"""The edge: a proxy on the embedded internet that plays Cloudflare in front of origins, in a process of its own."""
