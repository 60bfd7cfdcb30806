"""The webhook's process: `python -m weightlock_webhook [serve | disarm | arm]`.

Its parts are put together in weightlock_webhook.wiring.
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import uvloop

from weightlock.errors import WeightlockError
from weightlock_webhook.arming.disarming import arm, disarm
from weightlock_webhook.arming.store import ReleaseStore
from weightlock_webhook.cache.access import access_of
from weightlock_webhook.cache.client import connected
from weightlock_webhook.cache.transport import Transport
from weightlock_webhook.logs import (
    JsonLines,
    PlainLines,
    configure,
)
from weightlock_webhook.settings import (
    LogFormat,
    Settings,
    described,
    environment,
)
from weightlock_webhook.wiring import Confirmed, Process

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2

log: Final = logging.getLogger("weightlock_webhook")


def written(lines: bytes) -> None:
    """Write decisions to standard error."""
    sys.stderr.buffer.write(lines)
    sys.stderr.buffer.flush()


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m weightlock_webhook",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__,
        epilog=f"Settings are environment variables:\n{described()}",
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=COMMANDS,
        default="serve",
        help="serve reviews; disarm: remove both webhook configurations for good, before an"
        " uninstall; arm: undo that",
    )
    command = parser.parse_args(words).command
    try:
        settings = Settings.from_environ()
    except WeightlockError as error:
        sys.stderr.write(f"{error.message} {error.hint}\n")
        return EXIT_USAGE
    configure(JsonLines() if settings.log_format is LogFormat.JSON else PlainLines())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(COMMANDS[command](settings))
    except WeightlockError as error:
        log.error("%s %s", error.message, error.hint)
        return EXIT_FAILURE
    return 0


async def run_disarm(settings: Settings) -> None:
    """What an uninstall runs first."""
    async with connected(access_of(settings.kubeconfig, environment())) as client:
        await disarm(ReleaseStore(client, settings.namespace), settings.release)


async def run_arm(settings: Settings) -> None:
    """Undo a disarm without installing anew."""
    async with connected(access_of(settings.kubeconfig, environment())) as client:
        await arm(ReleaseStore(client, settings.namespace))


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    async with connected(access_of(settings.kubeconfig, environment())) as client:
        await serve_with(settings, client)


async def serve_with(
    settings: Settings, transport: Transport, confirmed: Confirmed = lambda real: real
) -> None:
    """The same over any way to an API server; a measurement may leave out the live reads."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    process = Process.of(settings, transport, confirmed, written)
    async with process.listening() as port, asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(job()) for job in process.upkeep.jobs(port)]
        await stop.wait()
        log.info("draining for %s s", settings.drain_seconds)
        await process.upkeep.leave(settings.drain_seconds)
        process.lines.flush()
        for task in running:
            task.cancel()


COMMANDS: Final[dict[str, Callable[[Settings], Coroutine[Any, Any, None]]]] = {
    "serve": serve,
    "disarm": run_disarm,
    "arm": run_arm,
}

if __name__ == "__main__":
    sys.exit(main())
