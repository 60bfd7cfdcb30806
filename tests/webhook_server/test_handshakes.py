"""Whoever begins to speak TLS and never ends costs nobody else anything (A40)."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.webhook_server.listeners import NAME, NOW, Running, answer_of, running
from tests.webhook_server.requests import pod, review

from weightlock_webhook.arming.tokens import new_token
from weightlock_webhook.certificates import tls
from weightlock_webhook.server.accepting import PAUSE_SECONDS, Accepting, listening_on
from weightlock_webhook.server.connections import MOST_KNOWN, Server
from weightlock_webhook.server.limits import MOST_HANDSHAKES, Limits

POD = "127.0.0.2"
TOKEN = new_token(NOW)
PATH = f"/validate/pods/{TOKEN}"
HELLO = bytes.fromhex("160301020001")
"""The beginning of a ClientHello, which tells of 512 bytes."""


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test, 100))


def accepting(server: Running) -> Accepting:
    found = server.listener.socket
    assert isinstance(found, Accepting)
    return found


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def settled(server: Running, expected: int) -> None:
    while accepting(server).unfinished != expected:
        await asyncio.sleep(0.01)


async def half_open(
    server: Running, address: str, count: int, says: bytes = HELLO
) -> list[socket.socket]:
    """So many connections from an address that say this and no more."""
    loop = asyncio.get_running_loop()
    found = []
    for _ in range(count):
        client = socket.socket()
        client.setblocking(False)
        client.bind((address, 0))
        await loop.sock_connect(client, ("127.0.0.1", server.port))
        with suppress(OSError):
            await loop.sock_sendall(client, says)
        found.append(client)
    return found


async def are_answered(server: Running, count: int, address: str = "127.0.0.1") -> None:
    """So many reviews at once, by new connections from an address."""

    async def one() -> int:
        reader, writer = await server.connect(address)
        body = review(new=pod())
        head = f"POST {PATH} HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status, _ = await answer_of(reader)
        writer.close()
        return status

    assert set(await asyncio.gather(*(one() for _ in range(count)))) == {200}


@pytest.mark.parametrize("says", [b"", HELLO], ids=["nothing", "half a greeting"])
@pytest.mark.parametrize("address", [POD, "127.0.0.1"], ids=["a pod", "the API server's address"])
def test_thousands_of_handshakes_that_never_end_stop_no_review(says: bytes, address: str) -> None:
    async def test() -> None:
        async with running(named={TOKEN}) as server:
            await are_answered(server, 1)
            clients = await half_open(server, address, 600, says)
            await are_answered(server, 20)
            before = resident_bytes()
            for _ in range(4):
                for client in clients:
                    client.close()
                clients = await half_open(server, address, 600, says)
                assert accepting(server).unfinished <= MOST_HANDSHAKES
                await are_answered(server, 20)
            assert resident_bytes() - before < 32 << 20, "3000 of them would be 200 MiB"
            for client in clients:
                client.close()
            await settled(server, 0)

    run(test())


def test_a_crowd_of_many_addresses_does_not_push_out_where_the_api_server_has_called_from() -> None:
    async def test() -> None:
        async with running(named={TOKEN}) as server:
            await are_answered(server, 1)
            clients = []
            for number in range(MOST_HANDSHAKES):
                clients += await half_open(server, f"127.0.1.{number % 250 + 1}", 1)
            await settled(server, MOST_HANDSHAKES)
            # Of all addresses this one now has the most by far.
            await are_answered(server, 60)
            for client in clients:
                client.close()

    run(test())


def test_where_nobody_has_called_from_yet_the_address_with_the_most_loses_its_oldest() -> None:
    async def test() -> None:
        async with running(named={TOKEN}) as server:
            (first,) = await half_open(server, "127.0.0.9", 1)
            crowd = await half_open(server, POD, MOST_HANDSHAKES + 50)
            await settled(server, MOST_HANDSHAKES)
            loop = asyncio.get_running_loop()
            for leaving in crowd[:51]:
                with suppress(ConnectionResetError):
                    assert await loop.sock_recv(leaving, 1) == b""
            for staying in (first, *crowd[51:]):
                with pytest.raises(BlockingIOError):
                    staying.recv(1)
            await are_answered(server, 5)
            for client in (first, *crowd):
                client.close()

    run(test())


def test_known_handshakes_go_where_there_is_nobody_else() -> None:
    async def test() -> None:
        async with running(named={TOKEN}) as server:
            await are_answered(server, 1)
            clients = await half_open(server, "127.0.0.1", MOST_HANDSHAKES + 10)
            await settled(server, MOST_HANDSHAKES)
            for client in clients:
                client.close()
            await settled(server, 0)

    run(test())


def test_what_is_no_greeting_is_hung_up_on() -> None:
    async def test() -> None:
        async with running() as server:
            (client,) = await half_open(server, POD, 1, b"GET / HTTP/1.1\r\n\r\n")
            loop = asyncio.get_running_loop()
            with suppress(ConnectionResetError):
                while await loop.sock_recv(client, 100):
                    pass
            client.close()
            await settled(server, 0)

    run(test())


def test_leaving_ends_what_is_not_finished() -> None:
    async def test() -> None:
        async with running() as server:
            clients = await half_open(server, POD, 20)
            await settled(server, 20)
            port = server.port
        loop = asyncio.get_running_loop()
        for client in clients:
            with suppress(ConnectionResetError):
                assert await loop.sock_recv(client, 1) == b""
            client.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    run(test())


class Exhausted(socket.socket):
    """Cannot take connections for a while."""

    failures = 3

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


def test_a_process_without_descriptors_goes_on_when_it_has_some(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        plain = listening_on("127.0.0.1", 0)
        listening = Exhausted(fileno=plain.detach())
        listening.setblocking(False)

        async def nobody(_: Any) -> Any:
            raise AssertionError

        found = Accepting(listening, Server(nobody, Limits()), tls.server_context())
        _, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(HELLO)
        while not found.unfinished:
            await asyncio.sleep(0.01)
        assert caplog.text.count("no connection can be taken") == Exhausted.failures
        writer.close()
        listening.failures = 1
        _, other = await asyncio.open_connection(*listening.getsockname())
        await asyncio.sleep(PAUSE_SECONDS / 2)
        found.close()  # while it pauses
        other.close()

    run(test())


def test_an_address_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    with listening_on("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        listening_on("127.0.0.1", taken.getsockname()[1])


def test_only_so_many_addresses_are_remembered() -> None:
    async def test() -> None:
        async def nobody(_: Any) -> Any:
            raise AssertionError

        server = Server(nobody, Limits())
        for number in range(MOST_KNOWN + 1):
            connection: Any = server()
            connection.client = f"10.0.{number // 256}.{number % 256}"
            connection.is_known = True
            connection.is_known = True
        assert not server.knows("10.0.0.0")
        assert server.knows("10.0.0.1")
        assert not server.knows("10.9.9.9")

    run(test())
