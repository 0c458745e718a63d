"""Stock grpcio and websockets programs at both ends of two sidecars.

  protocol_peer.py grpc-server             prints its port
  protocol_peer.py grpc-client ADDRESS AUTHORITY   runs every check, prints one JSON object of results
  protocol_peer.py ws-server               prints its port; echoes messages
  protocol_peer.py ws-client ADDRESS HOST  runs every check, prints one JSON object of results
"""

import asyncio
import json
import sys
import threading
import time
from concurrent import futures

import grpc


def identity(data):
    return data


class Echo:
    """Every kind of method, and what the last call saw of its end."""

    cancelled = threading.Event()

    def unary(self, request, context):
        context.send_initial_metadata((("x-initial", "first"),))
        context.set_trailing_metadata((("x-trailing", "last"), ("x-bin-bin", b"\x00\xff")))
        return request

    def collect(self, requests, context):
        parts = [request for request in requests]
        context.set_trailing_metadata((("x-parts", str(len(parts))),))
        return b"".join(parts)

    def expand(self, request, context):
        for number in range(int(request)):
            yield str(number).encode()

    def chat(self, requests, context):
        for request in requests:
            yield request.upper()

    def fail(self, request, context):
        context.set_trailing_metadata((("x-reason", "on purpose"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 50 % \u00fc")

    def slow(self, request, context):
        seen = context.time_remaining()
        context.set_trailing_metadata((("x-remaining", "none" if seen is None or seen > 10**6 else f"{seen:.3f}"),))
        time.sleep(float(request))
        return b"late"

    def hang(self, request, context):
        Echo.cancelled.clear()
        context.add_callback(Echo.cancelled.set)
        yield b"begun"
        Echo.cancelled.wait(20)

    def was_cancelled(self, request, context):
        return b"yes" if Echo.cancelled.wait(5) else b"no"


def grpc_server():
    echo = Echo()
    unary = grpc.unary_unary_rpc_method_handler
    methods = {
        "Unary": unary(echo.unary, identity, identity),
        "Collect": grpc.stream_unary_rpc_method_handler(echo.collect, identity, identity),
        "Expand": grpc.unary_stream_rpc_method_handler(echo.expand, identity, identity),
        "Chat": grpc.stream_stream_rpc_method_handler(echo.chat, identity, identity),
        "Fail": unary(echo.fail, identity, identity),
        "Slow": unary(echo.slow, identity, identity),
        "Hang": grpc.unary_stream_rpc_method_handler(echo.hang, identity, identity),
        "WasCancelled": unary(echo.was_cancelled, identity, identity),
    }
    handler = grpc.method_handlers_generic_handler("weir.test.Echo", methods)
    serving = grpc.server(futures.ThreadPoolExecutor(16), handlers=(handler,), options=(("grpc.so_reuseport", 0),))
    port = serving.add_insecure_port("127.0.0.1:0")
    serving.start()
    print(port, flush=True)
    sys.stdin.read()


def grpc_client(address, authority):
    options = (("grpc.default_authority", authority), ("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20))
    results = {}
    with grpc.insecure_channel(address, options=options) as channel:
        path = "/weir.test.Echo/"
        unary = lambda name: channel.unary_unary(path + name, identity, identity)

        answer, call = unary("Unary").with_call(b"hello", timeout=10)
        trailing = dict(call.trailing_metadata())
        results["unary"] = answer == b"hello"
        results["initial metadata"] = dict(call.initial_metadata()).get("x-initial") == "first"
        results["trailers"] = trailing.get("x-trailing") == "last" and trailing.get("x-bin-bin") == b"\x00\xff"

        large = bytes(range(256)) * 4096 * 3
        results["3 MiB both ways"] = len(unary("Unary")(b"x", timeout=10)) == 1 and channel.stream_unary(path + "Collect", identity, identity)(
            iter([large[i : i + 65536] for i in range(0, len(large), 65536)]), timeout=30
        ) == large

        answer, call = channel.stream_unary(path + "Collect", identity, identity).with_call(iter([b"a", b"b", b"c"]), timeout=10)
        results["client streaming"] = answer == b"abc" and dict(call.trailing_metadata()).get("x-parts") == "3"

        numbers = list(channel.unary_stream(path + "Expand", identity, identity)(b"1000", timeout=20))
        results["server streaming"] = numbers == [str(n).encode() for n in range(1000)]

        # Each message waits for the answer to the one before: nothing on the way may wait for more.
        answers, turn = [], threading.Semaphore(1)

        def talk():
            for number in range(50):
                turn.acquire()
                yield f"m{number}".encode()

        for answer in channel.stream_stream(path + "Chat", identity, identity)(talk(), timeout=20):
            answers.append(answer)
            turn.release()
        results["bidirectional streaming"] = answers == [f"M{n}".encode() for n in range(50)]

        try:
            unary("Fail")(b"", timeout=10)
            results["error status"] = False
        except grpc.RpcError as error:
            reason = dict(error.trailing_metadata()).get("x-reason")
            results["error status"] = (error.code(), error.details(), reason) == (
                grpc.StatusCode.FAILED_PRECONDITION, "not today: 50 % \u00fc", "on purpose")

        started = time.monotonic()
        try:
            unary("Slow")(b"5", timeout=0.5)
            results["deadline"] = False
        except grpc.RpcError as error:
            results["deadline"] = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - started < 2
        _, call = unary("Slow").with_call(b"0", timeout=7)
        remaining = dict(call.trailing_metadata())["x-remaining"]
        # Without anything in between grpcio already tells its handlers up to 10 ms more than it was given.
        results["deadline is passed on"] = remaining != "none" and 5 < float(remaining) < 7.02

        hanging = channel.unary_stream(path + "Hang", identity, identity)(b"", timeout=20)
        next(hanging)
        hanging.cancel()
        results["cancellation reaches the server"] = unary("WasCancelled")(b"", timeout=10) == b"yes"
        results["the connection survives it"] = unary("Unary")(b"again", timeout=10) == b"again"

        try:
            unary("Nobody")(b"", timeout=10)
            results["unknown method"] = False
        except grpc.RpcError as error:
            results["unknown method"] = error.code() == grpc.StatusCode.UNIMPLEMENTED
    print(json.dumps(results), flush=True)


async def ws_server():
    from websockets.asyncio.server import serve

    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0, subprotocols=["chat"], max_size=16 << 20) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def ws_client(address, host):
    from websockets.asyncio.client import connect

    results = {}
    ip, port = address.split(":")
    # The URL gives the Host, which names the service; the connection goes to the sidecar.
    async with connect(f"ws://{host}/chat", host=ip, port=int(port), subprotocols=["chat"], max_size=16 << 20, proxy=None) as socket:
        results["subprotocol"] = socket.subprotocol == "chat"
        await socket.send("hello")
        results["text"] = await socket.recv() == "hello"
        data = bytes(range(256)) * 4096 * 4
        await socket.send(data)
        results["4 MiB binary"] = await socket.recv() == data
        for number in range(200):
            await socket.send(str(number))
        results["200 in a row"] = [await socket.recv() for _ in range(200)] == [str(n) for n in range(200)]
        await asyncio.wait_for(await socket.ping(), 5)
        results["ping"] = True
    results["close"] = socket.close_code == 1000
    print(json.dumps(results), flush=True)


if __name__ == "__main__":
    role, *rest = sys.argv[1:]
    if role.startswith("grpc"):
        {"grpc-server": grpc_server, "grpc-client": grpc_client}[role](*rest)
    else:
        asyncio.run({"ws-server": ws_server, "ws-client": ws_client}[role](*rest))
