"""From low-resolution fields to masks in the image frame: run lengths, polygons, label maps, overlays."""
