"""The vendor's JSON: reading what comes in, writing what goes out."""
