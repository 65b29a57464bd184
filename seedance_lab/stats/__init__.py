"""Which setting matters, by how much, and what the noise of the seed allows to be said."""
