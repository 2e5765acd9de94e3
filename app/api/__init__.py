"""The client protocol over HTTP and WebSocket, the page, and monitoring."""
