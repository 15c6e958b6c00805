#!/usr/bin/env python3
"""Records what a forward client sends: record-forward.py SOCKET OUT.bin

Listens on the unix socket SOCKET, appends every byte that arrives to OUT.bin, one connection after the other, and
answers each event that asks for it with its acknowledgement, until SIGTERM. Beside the bytes, OUT.json gets one line per
message as msgpack reads it, for a person to look at. Needs the Python package msgpack.
"""

import base64
import json
import pathlib
import signal
import socket
import sys

import msgpack


def readable(value):
    """Turns what JSON does not know (extensions, bytes) into something that a person can read."""
    if isinstance(value, msgpack.ExtType):
        return {"ext": value.code, "hex": value.data.hex()}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [readable(item) for item in value]
    if isinstance(value, dict):
        return {str(key): readable(item) for key, item in value.items()}
    return value


def main(path, out):
    """Serves until a signal ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pathlib.Path(path).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen()
    with open(out, "wb") as raw, open(pathlib.Path(out).with_suffix(".json"), "w") as text:
        while True:
            connection, _ = server.accept()
            unpacker = msgpack.Unpacker(raw=False, unicode_errors="backslashreplace")
            while data := connection.recv(65536):
                raw.write(data)
                raw.flush()
                unpacker.feed(data)
                for message in unpacker:
                    print(json.dumps(readable(message), ensure_ascii=False), file=text, flush=True)
                    option = message[-1]
                    if len(message) > 2 and isinstance(option, dict) and "chunk" in option:
                        connection.sendall(msgpack.packb({"ack": option["chunk"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
