"""A client of a cloister daemon, written from docs/protocol.md alone. Needs the package msgpack (python3-msgpack)."""
import socket
import struct

import msgpack

FRAME_BYTES = 1024 * 1024  # the longest body of a frame
WINDOW_BYTES = 1024 * 1024  # of a stream at its beginning
CHUNK_BYTES = 60 * 1024


class DaemonError(Exception):
    """What a daemon answers in place of a result."""

    def __init__(self, message):
        super().__init__(message["message"])
        self.code, self.hint, self.details = message["code"], message["hint"], message["details"]


class Request:
    """One request that is open: wait() gives its value; data holds what was downloaded, events what a build told."""

    def __init__(self, client, number, upload):
        self.client, self.number, self.upload = client, number, upload
        self.window = WINDOW_BYTES
        self.data, self.events, self.answer = bytearray(), [], None
        self.push()

    def push(self):
        """Sends of the upload what its window allows."""
        while self.upload is not None and self.window > 0:
            size = min(CHUNK_BYTES, self.window)
            piece, self.upload = self.upload[:size], self.upload[size:]
            if piece:
                self.window -= len(piece)
                self.client.send(kind="chunk", id=self.number, bytes=piece)
            if not self.upload:
                self.upload = None
                self.client.send(kind="end", id=self.number)

    def take(self, message):
        kind = message["kind"]
        if kind in ("result", "error"):
            self.answer = message
        elif kind == "chunk":
            self.data += message["bytes"]
            self.client.send(kind="credit", id=self.number, bytes=len(message["bytes"]))
        elif kind == "credit":
            self.window += message["bytes"]
            self.push()
        elif kind == "event":
            self.events.append(message["event"])

    def cancel(self):
        self.client.send(kind="cancel", id=self.number)

    def wait(self):
        while self.answer is None:
            self.client.receive()
        if self.answer["kind"] == "error":
            raise DaemonError(self.answer)
        return self.answer["value"]


class Client:
    """One connection; any number of requests may be open at once."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.buffer, self.parts = bytearray(), bytearray()
        self.open, self.last = {}, 0
        self.send(kind="hello", protocol={"major": 1, "minor": 0}, version="1", buildId="python", features=["parts", "streams", "events", "cancel"])
        self.hello = self.next_message()
        if self.hello["kind"] == "error":
            raise DaemonError(self.hello)

    def start(self, method, params=None, upload=None):
        """Sends a request, and gives it back before its answer is there."""
        self.last += 1
        self.send(kind="request", id=self.last, method=method, params=params or {})
        request = self.open[self.last] = Request(self, self.last, upload)
        return request

    def call(self, method, params=None, upload=None):
        return self.start(method, params, upload).wait()

    def download(self, method, params):
        request = self.start(method, params)
        request.wait()
        return bytes(request.data)

    def send(self, **message):
        body = msgpack.packb(message, use_bin_type=True)
        if len(body) <= FRAME_BYTES:
            self.send_frame(body)
            return
        for start in range(0, len(body), CHUNK_BYTES):
            piece = body[start : start + CHUNK_BYTES]
            part = {"kind": "part", "bytes": piece, "last": start + CHUNK_BYTES >= len(body)}
            self.send_frame(msgpack.packb(part, use_bin_type=True))

    def send_frame(self, body):
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def receive(self):
        """Takes one message and gives it to its request."""
        message = self.next_message()
        if "id" not in message:
            raise DaemonError(message)
        request = self.open[message["id"]]
        request.take(message)
        if request.answer is not None:
            del self.open[message["id"]]

    def next_message(self):
        while True:
            message = msgpack.unpackb(self.next_frame(), raw=False, strict_map_key=False)
            if message["kind"] != "part":
                return message
            self.parts += message["bytes"]
            if message["last"]:
                whole, self.parts = bytes(self.parts), bytearray()
                return msgpack.unpackb(whole, raw=False, strict_map_key=False)

    def next_frame(self):
        (length,) = struct.unpack(">I", self.exactly(4))
        return self.exactly(length)

    def exactly(self, count):
        while len(self.buffer) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("the daemon has closed the connection")
            self.buffer += piece
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def close(self):
        self.socket.close()


def nar_of_file(contents):
    """The archive of one regular file. Source: Nix manual, "Nix Archive (NAR) format"."""

    def text(value):
        return struct.pack("<Q", len(value)) + value + bytes(-len(value) % 8)

    words = [b"nix-archive-1", b"(", b"type", b"regular", b"contents", contents, b")"]
    return b"".join(text(word) for word in words)
