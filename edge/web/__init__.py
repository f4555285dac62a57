"""The live page: a process beside the daemon that reads the journal, or a broker, and serves browsers."""
