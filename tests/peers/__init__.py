"""Our clients against servers that others wrote, where Node is at hand."""
