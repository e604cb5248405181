"""Settings, policies and classifier rules as validated data; logging; the metric registry."""
