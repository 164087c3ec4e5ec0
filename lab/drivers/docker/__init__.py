"""Servers as containers that boot systemd, cabled with veth pairs, with loop devices as volumes."""
