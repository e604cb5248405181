"""Services inside this process or started by it, for the demo and the tests."""
