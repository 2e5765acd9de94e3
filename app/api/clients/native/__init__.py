"""The protocol of `docs/protocol.md`: that of the page, the library and `nabra talk`."""
