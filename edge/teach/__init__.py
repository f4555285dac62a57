"""What people say about inspections in, what the models learn from it out; without torch."""
