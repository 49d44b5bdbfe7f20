"""Workers that follow instructions, and every version of them."""
