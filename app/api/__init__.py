"""What clients see: the wire messages, the socket, health."""
