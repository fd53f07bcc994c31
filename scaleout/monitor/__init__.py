"""What people see of a run: a line a second while it goes on, and a table at its end."""
