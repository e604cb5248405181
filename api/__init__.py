"""HTTP: the console and the scrape endpoint."""
