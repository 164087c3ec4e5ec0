"""The image servers boot from: Debian, made on this machine, since no image registry can be counted on."""
