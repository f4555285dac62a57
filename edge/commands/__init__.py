"""What people type: arguments in, exit status out."""
