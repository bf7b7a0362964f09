"""A WebSocket server that echoes, and closes when it is told to. It tells its port, and ends with
its input.
"""
import asyncio, json
from websockets.asyncio.server import serve

async def handle(socket):
    async for message in socket:
        if message == "leave":
            await socket.close(4000, "as told")
        else:
            await socket.send(message)

async def main():
    async with serve(handle, "127.0.0.1", 0, max_size=None) as server:
        print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, input)
asyncio.run(main())
