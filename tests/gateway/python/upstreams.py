"""Services behind the gate that stream: a WebSocket echo and server-sent events.

Prints {"websocket": port, "events": port} when both listen, and serves until standard input ends.
A path that holds `killed` makes either of them die in the middle; one that holds `three` ends well after
three events; other event streams go on until the caller leaves.
"""

import asyncio
import json
import sys

import websockets

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def echo(socket):
    try:
        async for message in socket:
            await socket.send(message)
            if "killed" in socket.request.path:
                socket.transport.abort()
    except websockets.ConnectionClosed:
        pass


async def events(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1]
            writer.write(HEAD)
            number = 0
            while b"three" not in path or number < 3:
                event = b"data: %d\n\n" % number
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                await writer.drain()
                if b"killed" in path:
                    return writer.transport.abort()
                number += 1
                await asyncio.sleep(0 if b"three" in path else 0.05)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, compression=None) as sockets:
        server = await asyncio.start_server(events, "127.0.0.1", 0)
        ports = {
            "websocket": sockets.sockets[0].getsockname()[1],
            "events": server.sockets[0].getsockname()[1],
        }
        print(json.dumps(ports), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
