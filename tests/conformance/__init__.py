"""One suite for the sandbox and for real lightningd. Where they disagree, the sandbox is wrong."""
