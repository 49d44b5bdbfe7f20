"""One contract suite per port, run against each of its adapters."""
