"""What the cloud knows: plain data without input or output, ready to be written down as JSON."""
