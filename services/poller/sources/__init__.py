"""The marketplace APIs that can be read, behind one normalised model."""
