"""Writers: one module for each feed, which turns registrations and events into native files."""
