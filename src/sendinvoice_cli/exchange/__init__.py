"""The steps of answering one request, and what is known of it. The order is in answer.py."""
