"""The embedded cloud: Hetzner Cloud and Cloudflare played on one Linux machine, for learning and for tests only."""
