"""Ask 100,000 times for what is another tenant's; the suite asks a thousand times (tests/api/test_cross_tenant.py).

`python -m benchmarks.cross_tenant [--requests 100000]` starts a PostgreSQL server of its own.
"""

import argparse

import sqlalchemy as sa

from cli.embedded.postgres import EmbeddedPostgres
from lifecycle.migrate import migrate
from tests.api.cross_tenant_given import ask_as_every_role


def main() -> None:
    """Run it on the database of the settings, and say what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with EmbeddedPostgres() as postgres:
        postgres.create_database("tenants")
        migrate(postgres.url("tenants"))
        engine = sa.create_engine(postgres.url("tenants"), poolclass=sa.NullPool)
        outcome = ask_as_every_role(engine, requests=chosen.requests, seed=chosen.seed)
    print(f"requests: {outcome.requests}")
    print(f"answers that differ from those for an unknown id: {len(outcome.told_apart)}")
    print(f"answers that show something of another tenant: {len(outcome.shown)}")
    print(f"rows of another tenant changed: {outcome.changed}")


if __name__ == "__main__":
    main()
