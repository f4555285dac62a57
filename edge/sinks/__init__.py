"""Verdicts that wait in the outbox in; a table in a folder and a web server that has them, out: sinks that need no broker."""
