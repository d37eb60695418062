"""floor.c for machines without a C compiler: one os.write for each socket, about a tenth above the C loop.

Each line on stdin is sent to every client as one WebSocket message. Prints its port, and ends with stdin.
"""

import os
import select
import socket
import sys
from contextlib import suppress

WELCOME = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def say(text: bytes, clients: dict[int, socket.socket]) -> None:
    size = len(text)
    head = bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")
    frame = head + text
    write = os.write
    for fd in clients:
        try:
            write(fd, frame)
        except BlockingIOError:
            select.select([], [fd], [], 1.0)
            with suppress(OSError):
                write(fd, frame)
        except OSError:
            pass


def answer(client: socket.socket, clients: dict[int, socket.socket]) -> bool:
    """False if it is gone, or has said more than there is to say."""
    with suppress(OSError):
        if client.recv(4096).startswith(b"GET "):
            client.send(WELCOME)
            clients[client.fileno()] = client
            return True
    return False


def run() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    known: dict[int, socket.socket] = {}
    clients: dict[int, socket.socket] = {}
    rest = b""
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                client, _ = listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                known[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
            elif fd == 0:
                if not (data := os.read(0, 1 << 20)):
                    sys.exit()
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    say(line, clients)
            elif not answer(known[fd], clients):
                clients.pop(fd, None)
                known.pop(fd).close()


if __name__ == "__main__":
    run()
