"""A stand-in OpenID provider: it signs in whom it is told to, and lies on demand."""
