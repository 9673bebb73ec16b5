"""Who is linked to what: resources in ODIN tied to products in the PSA, by a three-level rule."""
