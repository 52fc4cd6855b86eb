"""One request: the order of steps, the steps themselves, and what is known of the invoice."""
