"""Who may do what: from a request's credentials to the verdict on it.

`authentication` finds the user behind a token or certificate (`tokens`, `certificates`), `authorization` asks the roles that
are stored, of which `bootstrap_roles` are there from the start, and `escalation` keeps people from granting what they do not
have. `reviews` answers the same questions to others: TokenReview and the access reviews.
"""
