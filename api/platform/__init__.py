"""What belongs to the platform and to no tenant, over HTTP: for its admins alone."""
