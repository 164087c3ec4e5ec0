"""Answers every HTTP request with the address it came from."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Who(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())


ThreadingHTTPServer(("0.0.0.0", 80), Who).serve_forever()  # noqa: S104 because it runs in a namespace of its own
