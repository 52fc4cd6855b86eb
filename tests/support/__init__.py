"""What tests share: request builders, a socket server, a scripted world, checks, vectors."""
