"""`python -m cli`: the same as `breakwater`."""

from cli.main import main

main()
