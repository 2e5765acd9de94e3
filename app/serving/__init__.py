"""The process that serves: its port, and the bounds on connections that strangers open."""
