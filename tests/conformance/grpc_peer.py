"""A stock grpcio as server and as proxyless client.

  grpc_peer.py server NAME            prints its port; answers /weir.test.Echo/Who with NAME
  grpc_peer.py client TARGET          for every line "N" on standard input calls N times and prints one JSON line of counts
"""

import collections
import json
import sys
from concurrent import futures

import grpc


def identity(data):
    return data


def server(name):
    handler = grpc.method_handlers_generic_handler(
        "weir.test.Echo",
        {"Who": grpc.unary_unary_rpc_method_handler(lambda request, context: name.encode(), identity, identity)},
    )
    serving = grpc.server(futures.ThreadPoolExecutor(8), handlers=(handler,), options=(("grpc.so_reuseport", 0),))
    port = serving.add_insecure_port("127.0.0.1:0")
    serving.start()
    print(port, flush=True)
    sys.stdin.read()


def client(target):
    with grpc.insecure_channel(target) as channel:
        who = channel.unary_unary("/weir.test.Echo/Who", request_serializer=identity, response_deserializer=identity)
        for line in sys.stdin:
            counts, errors = collections.Counter(), []
            for _ in range(int(line)):
                try:
                    counts[who(b"", timeout=10, wait_for_ready=True).decode()] += 1
                except grpc.RpcError as error:
                    errors.append(f"{error.code()}: {error.details()}")
            print(json.dumps({"counts": counts, "errors": errors}), flush=True)


if __name__ == "__main__":
    {"server": server, "client": client}[sys.argv[1]](sys.argv[2])
