"""What an operator sees of the process: logs and counters."""
