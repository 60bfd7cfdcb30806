"""Whole HTTP requests, as an API server sends reviews of pods."""

from __future__ import annotations

import json
from collections.abc import Callable

from bench.admission import world


def requests(pod: Callable[[int], world.Json], numbers: range) -> list[bytes]:
    """Whole HTTP requests."""
    found = []
    for number in numbers:
        document = pod(number)
        body = json.dumps(
            {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "request": {
                    "uid": f"00000000-0000-0000-0000-{number:012d}",
                    "kind": {"group": "", "version": "v1", "kind": "Pod"},
                    "resource": {"group": "", "version": "v1", "resource": "pods"},
                    "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
                    "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                    "namespace": document["metadata"]["namespace"],
                    "operation": "CREATE",
                    "userInfo": {
                        "username": "system:serviceaccount:kube-system:job-controller",
                        "groups": ["system:serviceaccounts", "system:authenticated"],
                    },
                    "object": document,
                    "oldObject": None,
                    "dryRun": False,
                    "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
                },
            },
            separators=(",", ":"),
        ).encode()
        head = (
            "POST /validate/pods?timeout=5s HTTP/1.1\r\n"
            "Host: weightlock-webhook.weightlock-system.svc:443\r\n"
            "User-Agent: kube-apiserver-admission\r\n"
            "Accept: application/json, */*\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found
