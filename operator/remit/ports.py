"""What the decisions need from the world, as protocols. No implementation lives here."""
