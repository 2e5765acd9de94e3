"""A pool of budgeted sockets: leases, openings, and what becomes of a socket afterwards."""
