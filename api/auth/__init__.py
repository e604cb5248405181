"""Who asks, and whether they may: tokens, memberships, tenants, rates (30.7)."""
