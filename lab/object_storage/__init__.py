"""Object storage of the embedded cloud: what an S3 client asks for, kept as files."""
