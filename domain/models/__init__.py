"""Language models as the product sees them."""
