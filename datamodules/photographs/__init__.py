"""The world of photographs: mosaics of real pictures, questions about them, and folders and pairs made from them."""
