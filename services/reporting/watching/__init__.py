"""What should have happened by now and has not -> events, each told once: the only ones that reporting appends of itself."""
