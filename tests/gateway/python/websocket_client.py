"""A WebSocket client that takes orders by line, and tells what came of each as JSON.

Arguments: the URL and a key of the gate.
"""
import asyncio, hashlib, json, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

async def order(socket, word):
    if word == "text":
        await socket.send("hällo")
        return await socket.recv()
    if word == "ping":
        await (await socket.ping(b"are you there"))
        return "pong"
    if word == "many":
        numbers = [str(n) for n in range(5000)]
        async def send():
            for number in numbers:
                await socket.send(number)
        sending = asyncio.create_task(send())
        came = [await socket.recv() for _ in numbers]
        await sending
        return came == numbers
    if word == "large":
        sent = bytes(range(251)) * 40000
        sending = asyncio.create_task(socket.send(sent))
        came = await socket.recv()
        await sending
        return came == sent
    if word == "leave":
        await socket.send("leave")
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code
    if word == "close":
        await socket.close()
        return socket.close_code

async def main():
    key = {"X-API-Key": sys.argv[2]}
    async with connect(sys.argv[1], additional_headers=key, max_size=None, compression=None) as socket:
        print(socket.response.headers["x-request-id"], flush=True)
        while True:
            word = await asyncio.get_running_loop().run_in_executor(None, input)
            print(json.dumps(await order(socket, word)), flush=True)
asyncio.run(main())
