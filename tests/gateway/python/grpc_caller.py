"""A gRPC caller of grpcio. It makes every kind of call once and says what came of each.

One argument, JSON: "target", "key" (of the gate; none: without), optional "ca" and "name" for TLS, and
"calls", names of functions below. It prints one JSON object: by call what came back.
"""

import json
import queue
import sys
import time

import grpc

SETUP = json.loads(sys.argv[1])
PATIENCE = 20
KEY = [("authorization", "Bearer " + SETUP["key"])] if SETUP.get("key") else []


def channel():
    if "ca" not in SETUP:
        return grpc.insecure_channel(SETUP["target"])
    with open(SETUP["ca"], "rb") as ca:
        credentials = grpc.ssl_channel_credentials(ca.read())
    options = [("grpc.ssl_target_name_override", SETUP["name"])]
    return grpc.secure_channel(SETUP["target"], credentials, options)


CHANNEL = channel()


def metadata(pairs):
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in pairs or ()}


def outcome(call, messages):
    return {
        "code": call.code().name,
        "details": call.details(),
        "initial": metadata(call.initial_metadata()),
        "trailing": metadata(call.trailing_metadata()),
        "messages": messages,
    }


def one(method, message, timeout=PATIENCE):
    stub = CHANNEL.unary_unary("/lab.Echo/" + method)
    try:
        answer, call = stub.with_call(message, timeout=timeout, metadata=KEY)
    except grpc.RpcError as error:
        return outcome(error, [])
    return outcome(call, [answer.decode("latin-1")])


def all_of(call):
    messages = []
    try:
        for message in call:
            messages.append(message.decode("latin-1"))
    except grpc.RpcError:
        pass
    return outcome(call, messages)


def unary():
    return one("Unary", b"hello")


def large():
    result = one("Unary", b"l" * (2 * 1024 * 1024))
    result["messages"] = [len(message) for message in result["messages"]]
    return result


def server_stream():
    stub = CHANNEL.unary_stream("/lab.Echo/Split")
    return all_of(stub(b"abc" * 100, timeout=PATIENCE, metadata=KEY))


def client_stream():
    stub = CHANNEL.stream_unary("/lab.Echo/Join")
    try:
        parts = (bytes([65 + n % 26]) for n in range(300))
        answer, call = stub.with_call(parts, timeout=PATIENCE, metadata=KEY)
    except grpc.RpcError as error:
        return outcome(error, [])
    return outcome(call, [answer.decode("latin-1")])


def talk(count, pause=0):
    """Each message is sent after the answer to the one before."""
    messages = queue.Queue()
    stub = CHANNEL.stream_stream("/lab.Echo/Talk")
    call = stub(iter(messages.get, None), timeout=PATIENCE, metadata=KEY)
    heard = []
    try:
        for n in range(count):
            time.sleep(pause if n else 0)
            messages.put(b"%d" % n)
            heard.append(next(call).decode("latin-1"))
        messages.put(None)
        return outcome(call, heard)
    except grpc.RpcError:
        messages.put(None)
        return outcome(call, heard)


def both_stream():
    return talk(20)


def both_pause():
    return talk(3, pause=1.5)


def fails():
    return one("Fail", b"x")


def fails_midway():
    stub = CHANNEL.unary_stream("/lab.Echo/FailMidway")
    return all_of(stub(b"x", timeout=PATIENCE, metadata=KEY))


def has_deadline():
    return one("Deadline", b"x")


def unknown():
    return one("Unknown", b"x")


def wait(timeout, then):
    messages = queue.Queue()
    stub = CHANNEL.stream_stream("/lab.Echo/Wait")
    call = stub(iter(messages.get, None), timeout=timeout, metadata=KEY)
    first = next(call).decode("latin-1")
    then(call)
    try:
        next(call)
    except (grpc.RpcError, StopIteration):
        pass
    messages.put(None)
    return outcome(call, [first])


def cancels():
    return wait(PATIENCE, lambda call: call.cancel())


def runs_out():
    return wait(0.7, lambda call: None)


def is_ended():
    return wait(PATIENCE, lambda call: None)


print(json.dumps({name: globals()[name]() for name in SETUP["calls"]}))
