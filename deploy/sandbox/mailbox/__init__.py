"""A stand-in mail server that delivers to nobody and shows what it was given."""
