"""An inspection in, messages out: encoding only."""
