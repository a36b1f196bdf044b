//! What the server can do: one file per noun, called by every door.
