"""The world of photographs: mosaics of real pictures, questions about them, folders and pairs drawn from them."""
