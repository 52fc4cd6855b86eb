"""What tests share: builders of requests and invoices, a socket server, a scripted world, checks."""
