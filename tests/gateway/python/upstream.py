"""A service behind the gate that speaks what it is told to, and misbehaves as the path says.

One argument, JSON: "protocol" (h2, http1, or mute: it accepts and says nothing), "unix" (a path) or
a free port, "tls" ("cert", "key", "alpn", "client_ca", "version" 1.1). It says on standard output, in
lines of JSON, where it listens and all that happens to it.
"""

import asyncio
import json
import ssl
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

SETUP = json.loads(sys.argv[1])
BODY = b"k" * 1024
LARGE_BYTES = 32 * 1024 * 1024
RELEASED = asyncio.Event()
REFUSED = set()


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Base(asyncio.Protocol):
    made = 0

    def connection_made(self, transport):
        self.transport = transport
        Base.made += 1
        self.number = Base.made
        tls = transport.get_extra_info("ssl_object")
        client = (tls.getpeercert() or {}).get("subject") if tls else None
        say(
            "connected",
            alpn=tls.selected_alpn_protocol() if tls else None,
            version=tls.version() if tls else None,
            sni=getattr(tls, "onegate_sni", None),
            client=client[0][0][1] if client else None,
        )

    def connection_lost(self, error):
        say("closed")


class Http1(Base):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.ahead = b""

    def data_received(self, data):
        say("data", bytes=len(data))
        self.ahead += data
        while b"\r\n\r\n" in self.ahead:
            head, self.ahead = self.ahead.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            fields = [line.split(": ", 1) for line in lines[1:]]
            say("request", target=lines[0], fields=fields, connection=self.number)
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
            self.transport.write(answer + BODY)


class Http2(Base):
    def connection_made(self, transport):
        super().connection_made(transport)
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config=config)
        self.h2.initiate_connection()
        self.bodies = {}
        self.paths = {}
        self.window = asyncio.Event()
        self.flush()

    def flush(self):
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def data_received(self, data):
        say("data", bytes=len(data))
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            say("protocol_error", text=str(error))
            self.flush()
            return self.transport.close()
        for event in events:
            self.happened(event)
        self.flush()

    def happened(self, event):
        if isinstance(event, h2.events.RequestReceived):
            fields = [[name, value] for name, value in event.headers]
            path = dict(fields)[":path"]
            say("request", target=path, fields=fields, connection=self.number)
            self.paths[event.stream_id] = path
            self.bodies[event.stream_id] = b""
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            path = self.paths[event.stream_id]
            asyncio.ensure_future(self.answer(event.stream_id, path, self.bodies[event.stream_id]))
        elif isinstance(event, h2.events.StreamReset):
            say("reset", code=int(event.error_code))
            self.window.set()
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            self.window.set()

    async def answer(self, stream, path, body):
        first_time = path not in REFUSED
        REFUSED.add(path)
        if "/refuse-once/" in path and first_time:
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif "/leave-once/" in path and first_time:
            self.h2.close_connection(last_stream_id=stream - 2 if stream > 1 else 0)
        elif "/break/" in path:
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif "/downgrade/" in path:
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED)
        elif "/goaway/" in path:
            self.h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=0)
            self.flush()
            self.transport.close()
        elif "/close/" in path:
            self.transport.abort()
        elif "/garbage/" in path:
            self.transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
        elif "/hold/" in path:
            await RELEASED.wait()
            await self.respond(stream, BODY)
        elif "/stall/" in path:
            self.h2.send_headers(stream, [(":status", "200")])
            self.h2.send_data(stream, b"first")
        elif "/break-mid-body/" in path:
            self.h2.send_headers(stream, [(":status", "200"), ("content-length", "1024")])
            self.h2.send_data(stream, BODY[:512])
            self.flush()
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif "/large/" in path:
            await self.respond(stream, b"l" * LARGE_BYTES)
        elif "/echo/" in path:
            await self.respond(stream, body)
        else:
            await self.respond(stream, BODY)
        self.flush()

    async def respond(self, stream, body):
        fields = [(":status", "200"), ("content-length", str(len(body)))]
        self.h2.send_headers(stream, fields)
        try:
            while body:
                room = min(
                    self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size
                )
                if room == 0:
                    self.flush()
                    self.window.clear()
                    await self.window.wait()
                    continue
                self.h2.send_data(stream, body[:room])
                body = body[room:]
                self.flush()
            self.h2.end_stream(stream)
        except h2.exceptions.ProtocolError as error:
            say("protocol_error", text=str(error))
        self.flush()


class Mute(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        say("connected")

    def data_received(self, data):
        pass


def tls(setup):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if setup.get("version") == "1.1":
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(setup["cert"], setup["key"])
    if "alpn" in setup:
        context.set_alpn_protocols(setup["alpn"])
    if "client_ca" in setup:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(setup["client_ca"])

    def asked(connection, name, _):
        connection.onegate_sni = name

    context.sni_callback = asked
    return context


async def read_orders():
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line == b"release\n":
            RELEASED.set()
        else:
            say("said", number=int(line))
    loop.stop()


async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    kind = {"h2": Http2, "http1": Http1, "mute": Mute}[SETUP["protocol"]]
    context = tls(SETUP["tls"]) if "tls" in SETUP else None
    if "unix" in SETUP:
        await loop.create_unix_server(kind, SETUP["unix"], ssl=context)
        say("listening", port=0)
    else:
        server = await loop.create_server(kind, "127.0.0.1", 0, ssl=context)
        say("listening", port=server.sockets[0].getsockname()[1])
    await read_orders()


asyncio.run(main())
