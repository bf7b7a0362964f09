"""Holds streams open while the gate lives through something, and says how they are.

Arguments: host, port, key, how many WebSockets, how many event streams. Prints "ready" when all are open. For
each line of standard input it uses every stream once and prints {"sockets": alive, "events": alive}. At the
end of input it closes them.
"""

import asyncio
import json
import sys

import websockets

host, port, key, sockets_count, events_count = sys.argv[1:6]


async def open_socket(n):
    url = f"ws://{host}:{port}/sockets/held/{n}"
    fields = {"authorization": f"Bearer {key}"}
    return await websockets.connect(url, additional_headers=fields, proxy=None, compression=None)


async def socket_lives(socket, word):
    try:
        await socket.send(word)
        return await asyncio.wait_for(socket.recv(), 20) == word
    except (websockets.ConnectionClosed, TimeoutError):
        return False


async def open_events(n):
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET /events/held/{n} HTTP/1.1\r\nhost: gate.test\r\nauthorization: Bearer {key}\r\n\r\n"
    writer.write(head.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    return reader, writer


async def events_live(stream):
    """A whole event that came after now."""
    reader, _ = stream
    try:
        # What has come so far is read away first: the next whole one is new.
        await asyncio.wait_for(reader.read(1 << 20), 20)
        for _ in range(2):
            await asyncio.wait_for(reader.readuntil(b"\n\n"), 20)
        return True
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
        return False


async def main():
    sockets = await asyncio.gather(*(open_socket(n) for n in range(int(sockets_count))))
    streams = await asyncio.gather(*(open_events(n) for n in range(int(events_count))))
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while word := await loop.run_in_executor(None, sys.stdin.readline):
        alive = {
            "sockets": sum(await asyncio.gather(*(socket_lives(s, word) for s in sockets))),
            "events": sum(await asyncio.gather(*(events_live(s) for s in streams))),
        }
        print(json.dumps(alive), flush=True)
    for socket in sockets:
        await socket.close()
    for _, writer in streams:
        writer.close()


asyncio.run(main())
