"""What the units of every linked PSA product should be, asked for once per change."""
