"""The provider's protocol: codec, connection, pool, budget."""
