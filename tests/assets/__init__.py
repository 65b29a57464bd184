"""Small files that tests need, and the functions that make them."""
