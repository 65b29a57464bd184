"""What a clip is like, in numbers: one decoding pass, no weights to download."""
