"""Networks: modules that map uint8 pixels to the heads of the artifact contract."""
