"""The API over HTTP/JSON on a Unix socket."""
