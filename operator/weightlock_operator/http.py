"""The plain HTTP port: /metrics, /healthz, /readyz, and 404 for the rest.

Leader and standby both serve it: who does not lead must be seen to be alive too.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from weightlock_operator.health import Health

REQUEST_BYTES = 16 * 1024
"""Nobody has anything to say here."""


def application(health: Health, exposition: Callable[[], Awaitable[bytes]]) -> web.Application:
    """The application."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=await exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def healthz(_request: web.Request) -> web.Response:
        return _answer(health.sick())

    async def readyz(_request: web.Request) -> web.Response:
        return _answer(health.unready())

    app = web.Application(client_max_size=REQUEST_BYTES)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen; returns the runner, whose cleanup() ends it, and the port it got."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])


def _answer(wrong: dict[str, str]) -> web.Response:
    if not wrong:
        return web.Response(text="ok\n")
    lines = [f"{name}: {text}" for name, text in sorted(wrong.items())]
    return web.Response(status=503, text="\n".join(lines) + "\n")
