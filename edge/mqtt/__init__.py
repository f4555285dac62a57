"""The journal's outbox in, messages on the broker out."""
