"""What one family of microscopes writes in, what it says out; a module a family."""
