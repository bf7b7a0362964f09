"""An agent that speaks MCP by the Python SDK: lists the tools, makes calls one after the other.

Its argument is one JSON object: url, key, header (authorization | x-api-key), mode (legacy | auto |
a revision), calls ([[tool, arguments], ...]). Each step is one line of JSON.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError


def tell(**step):
    print(json.dumps(step), flush=True)


async def main(setup):
    key = setup["key"]
    headers = {"Authorization": f"Bearer {key}"}
    if setup["header"] == "x-api-key":
        headers = {"X-API-Key": key}
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(setup["url"], http_client=http)
        async with Client(transport, mode=setup["mode"]) as client:
            tell(step="connect", revision=client.protocol_version)
            listed = await client.list_tools()
            tell(step="tools", names=[tool.name for tool in listed.tools])
            for name, arguments in setup["calls"]:
                try:
                    result = await client.call_tool(name, arguments)
                except MCPError as error:
                    tell(step="call", name=name, error={"code": error.code, "message": error.message})
                else:
                    tell(step="call", name=name, result=result.model_dump(mode="json", by_alias=True, exclude_none=True))


asyncio.run(main(json.loads(sys.argv[1])))
