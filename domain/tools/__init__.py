"""What a model may call: manifests, registry and validation."""
