"""WebSocket on 9443 and gRPC on 50051, both in TLS, by the libraries in build/clients; for the servers' namespace.
Arguments: the folder with server.pem and server.key. Prints `ready`."""
import asyncio
import pathlib
import ssl
import sys
from concurrent import futures

import grpc
import websockets.asyncio.server

FOLDER = pathlib.Path(sys.argv[1])


class Echo(grpc.GenericRpcHandler):
    """One unary and one streaming method, over bytes: no generated code."""

    def service(self, call):
        if call.method == "/test.Echo/Say":
            return grpc.unary_unary_rpc_method_handler(lambda request, _: b"heard " + request)
        if call.method == "/test.Echo/Count":
            return grpc.unary_stream_rpc_method_handler(lambda request, _: (b"%d" % n for n in range(int(request))))
        return None


def serve_grpc():
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Echo(),))
    credentials = grpc.ssl_server_credentials([((FOLDER / "server.key").read_bytes(), (FOLDER / "server.pem").read_bytes())])
    server.add_secure_port("0.0.0.0:50051", credentials)
    server.start()
    return server


async def echo(connection):
    async for message in connection:
        await connection.send("heard " + message)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "server.pem", FOLDER / "server.key")
    grpc_server = serve_grpc()
    async with websockets.asyncio.server.serve(echo, "0.0.0.0", 9443, ssl=context):
        print("ready", flush=True)
        await asyncio.Event().wait()
    grpc_server.stop(0)


asyncio.run(main())
