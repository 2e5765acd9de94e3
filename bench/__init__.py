"""Measures the gateway against the simulator: timings live here, and not in the tests."""
