"""Who may talk to whom, and how: peer authentication and authorization, merged by scope."""
