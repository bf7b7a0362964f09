// An agent that speaks MCP by the TypeScript SDK: lists the tools, makes calls one after the other.
//
// Its argument is one JSON object: url, key, header (authorization | x-api-key), mode (legacy | auto |
// a revision), calls ([[tool, arguments], ...]). Each step is one line of JSON.
import { createRequire } from 'node:module';

// The packages stand where NODE_PATH says, which only `require` looks at.
const { Client, StreamableHTTPClientTransport } =
    createRequire(import.meta.url)('@modelcontextprotocol/client');

const setup = JSON.parse(process.argv[2]);
const headers = setup.header === 'x-api-key'
    ? { 'X-API-Key': setup.key }
    : { Authorization: `Bearer ${setup.key}` };
const mode = ['legacy', 'auto'].includes(setup.mode) ? setup.mode : { pin: setup.mode };

const tell = (step) => console.log(JSON.stringify(step));

const client = new Client({ name: 'tests', version: '1.0.0' }, { versionNegotiation: { mode } });
await client.connect(
    new StreamableHTTPClientTransport(new URL(setup.url), { requestInit: { headers } }),
);
tell({ step: 'connect', revision: client.getNegotiatedProtocolVersion() });

const { tools } = await client.listTools();
tell({ step: 'tools', names: tools.map((tool) => tool.name) });

for (const [name, args] of setup.calls) {
    try {
        tell({ step: 'call', name, result: await client.callTool({ name, arguments: args }) });
    } catch (error) {
        tell({ step: 'call', name, error: { code: error.code ?? null, message: String(error.message) } });
    }
}
await client.close();
