"""The PSAs behind one small port: what the writer asks of any of them, and one client file a PSA."""
