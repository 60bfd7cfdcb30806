"""/healthz, /readyz and /metrics, on a port of their own without TLS: kubelet and Prometheus."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Unready = Callable[[], Sequence[str]]
"""What keeps the process from being ready, as sentences; none if nothing does."""


class Health:
    """Answers probes and scrapes."""

    def __init__(
        self, unready: Unready, unhealthy: Unready, exposition: Callable[[], bytes]
    ) -> None:
        self._unready = unready
        self._unhealthy = unhealthy
        self._exposition = exposition

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        handlers: Mapping[str, Callable[[], web.Response]] = {
            "/healthz": lambda: _state(self._unhealthy()),
            "/readyz": lambda: _state(self._unready()),
            "/metrics": self._metrics,
        }
        handler = handlers.get(request.rel_url.raw_path)
        if handler is None:
            return web.Response(status=404, text="no such path\n")
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, text="only GET\n")
        return handler()

    def _metrics(self) -> web.Response:
        return web.Response(body=self._exposition(), headers={"Content-Type": CONTENT_TYPE})


def _state(troubles: Sequence[str]) -> web.Response:
    if not troubles:
        return web.Response(text="ok\n")
    return web.Response(status=503, text="".join(f"{trouble}\n" for trouble in troubles))
