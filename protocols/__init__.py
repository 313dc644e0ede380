"""What travels between institutions and how it is protected: bytes in, bytes out."""
