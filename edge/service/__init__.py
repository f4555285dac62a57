"""Settings in, a service that runs for years out: threads, systemd, children that may die."""
