"""The Python client of the gateway's own protocol, and the command `nabra talk`."""
