"""Where a proxy accepts connections: listeners, their filter chains, and the filters in them."""
