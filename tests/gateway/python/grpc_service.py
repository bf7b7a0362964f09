"""A gRPC service of grpcio that echoes, streams, fails and waits. No generated code: its messages are
bytes.

One argument, JSON: optional "tls" ("cert", "key"). It says on standard output, in lines of JSON, where
it listens and what happens to it; a line with a number is answered.
"""

import concurrent.futures
import json
import sys
import threading

import grpc

SETUP = json.loads(sys.argv[1])
LOCK = threading.Lock()


def say(event, **more):
    with LOCK:
        print(json.dumps({"event": event, **more}), flush=True)


def called(context, method):
    fields = [[name, str(value)] for name, value in context.invocation_metadata()]
    say("request", target=method, fields=fields, connection=0)


def unary(message, context):
    called(context, "Unary")
    context.send_initial_metadata([("x-initial", "first"), ("x-bytes-bin", b"\0\1\2\xff")])
    context.set_trailing_metadata([("x-trailing", "last"), ("x-bytes-bin", b"\0\1\2\xff")])
    return message


def split(message, context):
    called(context, "Split")
    for byte in message:
        yield bytes([byte])


def join(messages, context):
    called(context, "Join")
    return b"".join(messages)


def talk(messages, context):
    called(context, "Talk")
    for message in messages:
        yield b"re: " + message


def fail(message, context):
    called(context, "Fail")
    context.set_trailing_metadata([("x-trailing", "why")])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nothing to pay: 100 % \u00e9")


def fail_midway(message, context):
    called(context, "FailMidway")
    yield b"first"
    context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")


def wait(messages, context):
    called(context, "Wait")
    over = threading.Event()

    def end():
        say("cancelled")
        over.set()

    context.add_callback(end)
    yield b"waiting"
    over.wait()


def deadline(message, context):
    called(context, "Deadline")
    return b"some" if context.time_remaining() is not None else b"none"


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Split": grpc.unary_stream_rpc_method_handler(split),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailMidway": grpc.unary_stream_rpc_method_handler(fail_midway),
    "Wait": grpc.stream_stream_rpc_method_handler(wait),
    "Deadline": grpc.unary_unary_rpc_method_handler(deadline),
}

server = grpc.server(concurrent.futures.ThreadPoolExecutor(32))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("lab.Echo", HANDLERS)])
if "tls" in SETUP:
    with open(SETUP["tls"]["key"], "rb") as key, open(SETUP["tls"]["cert"], "rb") as cert:
        credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
say("listening", port=port)
for line in sys.stdin:
    say("said", number=int(line))
