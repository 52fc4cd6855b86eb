"""Ways through the network: routes for our messages, and payment paths to us."""
