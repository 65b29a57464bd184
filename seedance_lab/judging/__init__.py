"""What people think of clips: votes on blind pairs, ratings, and what follows from them."""
