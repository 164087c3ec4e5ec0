"""The embedded Cloudflare: its API, the authority of origin certificates, the names of its zone, and the edge."""
