"""What the product does, on real databases."""
