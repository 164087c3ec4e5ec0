"""Holds a connection to an address: asks once, waits until a file is there, asks again, and says what became of it."""

import http.client
import pathlib
import sys
import time

address, port, trigger = sys.argv[1:]
connection = http.client.HTTPConnection(address, int(port), timeout=5)
connection.request("GET", "/")
connection.getresponse().read()
pathlib.Path(f"{trigger}.ready").touch()
while not pathlib.Path(trigger).exists():
    time.sleep(0.05)
try:
    connection.request("GET", "/")
    connection.getresponse().read()
    print("alive")
except OSError:
    print("cut")
