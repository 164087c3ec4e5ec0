#!/usr/bin/python3
"""What is probed and told: answers on 8080 in plain and on 8443 with TLS, and notes every request."""

import http.server
import ssl
import threading

NOTES = "/root/requests"


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode(errors="replace").replace("\n", " ")
        with open(NOTES, "a") as file:
            file.write(f"{self.command} {self.path} {self.headers.get('Host')} {body}\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815 because http.server looks for these names

    def log_message(self, *words):
        pass


plain = http.server.ThreadingHTTPServer(("10.0.0.8", 8080), Handler)
secure = http.server.ThreadingHTTPServer(("10.0.0.8", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/root/application.crt", "/root/application.key")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=plain.serve_forever).start()
secure.serve_forever()
