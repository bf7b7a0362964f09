"""Makes requests of many kinds and keeps a ledger of what became of each.

Standard input is one JSON value: {"host", "port", "key", "callers", "requests": [{"kind", "fate", "path"}]}.
Standard output has one JSON line for each request: {"path", "status", "id", "complete"}.

Kinds: h1 (keep-alive), h2 (streams of shared connections), sse, ws. Fates: allowed, denied (no key), aborted
(the caller leaves in the middle of the answer), killed (the upstream dies in the middle).
It knows nothing of the gate's records: the test compares.
"""

import asyncio
import json
import sys

import h2.config
import h2.connection
import h2.events
import websockets

PATIENCE_SECONDS = 60


class Ledger:
    def __init__(self):
        self.lines = []

    def note(self, request, status, request_id, complete):
        self.lines.append(
            {"path": request["path"], "status": status, "id": request_id, "complete": complete}
        )


def fields_of(request, key):
    return {} if request["fate"] == "denied" else {"authorization": f"Bearer {key}"}


# HTTP/1.1


class Http1:
    """One caller: a connection that is kept for as long as it lives."""

    def __init__(self, plan, ledger):
        self.plan, self.ledger = plan, ledger
        self.reader = self.writer = None

    async def connect(self):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                self.plan["host"], self.plan["port"]
            )

    def leave(self):
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def make(self, request):
        await self.connect()
        head = f"GET {request['path']} HTTP/1.1\r\nhost: gate.test\r\n"
        for name, value in fields_of(request, self.plan["key"]).items():
            head += f"{name}: {value}\r\n"
        self.writer.write(head.encode() + b"\r\n")
        status, fields = await self.read_head()
        if request["fate"] == "aborted":
            # The rest of the answer is still to come.
            self.leave()
            return self.ledger.note(request, status, fields["x-request-id"], False)
        complete = await self.read_body(fields)
        self.ledger.note(request, status, fields.get("x-request-id"), complete)
        if not complete or fields.get("connection", "").lower() == "close":
            self.leave()

    async def read_head(self):
        raw = await self.reader.readuntil(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        fields = {}
        for line in lines[1:]:
            if line:
                name, _, value = line.partition(":")
                fields[name.lower()] = value.strip()
        return int(lines[0].split(" ")[1]), fields

    async def read_body(self, fields):
        try:
            if fields.get("transfer-encoding") == "chunked":
                while True:
                    size = int((await self.reader.readline()).strip() or b"x", 16)
                    await self.reader.readexactly(size + 2)
                    if size == 0:
                        return True
            await self.reader.readexactly(int(fields.get("content-length", 0)))
            return True
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return False


# HTTP/2


class Http2:
    """One connection with many streams at once."""

    def __init__(self, plan, ledger):
        self.plan, self.ledger = plan, ledger
        self.streams = {}
        self.gone = asyncio.Event()

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(
            self.plan["host"], self.plan["port"]
        )
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config=config)
        self.h2.initiate_connection()
        self.flush()
        self.pump = asyncio.create_task(self.read())

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    async def read(self):
        try:
            while data := await self.reader.read(65536):
                for event in self.h2.receive_data(data):
                    self.saw(event)
                self.flush()
        except ConnectionError:
            pass
        self.gone.set()
        for stream in self.streams.values():
            stream["ended"].set()
            stream["headed"].set()

    def saw(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream["fields"] = {name: value for name, value in event.headers}
            stream["headed"].set()
        elif isinstance(event, h2.events.DataReceived):
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            stream["bytes"] += len(event.data)
        elif isinstance(event, h2.events.StreamEnded):
            stream["complete"] = True
            stream["ended"].set()
        elif isinstance(event, h2.events.StreamReset):
            stream["ended"].set()

    async def make(self, request):
        stream_id = self.h2.get_next_available_stream_id()
        stream = {"fields": {}, "bytes": 0, "complete": False}
        stream.update(ended=asyncio.Event(), headed=asyncio.Event())
        self.streams[stream_id] = stream
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "gate.test")]
        head += [(":path", request["path"]), *fields_of(request, self.plan["key"]).items()]
        self.h2.send_headers(stream_id, head, end_stream=True)
        self.flush()
        await stream["headed" if request["fate"] == "aborted" else "ended"].wait()
        fields = stream["fields"]
        if request["fate"] == "aborted":
            self.h2.reset_stream(stream_id, error_code=8)
            self.flush()
        status = int(fields[":status"]) if ":status" in fields else None
        self.ledger.note(request, status, fields.get("x-request-id"), stream["complete"])
        del self.streams[stream_id]

    def leave(self):
        self.pump.cancel()
        self.writer.transport.abort()


# Streams over HTTP/1.1


async def websocket(plan, ledger, request):
    url = f"ws://{plan['host']}:{plan['port']}{request['path']}"
    try:
        async with websockets.connect(
            url, additional_headers=fields_of(request, plan["key"]), proxy=None
        ) as socket:
            request_id = socket.response.headers["x-request-id"]
            status = socket.response.status_code
            if request["fate"] == "aborted":
                socket.transport.abort()
                return ledger.note(request, status, request_id, False)
            try:
                for n in range(3):
                    await socket.send(f"message {n}")
                    assert await socket.recv() == f"message {n}"
            except websockets.ConnectionClosed:
                return ledger.note(request, status, request_id, False)
        ledger.note(request, status, request_id, True)
    except websockets.InvalidStatus as refused:
        response = refused.response
        ledger.note(request, response.status_code, response.headers["x-request-id"], True)


async def work(plan, ledger, requests):
    """One caller makes its requests one after the other."""
    http1 = Http1(plan, ledger)
    http2 = None
    for request in requests:
        if request["kind"] == "h2":
            if http2 is None or http2.gone.is_set():
                http2 = Http2(plan, ledger)
                await http2.connect()
            await http2.make(request)
        elif request["kind"] == "ws":
            await websocket(plan, ledger, request)
        else:
            await http1.make(request)
    http1.leave()
    if http2 is not None:
        http2.leave()


async def main():
    plan = json.load(sys.stdin)
    ledger = Ledger()
    callers = plan["callers"]
    shares = [plan["requests"][n::callers] for n in range(callers)]
    work_of_all = asyncio.gather(*(work(plan, ledger, share) for share in shares))
    await asyncio.wait_for(work_of_all, PATIENCE_SECONDS)
    for line in ledger.lines:
        print(json.dumps(line))


asyncio.run(main())
