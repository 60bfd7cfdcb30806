"""A webhook that denies every pod. A test double for a peer: it proves the way from API server to
Service to pod.

Standard library only, because it runs inside an image that was not made for it.
"""

from __future__ import annotations

import http.server
import json
import ssl

MESSAGE = "denied by the double"


class Deny(http.server.BaseHTTPRequestHandler):
    """Answers every AdmissionReview with a refusal."""

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        review = json.loads(self.rfile.read(length))
        refusal = {
            "allowed": False,
            "status": {"message": MESSAGE},
            "uid": review["request"]["uid"],
        }
        kind = {"apiVersion": review["apiVersion"], "kind": review["kind"]}
        body = json.dumps({**kind, "response": refusal}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Deny)  # noqa: S104 in a pod
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
