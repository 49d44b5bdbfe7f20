"""The product: rows, rules and services; no web, no queue, no HTTP client."""
