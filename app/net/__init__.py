"""HTTP for all rooms: httpx clients on transports of our own."""
