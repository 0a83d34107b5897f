"""A lab run told to people and to machines. Pure: a LabReport in, text out."""
