"""A provider that sends faster than its audio is read waits; nothing is lost."""

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from app.hamsa.socket import SlicedSocket
from app.net.slices import SLICE_BYTES
from tests.waiting import settle

FRAMES = 200_000
READ_BYTES = 256 * 1024
"""What asyncio reads at a time."""


async def test_frames_that_nobody_reads_stay_with_the_provider_and_arrive_in_order() -> None:
    async def send(socket: ServerConnection) -> None:
        for start in range(0, FRAMES, 1000):
            frames = b"".join(
                b"\x82\x04" + number.to_bytes(4, "big") for number in range(start, start + 1000)
            )
            socket.transport.write(frames)
            await socket.drain()
        await socket.close()

    async with serve(send, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}/"
        async with connect(
            url, create_connection=SlicedSocket, compression=None, proxy=None
        ) as socket:
            assert isinstance(socket, SlicedSocket)
            received = 0
            async for data in socket:
                assert isinstance(data, bytes)
                assert int.from_bytes(data, "big") == received
                received += 1
                if received % 10_000 == 1:
                    await settle()
                    assert socket.waiting_bytes <= READ_BYTES
                    assert len(socket.recv_messages.frames) <= SLICE_BYTES
        assert received == FRAMES
