"""The offline planner: what to do with an instruction where no language model is connected."""
