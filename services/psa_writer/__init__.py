"""The one door to the PSA: reads its catalogue, posts adjustments once, proves them by reading back."""
