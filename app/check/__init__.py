"""`nabra check`: whether the settings, the provider and the agent work, and what to do if not."""
