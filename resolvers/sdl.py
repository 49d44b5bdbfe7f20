"""Writes the schema that is served: `python -m resolvers.sdl > docs/api/schema.graphql`."""

import sys

from resolvers.root import print_sdl

if __name__ == "__main__":
    sys.stdout.write(print_sdl())
