"""What lightningd tells unasked: it is gone or back, an invoice changed, a reply came."""
