"""The console: a page for people, in the manner of a cloud's own, that shows what is there and what is under way."""
