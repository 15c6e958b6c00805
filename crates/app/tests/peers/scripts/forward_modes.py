"""Sends the same kind of event in each of the forward protocol's carrier modes, as written down in its specification and
packed by the msgpack package, and waits for the acknowledgement of each: SOCKET COUNT.

Prints what was acknowledged, one chunk a line.
"""

import gzip
import socket
import sys

import msgpack

START = 1795366800


def event(mode, number):
    return [START + number, {"id": f"{mode}/{number}"}]


def entries(mode, count):
    return b"".join(msgpack.packb(event(mode, number)) for number in range(count))


def messages(count):
    """Each message with the chunk that it asks to be acknowledged."""
    for number in range(count):
        yield f"message-{number}", ["modes.message", *event("message", number)]
    yield "forward", ["modes.forward", [event("forward", number) for number in range(count)]]
    yield "packed", ["modes.packed", entries("packed", count)]
    packed = entries("gzip", count)
    # Two members, as a sender may write that compresses piece by piece.
    halves = gzip.compress(packed[: len(packed) // 2]) + gzip.compress(packed[len(packed) // 2 :])
    yield "gzip", ["modes.gzip", halves, {"compressed": "gzip"}]


def main(path, count):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    unpacker = msgpack.Unpacker(raw=False)
    for chunk, message in messages(int(count)):
        option = message.pop() if isinstance(message[-1], dict) and "compressed" in message[-1] else {}
        connection.sendall(msgpack.packb([*message, {**option, "chunk": chunk}]))
        while (answer := next(unpacker, None)) is None:
            data = connection.recv(4096)
            assert data, f"the connection was closed before {chunk} was acknowledged"
            unpacker.feed(data)
        assert answer == {"ack": chunk}, answer
        print(chunk)


main(*sys.argv[1:])
