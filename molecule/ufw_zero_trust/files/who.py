"""Answers every HTTP request on the given ports with the address it came from, over IPv4 and IPv6."""

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Who(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answer = self.client_address[0].removeprefix("::ffff:").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


for port in sys.argv[1:]:
    threading.Thread(target=Server(("::", int(port)), Who).serve_forever).start()
